"""Durations as people write them."""

import datetime
import re

from satupeta_server.errors import InputError

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_MOST_DAYS = 36_500


def parse_duration(text: str) -> datetime.timedelta:
    """Read a duration such as ``30m``, ``12h`` or ``7d``; raises InputError."""
    match = re.fullmatch(r"(\d{1,9})([mhd])", text.strip(), re.ASCII)
    if match is not None:
        duration = datetime.timedelta(**{_UNITS[match[2]]: int(match[1])})
        if duration.days <= _MOST_DAYS:
            return duration
    raise InputError(f"{text!r} is no duration; write one like 30m, 12h or 7d.")


def whole_days(text: str) -> int:
    """Read a duration of whole days, at least one; raises InputError."""
    duration = parse_duration(text)
    if duration.days < 1 or duration != datetime.timedelta(days=duration.days):
        raise InputError(f"{text!r} is no number of whole days; write one like 7d.")
    return duration.days
