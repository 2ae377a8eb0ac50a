"""``/metrics``: figures for Prometheus."""

import hmac

from satupeta_server.errors import NotAuthenticatedError, NotFoundError
from satupeta_server.handlers.base import BaseHandler
from satupeta_server.metrics import exposition


class MetricsHandler(BaseHandler):
    """Gives the figures to whoever knows METRICS_TOKEN."""

    async def get(self) -> None:
        """Answer in the format that Prometheus asks for."""
        self._check_token()
        self.application.tell_state()  # type: ignore[attr-defined]
        figures = await self.services.metrics.figures()
        body, media_type = exposition(figures, self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", media_type)
        self.set_header("Cache-Control", "no-store")
        self.write(body)

    def _check_token(self) -> None:
        """Raise NotFoundError where there are no figures to be had, NotAuthenticatedError else."""
        expected = self.services.settings.metrics_token
        if expected is None:
            if self.services.settings.environment == "production":
                raise NotFoundError("path_not_found")
            return
        given = (self.bearer_token() or "").encode()
        if not hmac.compare_digest(given, expected.get_secret_value().encode()):
            raise NotAuthenticatedError
