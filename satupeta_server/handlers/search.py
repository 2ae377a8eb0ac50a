"""Searching everything, and what a search box suggests."""

from satupeta_server.errors import InvalidError, invalid
from satupeta_server.handlers.base import BaseHandler
from satupeta_server.handlers.waiting import in_turn
from satupeta_server.queries.values import ValueProblem, parse_integer
from satupeta_server.queries.vocabulary import read_terms
from satupeta_server.services.suggestions import MOST_SUGGESTIONS

DEFAULT_HITS, MOST_HITS = 5, 50
DEFAULT_SUGGESTIONS = 8


class _AskedHandler(BaseHandler):
    def limit(self, default: int, most: int) -> int:
        """Give ``limit``, which is never more than the most; raises InvalidError."""
        text = self.last("limit").strip()
        if not text:
            return default
        try:
            number = parse_integer(text)
        except ValueProblem as problem:
            raise InvalidError(errors={"limit": [problem.message]}) from None
        if number < 0:
            raise invalid("limit", "too_small", limit=0)
        return min(number, most)


class SearchHandler(_AskedHandler):
    """``/search``."""

    @in_turn
    async def get(self) -> None:
        """Answer the best hits of each kind."""
        terms, limit = read_terms(self.last("q")), self.limit(DEFAULT_HITS, MOST_HITS)
        self.write_json(await self.services.search.search(self.caller, terms, limit))


class SuggestHandler(_AskedHandler):
    """``/search/suggest``."""

    @in_turn
    async def get(self) -> None:
        """Answer what the text may become."""
        limit = self.limit(DEFAULT_SUGGESTIONS, MOST_SUGGESTIONS)
        self.write_json(await self.services.suggestions.suggest(self.last("q"), limit))
