"""Finding a record by what people call it: its id, or a name that only one has."""

import unicodedata
import uuid
from collections.abc import Mapping
from typing import Any

from peewee import fn

from satupeta_server.errors import ConflictError, NotFoundError
from satupeta_server.messages import Message
from satupeta_server.security.callers import Caller
from satupeta_server.services.records import ReadService

_NAMES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "users": ("kind_user", ("username", "email")),
    "organizations": ("kind_organization", ("name",)),
    "roles": ("kind_role", ("name",)),
    "credentials": ("kind_credential", ("name",)),
}
"""By subject: its message, and the columns by which its records are called, the first first."""


async def find(service: ReadService, caller: Caller, called: str, *, by: str | None = None) -> Any:
    """Give the one record that is called so, among those that the caller may see.

    ``by`` is the one column that counts; without it the id and every name of the subject do.
    Raises NotFoundError when there is none, ConflictError when several have the name.
    """
    source = service.resource.model
    kind, columns = _NAMES[service.resource.subject]
    for condition in _conditions(source, columns, called, by):
        query = source.select().where(condition & service.visible(caller, source)).limit(2)
        rows = list(await query.aio_execute())
        if len(rows) == 1:
            return rows[0]
        if rows:
            raise ConflictError(_message("several_named", kind, called))
    raise none_named(kind, called)


def none_named(kind: str, called: str) -> NotFoundError:
    """Make the error of a record that is not there, ready to be raised."""
    return NotFoundError(_message("none_named", kind, called))


def _message(key: str, kind: str, called: str) -> Message:
    return Message(key, {"kind": Message(kind), "name": called})


def _conditions(source: Any, columns: tuple[str, ...], called: str, by: str | None) -> list[Any]:
    name = unicodedata.normalize("NFKC", called).strip().replace("\0", "")
    if by is not None:
        return [fn.lower(getattr(source, by)) == fn.lower(name)]
    conditions = [fn.lower(getattr(source, column)) == fn.lower(name) for column in columns]
    try:
        return [source.id == uuid.UUID(name), *conditions]
    except ValueError:
        return conditions
