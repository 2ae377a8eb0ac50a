"""The sessions of oneself and of others: which are open, and ending them."""

from satupeta_server.errors import invalid
from satupeta_server.handlers.base import BaseHandler
from satupeta_server.handlers.records import envelope
from satupeta_server.handlers.waiting import in_turn
from satupeta_server.queries.values import ValueProblem, parse_boolean
from satupeta_server.services.records import whole_page


class OwnSessionsHandler(BaseHandler):
    """``/me/sessions``."""

    @in_turn
    async def get(self) -> None:
        """Answer the caller's open sessions."""
        self.write_text(envelope(whole_page(await self.services.accounts.own(self.caller))))

    @in_turn
    async def delete(self) -> None:
        """End them all, or all but the one that calls."""
        await self.services.accounts.end_own(self.caller, keep_current=self._keep_current())
        self.set_status(204)

    def _keep_current(self) -> bool:
        text = (self.parameters().get("keep_current") or ["false"])[-1]
        try:
            return parse_boolean(text)
        except ValueProblem:
            raise invalid("keep_current", "must_be_boolean") from None


class OwnSessionHandler(BaseHandler):
    """``/me/sessions/{id}``."""

    @in_turn
    async def delete(self, record_id: str) -> None:
        """End one of the caller's sessions."""
        await self.services.accounts.end_own(self.caller, self.record_id(record_id))
        self.set_status(204)


class SessionsHandler(BaseHandler):
    """``/users/{id}/sessions``."""

    @in_turn
    async def get(self, user_id: str) -> None:
        """Answer a user's open sessions."""
        rows = await self.services.accounts.of_user(self.caller, self.record_id(user_id))
        self.write_text(envelope(whole_page(rows)))

    @in_turn
    async def delete(self, user_id: str) -> None:
        """End all sessions of a user."""
        await self.services.accounts.end_of_user(self.caller, self.record_id(user_id))
        self.set_status(204)


class SessionHandler(BaseHandler):
    """``/users/{id}/sessions/{session}``."""

    @in_turn
    async def delete(self, user_id: str, session_id: str) -> None:
        """End one session of a user."""
        user, session = self.record_id(user_id), self.record_id(session_id)
        await self.services.accounts.end_of_user(self.caller, user, session)
        self.set_status(204)
