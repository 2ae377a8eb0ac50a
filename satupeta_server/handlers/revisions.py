"""The revisions of a mapset."""

from satupeta_server.errors import NotFoundError, invalid
from satupeta_server.handlers.base import BaseHandler
from satupeta_server.handlers.bodies import BodyReader, IgnoringReader
from satupeta_server.handlers.records import envelope
from satupeta_server.handlers.waiting import in_turn
from satupeta_server.queries.listing import parse_list_request

_LARGEST = 2**31 - 1


class RevisionsHandler(BaseHandler):
    """``/mapsets/{id}/revisions``."""

    @in_turn
    async def get(self, record_id: str) -> None:
        """Answer a page of the revisions, the newest first."""
        request = parse_list_request(self.parameters())
        key = self.record_id(record_id)
        page = await self.services.revisions.list(self.caller, key, request)
        self.write_text(envelope(page))


class ComparisonHandler(BaseHandler):
    """``/mapsets/{id}/revisions/compare``."""

    @in_turn
    async def get(self, record_id: str) -> None:
        """Answer in what two revisions differ."""
        key, first, second = self.record_id(record_id), self._named("from"), self._named("to")
        self.write_json(await self.services.revisions.compare(self.caller, key, first, second))

    def _named(self, name: str) -> int:
        text = (self.parameters().get(name) or [""])[-1].strip()
        if not text:
            raise invalid(name, "required")
        number = _number(text)
        if number is None:
            raise invalid(name, "must_be_integer")
        return number


class RevisionHandler(BaseHandler):
    """``/mapsets/{id}/revisions/{revision}``."""

    @in_turn
    async def get(self, record_id: str, revision: str) -> None:
        """Answer the full state that the revision left."""
        key, number = self.record_id(record_id), _of_path(revision)
        self.write_document(await self.services.revisions.get(self.caller, key, number))


class RestoreRevisionHandler(BaseHandler):
    """``/mapsets/{id}/revisions/{revision}/restore``."""

    def make_reader(self) -> BodyReader:
        """Take no body."""
        return IgnoringReader(self.services.settings.max_body_size)

    @in_turn
    async def post(self, record_id: str, revision: str) -> None:
        """Give the mapset the content of the revision."""
        key, number = self.record_id(record_id), _of_path(revision)
        expected = self.expected_revisions()
        revisions = self.services.revisions
        self.write_document(await revisions.restore(self.caller, key, number, expected))


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= 10
    return int(text) if is_number and int(text) <= _LARGEST else None


def _of_path(text: str) -> int:
    number = _number(text)
    if number is None:
        raise NotFoundError
    return number
