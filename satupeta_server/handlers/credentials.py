"""What credentials have besides list and detail."""

from satupeta_server.handlers.base import BaseHandler
from satupeta_server.handlers.waiting import in_turn


class DecryptedHandler(BaseHandler):
    """``/credentials/{id}/decrypted``."""

    @in_turn
    async def get(self, record_id: str) -> None:
        """Answer a credential with what it keeps secret, and record who read it."""
        key = self.record_id(record_id)
        self.write_document(await self.services.credentials.get_decrypted(self.caller, key))
