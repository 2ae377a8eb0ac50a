"""The permission table: what each role may do, and on which records.

What the table does not grant is refused. The API and the command line both use it; the command
``satupeta permissions`` and the page docs/permissions.md print it.
"""

from collections.abc import Mapping
from enum import StrEnum

ANONYMOUS = "anonymous"
VIEWER = "data_viewer"
MANAGER = "data_manager"
VALIDATOR = "data_validator"
ADMINISTRATOR = "administrator"

ROLES = (VIEWER, MANAGER, VALIDATOR, ADMINISTRATOR)
CALLERS = (ANONYMOUS, *ROLES)

PUBLIC_ACCESS = "public"
"""Named by a handler's method that needs no permission, such as logging in."""


class Scope(StrEnum):
    """On which records a permission holds."""

    ALL = "all"
    ACTIVE = "active"
    """Only active records."""
    PUBLIC = "public"
    """Only mapsets that are active, approved and not secret."""
    OWN = "own"
    """Only mapsets of the caller's own organization."""
    OWN_OR_PUBLIC = "own or public"
    NOT_ADMINISTRATORS = "never administrators"
    """Only users who are not administrators, and never that role."""
    OWN_UPLOAD = "own upload"
    """Only files that the caller uploaded."""
    SELF = "self"


_ALL = Scope.ALL
_EVERYBODY_READS_ACTIVE = (Scope.ACTIVE, Scope.ACTIVE, _ALL, _ALL, _ALL)
_ADMINISTRATORS = (None, None, None, None, _ALL)

# permission: the scope for anonymous callers, viewers, managers, validators, administrators
_TABLE: Mapping[str, tuple[Scope | None, ...]] = {
    "mapsets:read": (Scope.PUBLIC, Scope.PUBLIC, Scope.OWN_OR_PUBLIC, _ALL, _ALL),
    "mapsets:write": (None, None, Scope.OWN, _ALL, _ALL),
    "mapsets:verify": (None, None, None, _ALL, _ALL),
    "mapsets:activate": (None, None, Scope.OWN, _ALL, _ALL),
    "histories:read": (None, None, Scope.OWN, _ALL, _ALL),
    "news:read": _EVERYBODY_READS_ACTIVE,
    "news:write": (None, None, _ALL, _ALL, _ALL),
    "categories:read": _EVERYBODY_READS_ACTIVE,
    "categories:write": _ADMINISTRATORS,
    "organizations:read": _EVERYBODY_READS_ACTIVE,
    "organizations:write": _ADMINISTRATORS,
    "classifications:read": _EVERYBODY_READS_ACTIVE,
    "classifications:write": _ADMINISTRATORS,
    "map_projection_systems:read": _EVERYBODY_READS_ACTIVE,
    "map_projection_systems:write": _ADMINISTRATORS,
    "regionals:read": _EVERYBODY_READS_ACTIVE,
    "regionals:write": _ADMINISTRATORS,
    "map_sources:read": (None, None, _ALL, _ALL, _ALL),
    "map_sources:write": _ADMINISTRATORS,
    "credentials:read": _ADMINISTRATORS,
    "credentials:write": _ADMINISTRATORS,
    "credentials:decrypt": _ADMINISTRATORS,
    "users:read": (None, None, None, Scope.NOT_ADMINISTRATORS, _ALL),
    "users:write": (None, None, None, Scope.NOT_ADMINISTRATORS, _ALL),
    "users:export": _ADMINISTRATORS,
    "users:erase": _ADMINISTRATORS,
    "audit:read": _ADMINISTRATORS,
    "roles:read": (None, None, _ALL, _ALL, _ALL),
    "search:read": (_ALL, _ALL, _ALL, _ALL, _ALL),
    "files:upload": (None, None, _ALL, _ALL, _ALL),
    "files:download": (_ALL, _ALL, _ALL, _ALL, _ALL),
    "files:delete": (None, None, Scope.OWN_UPLOAD, Scope.OWN_UPLOAD, _ALL),
    "me:read": (None, Scope.SELF, Scope.SELF, Scope.SELF, Scope.SELF),
    "me:write": (None, Scope.SELF, Scope.SELF, Scope.SELF, Scope.SELF),
    "tokens:read": (None, Scope.SELF, Scope.SELF, Scope.SELF, _ALL),
    "tokens:write": (None, Scope.SELF, Scope.SELF, Scope.SELF, _ALL),
}

GRANTS: Mapping[str, Mapping[str, Scope]] = {
    permission: {
        caller: scope for caller, scope in zip(CALLERS, scopes, strict=True) if scope is not None
    }
    for permission, scopes in _TABLE.items()
}

NEVER_BY_TOKEN = frozenset(
    {"tokens:read", "tokens:write", "me:write", "users:write", "users:erase"}
)
"""What would let a token outgrow its list: it could make others, or become another user."""


def granted_scope(caller: str, permission: str) -> Scope | None:
    """Give the scope on which a role, or an anonymous caller, holds a permission; or None.

    Raises KeyError for a permission that the table does not know.
    """
    return GRANTS[permission].get(caller)


def token_scope(
    role: str, permission: str, permissions: frozenset[str], *, of_one_organization: bool
) -> Scope | None:
    """Give the scope on which a machine's token holds a permission of its owner's role; or None.

    What everybody may, it may too. One of one organization may no more than a manager of that.
    Raises KeyError for a permission that the table does not know.
    """
    if permission not in permissions - NEVER_BY_TOKEN:
        return granted_scope(ANONYMOUS, permission)
    scope = granted_scope(role, permission)
    if of_one_organization and scope is Scope.ALL:
        return granted_scope(MANAGER, permission)
    if of_one_organization and granted_scope(MANAGER, permission) is None:
        return None
    return scope
