"""Classifications."""

from typing import Any

from satupeta_server.errors import invalid
from satupeta_server.representations.classifications import (
    CLASSIFICATION,
    CLASSIFICATIONS_LISTING,
)
from satupeta_server.security.callers import Caller
from satupeta_server.services.records import RecordService, Resource, Values

_LEVELS = ("is_open", "is_limited", "is_secret")


class ClassificationService(RecordService):
    """How open mapsets are: at most one level each."""

    resource = Resource("classifications", CLASSIFICATION, CLASSIFICATIONS_LISTING)

    async def prepared(self, caller: Caller, values: Values, row: Any) -> Values:
        """Refuse a classification of two levels; raises InvalidError."""
        del caller
        levels = [values.get(level, getattr(row, level, False)) for level in _LEVELS]
        if sum(levels) > 1:
            wrong = next(level for level in _LEVELS if values.get(level))
            raise invalid(wrong, "one_level_only")
        return values
