"""Logging: one line an event, to standard error."""

import logging

from satupeta_server.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Send what is at least as severe as LOG_LEVEL to standard error."""
    logging.basicConfig(
        level=settings.log_level,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    # These log statements with their values, which may be personal or secret.
    for name in ("peewee", "peewee.async", "urllib3", "yoyo.migrations"):
        logging.getLogger(name).setLevel(logging.WARNING)
