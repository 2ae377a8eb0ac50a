"""Logging: one line an event, to standard error."""

import datetime
import logging
import re
from collections.abc import Mapping
from typing import Any

import orjson
import psycopg2.errors

from satupeta_server.observing import Finished
from satupeta_server.settings import Settings

requests = logging.getLogger("satupeta_server.requests")


_FORMATS: Mapping[str, str] = {"development": "text", "production": "json"}
_PERSONS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "ids": ("user_id",),
    "addresses": ("user_id", "address"),
}


class _Limits:
    """What the settings say of the lines of requests."""

    slow_seconds = float("inf")
    persons: tuple[str, ...] = ()


_limits = _Limits()


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


class JsonFormatter(logging.Formatter):
    """One JSON object a line (RFC 8259), the fields of an event beside its message."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the line; a traceback is one of its fields."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        fields: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= getattr(record, "fields", {})
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        # What is no text, which a client's path may hold, is no JSON either.
        plain = {
            name: value.encode("utf-8", "backslashreplace").decode()
            if isinstance(value, str)
            else value
            for name, value in fields.items()
        }
        return _UNPRINTABLE.sub(_escaped, orjson.dumps(plain, default=str).decode())


# Control characters, marks of direction and line separators, which JSON itself may leave as they
# are; what a terminal takes for a command is among them.
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def _escaped(match: "re.Match[str]") -> str:
    return f"\\u{ord(match[0]):04x}"


def printable(text: str) -> str:
    """Escape what is not printable, as Python does.

    >>> printable("a\\n\\x1b[2Jb")
    'a\\\\n\\\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def log_finished(finished: Finished, trace_id: str = "") -> None:
    """Log an answered request; of its address only the path, since people search for names."""
    is_slow = finished.seconds > _limits.slow_seconds
    level = logging.WARNING if finished.status >= 500 or is_slow else logging.INFO
    if not requests.isEnabledFor(level):
        return
    milliseconds = finished.seconds * 1000
    spent = finished.spent
    fields: dict[str, object] = {
        "request_id": finished.request_id,
        "method": finished.method,
        "route": finished.route,
        "path": finished.path,
        "status": finished.status,
        "milliseconds": round(milliseconds, 1),
        "statements": spent.statements if spent else 0,
        "statement_milliseconds": round(spent.seconds * 1000, 1) if spent else 0,
        "kept": finished.is_kept,
        "slow": is_slow,
    }
    if trace_id:
        fields["trace_id"] = trace_id
    fields |= {name: getattr(finished, name) for name in _limits.persons}
    requests.log(
        level,
        "%s %s %d %.1f ms%s %s",
        finished.method,
        finished.path,
        finished.status,
        milliseconds,
        ", slow" if is_slow else "",
        finished.request_id,
        extra={"fields": fields},
    )


def configure_logging(settings: Settings) -> None:
    """Send what is at least as severe as LOG_LEVEL to standard error."""
    handler = logging.StreamHandler()
    is_json = (settings.log_format or _FORMATS[settings.environment]) == "json"
    text = LineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if is_json else text)
    _limits.slow_seconds = settings.slow_request_milliseconds / 1000 or float("inf")
    _limits.persons = _PERSONS[settings.log_personal_data]
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
