"""Whether the process lives, and whether it can serve."""

from satupeta_server.handlers.base import RETRY_AFTER_SECONDS, BaseHandler


class LiveHandler(BaseHandler):
    """``/health/live``."""

    def get(self) -> None:
        """Answer at once."""
        self.set_header("Cache-Control", "no-store")
        self.write_json({"status": "ok"})


class ReadyHandler(BaseHandler):
    """``/health/ready``."""

    async def get(self) -> None:
        """Answer 200 when all that the process needs answers, else 503 and which does not."""
        checks = await self.services.health.check()
        if self.settings["requests"].is_ending:
            checks["process"] = False
        is_ready = all(checks.values())
        self.set_header("Cache-Control", "no-store")
        if not is_ready:
            self.set_status(503)
            self.set_header("Retry-After", str(RETRY_AFTER_SECONDS))
        states = {name: "ok" if answers else "down" for name, answers in checks.items()}
        self.write_json({"status": "ok" if is_ready else "down", "checks": states})
