"""Tokens of machines."""

from satupeta_server.handlers.base import BaseHandler
from satupeta_server.handlers.records import envelope
from satupeta_server.handlers.waiting import in_turn
from satupeta_server.schemas.api_tokens import TOKEN_FORM
from satupeta_server.services.records import whole_page


class TokensHandler(BaseHandler):
    """``/tokens``."""

    @in_turn
    async def get(self) -> None:
        """Answer the caller's tokens; an administrator gets everybody's."""
        self.write_text(envelope(whole_page(await self.services.tokens.list(self.caller))))

    @in_turn
    async def post(self) -> None:
        """Make a token, and show its secret for the only time."""
        values = TOKEN_FORM.for_create(self.json_body())
        made = await self.services.tokens.create(self.caller, values)
        self.set_status(201)
        self.write_json(made)


class TokenHandler(BaseHandler):
    """``/tokens/{id}``."""

    @in_turn
    async def delete(self, record_id: str) -> None:
        """Revoke a token."""
        await self.services.tokens.revoke(self.caller, self.record_id(record_id))
        self.set_status(204)
