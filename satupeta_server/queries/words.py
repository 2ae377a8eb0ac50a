"""Words of a search: in which rows they stand, and in whose names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import peewee
from peewee import SQL, NodeList, fn

from satupeta_server.statements import Slot


@dataclass(frozen=True)
class Word:
    """A word that a row's text must hold, whatever the case and the accents.

    Each part may be a slot. What is made of slots stands in subqueries: a plan for any value would
    make it again for each row.
    """

    text: str | Slot
    words: Sequence[str] | Slot | None = None
    """The words of all texts that hold this one, where few enough rows do for their index."""
    name_words: Sequence[str] | Slot | None = None
    """The same, where few enough rows do in their names."""
    producers: Sequence[str] | Slot | None = None
    """The ids of the producers in whose names it stands, where these count."""
    is_rare: bool = False
    """Whether so few rows hold it that finding and ordering all of them is quickest."""
    is_rare_in_names: bool = False
    is_common_in_names: bool = False
    """Whether so many names hold it that by it alone a page is found sooner without the index."""

    known: Sequence[str] | Slot | None = None
    """The words of all texts that hold this one, however many rows do."""
    is_walked: bool = False
    """Whether a page of names with all the words is looked for among the first rows, at first."""
    is_gathered: bool = False
    """Whether all rows that have it are read, and found by the index alone."""

    def walked(self) -> "Word":
        """The same word for who looks at the first rows, one by one."""
        return replace(self, words=None, name_words=None)

    def gathered(self) -> "Word":
        """The same word for who reads all rows that have it."""
        return replace(self, words=self.known, name_words=self.known, is_gathered=True)

    def condition(self, source: Any) -> Any:
        """That a row of a table that can be searched holds the word."""
        held = self._stands_in(peewee.Column(source, "search_text"), self.words)
        if self.producers is None:
            return held
        among = SQL("= ANY((SELECT %s::text[]::uuid[])::uuid[])", (self.producers,))
        return NodeList((source.producer_id, among)) | held

    def in_name(self, source: Any, *, by_index: bool = True) -> Any:
        """That the name of a row holds the word."""
        return self._stands_in(fn.plain_text(source.name), self.name_words if by_index else None)

    def not_in_name(self, source: Any) -> Any:
        """That it does not, for which no index helps."""
        return ~self._stands_in(fn.plain_text(source.name), None)

    def _stands_in(self, text: Any, words: Any) -> Any:
        plain = SQL("(SELECT plain_text(%s::text))", (self.text,))
        stands = fn.strpos(text, plain) > 0
        if words is None:
            return stands
        has_one = NodeList((SQL("("), fn.words_of(text), SQL("&& %s::text[])", (words,))))
        # Where another index is taken, reading the text is cheaper than parting it into words.
        return has_one if self.is_gathered else stands & has_one
