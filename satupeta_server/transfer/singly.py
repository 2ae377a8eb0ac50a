"""Kinds of which there are few, row by row through the services that the API uses."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from peewee import fn

from satupeta_server.database import database
from satupeta_server.errors import AppError, UnavailableError
from satupeta_server.messages import Language, Message
from satupeta_server.security.callers import Caller
from satupeta_server.services.records import RecordService
from satupeta_server.transfer.converting import Prepared, reasons, texts
from satupeta_server.transfer.kinds import Kind
from satupeta_server.transfer.outcomes import Outcome, Rules, State


class Store(Protocol):
    """Stores prepared rows inside a transaction of the caller's."""

    async def store(self, rows: Sequence[Prepared]) -> list[Outcome]:
        """Give what became of each row; raises UnavailableError."""


async def each_whole(
    rows: Sequence[Prepared], language: Language, stored: Callable[[Prepared], Awaitable[Outcome]]
) -> list[Outcome]:
    """Store rows one by one, each whole or not at all; what is refused fails alone.

    Raises UnavailableError when a server goes away.
    """

    async def one(row: Prepared) -> Outcome:
        try:
            async with database.whole():
                return await stored(row)
        except UnavailableError:
            raise
        except AppError as error:
            return Outcome(row.line, State.FAILED, reasons(error, language))

    return [await one(row) for row in rows]


class SingleStore:
    """Stores prepared rows of one kind, each whole or not at all."""

    def __init__(
        self, kind: Kind, rules: Rules, language: Language, service: RecordService, caller: Caller
    ) -> None:
        self.kind = kind
        self.rules = rules
        self.language = language
        self.service = service
        self.caller = caller

    async def store(self, rows: Sequence[Prepared]) -> list[Outcome]:
        """Store rows inside a transaction of the caller's; gives what became of each.

        Raises UnavailableError when the database goes away.
        """
        return await each_whole(rows, self.language, self._stored)

    async def _stored(self, row: Prepared) -> Outcome:
        found = await self._find(row)
        if len(found) > 1:
            return self._failed(row, Message("row_ambiguous"))
        if not found:
            return await self._create(row)
        values = {
            name: value
            for name, value in row.values.items()
            if name not in self.kind.only_on_creation
        }
        if not self.rules.may_update:
            return Outcome(row.line, State.SKIPPED)
        document = await self.service.update(self.caller, found[0].id, values)
        differs = document.revision != found[0].revision
        return Outcome(row.line, self.rules.state(is_known=True, differs=differs))

    async def _create(self, row: Prepared) -> Outcome:
        state = self.rules.state(is_known=False, differs=True)
        if state is not State.CREATED:
            return Outcome(row.line, state)
        if row.missing:
            required = {name: [Message("required")] for name in row.missing}
            return Outcome(row.line, State.FAILED, texts(required, self.language))
        values = dict(row.values)
        if row.record_id is not None:
            if await self.kind.model.aio_get_or_none(self.kind.model.id == row.record_id):
                return self._failed(row, Message("id_taken"))
            values["id"] = row.record_id
        await self.service.create(self.caller, values)
        return Outcome(row.line, State.CREATED)

    async def _find(self, row: Prepared) -> list[Any]:
        model: Any = self.kind.model
        if row.record_id is not None:
            by_id = await self._living(model, model.id == row.record_id)
            if by_id:
                return by_id
        condition: Any = None
        for name in self.kind.key:
            value = row.values.get(name)
            if value is None:
                return []
            column = getattr(model, name)
            is_text = not isinstance(value, uuid.UUID)
            one = fn.lower(column) == fn.lower(value) if is_text else column == value
            condition = one if condition is None else condition & one
        return await self._living(model, condition)

    @staticmethod
    async def _living(model: Any, condition: Any) -> list[Any]:
        query = model.select(model.id, model.revision).where(condition & model.living()).limit(2)
        return list(await query.aio_execute())

    def _failed(self, row: Prepared, message: Message) -> Outcome:
        return Outcome(row.line, State.FAILED, {"": [message.text(self.language)]})
