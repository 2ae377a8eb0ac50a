"""What mapsets have besides list and detail."""

from satupeta_server.handlers.base import BaseHandler
from satupeta_server.handlers.waiting import in_turn
from satupeta_server.schemas.mapsets import ACTIVATION_FORM


class ActivationHandler(BaseHandler):
    """``/mapsets/activation``."""

    @in_turn
    async def patch(self) -> None:
        """Activate or deactivate several mapsets, all or none."""
        values = ACTIVATION_FORM.for_create(self.json_body())
        mapsets = self.services.mapsets
        self.write_text(
            await mapsets.set_active(self.caller, values["ids"], is_active=values["is_active"])
        )
