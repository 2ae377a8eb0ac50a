"""The conditions that narrow a query to what a caller may see or change."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import peewee

from satupeta_server.models.classifications import Classification
from satupeta_server.models.roles import Role
from satupeta_server.security.callers import Caller
from satupeta_server.security.permissions import ADMINISTRATOR, Scope
from satupeta_server.statements import Slot, parameter


def public_mapset(source: Any) -> Any:
    """That a mapset is one which everybody may see: active, approved and not secret."""
    classification = Classification.alias()
    secret = classification.select(classification.id).where(classification.is_secret)
    return (
        source.deleted_at.is_null()
        & source.is_active
        & (source.status_validation == "approved")
        & source.classification_id.not_in(secret)
    )


def within(scope: Scope, caller: Caller, source: Any) -> Any:
    """The condition that a row of ``source`` lies within the scope of a caller."""
    return _CONDITIONS[scope](caller, source)


def _everything() -> Any:
    return peewee.SQL("true")


def _own(caller: Caller, source: Any) -> Any:
    return source.producer_id == _uuid(caller.organization_id)


def _uuid(value: uuid.UUID | Slot | None) -> Any:
    return parameter(value if value is None or isinstance(value, Slot) else str(value), "uuid")


def _not_administrator(_caller: Caller, source: Any) -> Any:
    role = Role.alias()
    return source.role_id.not_in(role.select(role.id).where(role.name == ADMINISTRATOR))


_CONDITIONS: Mapping[Scope, Callable[[Caller, Any], Any]] = {
    Scope.ALL: lambda _caller, _source: _everything(),
    Scope.ACTIVE: lambda _caller, source: source.is_active,
    Scope.PUBLIC: lambda _caller, source: public_mapset(source),
    Scope.OWN: _own,
    Scope.OWN_OR_PUBLIC: lambda caller, source: _own(caller, source) | public_mapset(source),
    Scope.NOT_ADMINISTRATORS: _not_administrator,
    Scope.OWN_UPLOAD: lambda caller, source: source.uploaded_by == _uuid(caller.user_id),
    Scope.SELF: lambda caller, source: source.id == _uuid(caller.user_id),
}
