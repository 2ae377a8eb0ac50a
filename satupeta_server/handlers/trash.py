"""Deleted records: the list, one of them, and bringing it back."""

from typing import Any

from satupeta_server.handlers.bodies import BodyReader, IgnoringReader
from satupeta_server.handlers.records import CollectionHandler, ItemHandler, RecordHandler
from satupeta_server.handlers.waiting import in_turn


class _OfTrash(RecordHandler):
    @property
    def service(self) -> Any:
        """The trash of the route's subject."""
        return self.services.trash[self.options_of_route["subject"]]


class TrashHandler(_OfTrash, CollectionHandler):
    """``/trash/things``."""


class DeletedHandler(_OfTrash, ItemHandler):
    """``/trash/things/{id}``."""


class RestoreHandler(_OfTrash):
    """``/trash/things/{id}/restore``."""

    def make_reader(self) -> BodyReader:
        """Take no body."""
        return IgnoringReader(self.services.settings.max_body_size)

    @in_turn
    async def post(self, record_id: str) -> None:
        """Bring the record back."""
        key = self.record_id(record_id)
        self.write_document(await self.service.restore(self.caller, key, self.expected_revisions()))
