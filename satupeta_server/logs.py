"""Logging: one line an event, to standard error."""

import logging
from typing import Any

import psycopg2.errors

from satupeta_server.settings import Settings


class LineFormatter(logging.Formatter):
    """One line an event; those of a traceback are set in, so that none looks like an event.

    Line ends, terminal commands and whatever else is not printable stand escaped: part of what
    is logged comes from clients.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's own
        """Write the line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  logging's own
        """Write the lines of a traceback."""
        lines = super().formatException(ei).splitlines()
        return "\n".join(f"    {printable(line)}" for line in lines)


def printable(text: str) -> str:
    """Escape what is not printable, as Python does.

    >>> printable("a\\n\\x1b[2Jb")
    'a\\\\n\\\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def configure_logging(settings: Settings) -> None:
    """Send what is at least as severe as LOG_LEVEL to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
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
