"""Logging: one line an event, to standard error."""

import logging

import psycopg2.errors

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
    # An answer of the store that breaks off is a traceback here; our own line says it.
    logging.getLogger("urllib3.connection").setLevel(logging.ERROR)
    logging.getLogger("asyncio").addFilter(_is_no_deadline)


def _is_no_deadline(record: logging.LogRecord) -> bool:
    """Leave out what aiopg tells asyncio of a statement that was ended: our own line says it."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is not psycopg2.errors.QueryCanceled
