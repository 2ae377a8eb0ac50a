"""Who calls: a user through a session, an administrator's command, or nobody known."""

import uuid
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from satupeta_server.errors import ForbiddenError, NotAuthenticatedError
from satupeta_server.security.permissions import ANONYMOUS, Scope, granted_scope, token_scope
from satupeta_server.statements import Slot


@dataclass(frozen=True)
class Caller:
    """Who asks for something, from where, in which request."""

    user_id: uuid.UUID | None = None
    role: str = ANONYMOUS
    organization_id: uuid.UUID | None = None
    session_id: uuid.UUID | None = None
    token_id: uuid.UUID | None = None
    """The API token that a machine calls with, in the place of a session."""
    write_position: int = 0
    """What a standby must have replayed to show what the caller has written."""
    address: str | None = None
    request_id: str | None = None
    command: str | None = None
    """The command line's command that calls, without its arguments."""
    run_by: str | None = None
    """The operating system's user who runs that command."""
    permissions: frozenset[str] | None = None
    """What that token is narrowed to; None where no token calls."""
    is_of_one_organization: bool = False
    """Whether that token is narrowed to ``organization_id``."""

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is logged in."""
        return self.user_id is None

    def may(self, permission: str) -> bool:
        """Tell whether the caller holds a permission, on whatever scope."""
        return self._granted(permission) is not None

    def scope(self, permission: str) -> Scope:
        """Give the scope of a permission.

        Raises NotAuthenticatedError for an anonymous caller and ForbiddenError for a known one
        when the permission is not granted.
        """
        scope = self._granted(permission)
        if scope is None:
            raise NotAuthenticatedError if self.is_anonymous else ForbiddenError
        return scope

    def _granted(self, permission: str) -> Scope | None:
        if self.permissions is None:
            return granted_scope(self.role, permission)
        return token_scope(
            self.role,
            permission,
            self.permissions,
            of_one_organization=self.is_of_one_organization,
        )

    def shape(self) -> "Caller":
        """Whoever may the same, with slots in the place of who it is: see :meth:`values`."""
        user: Any = None if self.user_id is None else Slot("user_id")
        organization: Any = Slot("organization_id")
        return Caller(
            user_id=user,
            role=self.role,
            organization_id=organization,
            permissions=self.permissions,
            is_of_one_organization=self.is_of_one_organization,
        )

    def values(self) -> dict[Hashable, str | None]:
        """The values of the slots of its shape."""
        ids = {"user_id": self.user_id, "organization_id": self.organization_id}
        return {name: None if value is None else str(value) for name, value in ids.items()}

    def identity(self) -> uuid.UUID:
        """Give the user's id; raises NotAuthenticatedError when nobody is logged in."""
        if self.user_id is None:
            raise NotAuthenticatedError
        return self.user_id
