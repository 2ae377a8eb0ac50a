"""What is kept of one person."""

import http

from satupeta_server.errors import NotFoundError
from satupeta_server.handlers.base import BaseHandler
from satupeta_server.handlers.bodies import BodyReader, IgnoringReader
from satupeta_server.handlers.waiting import in_turn


class OwnDataHandler(BaseHandler):
    """``/me/data``."""

    @in_turn
    async def get(self) -> None:
        """Answer all that is kept of the caller."""
        self.write_json(await self.services.personal_data.own(self.caller))


class PersonalDataHandler(BaseHandler):
    """``/users/{id}/data``."""

    @in_turn
    async def get(self, record_id: str) -> None:
        """Answer all that is kept of a user."""
        key = self.record_id(record_id)
        self.write_json(await self.services.personal_data.export(self.caller, key))


class ErasureHandler(BaseHandler):
    """``/users/{id}/erase``."""

    def make_reader(self) -> BodyReader:
        """Take no body."""
        return IgnoringReader(self.services.settings.max_body_size)

    @in_turn
    async def post(self, record_id: str) -> None:
        """Erase what tells of a user."""
        if not await self.services.personal_data.erase(self.caller, self.record_id(record_id)):
            raise NotFoundError
        self.set_status(http.HTTPStatus.NO_CONTENT)
