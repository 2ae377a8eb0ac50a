"""Which of all words hold the words of a search, and which producers' names do."""

import time
from collections.abc import Mapping, Sequence

from peewee_async.databases import fetchall

from satupeta_server.database import database
from satupeta_server.queries.listing import LONGEST_SEARCH, check_number_of_words
from satupeta_server.queries.tiers import WINDOW
from satupeta_server.queries.words import Word
from satupeta_server.statements import Slot, Statement

MOST_WORDS = 100
"""Words in which a searched one may stand; beyond, reading the texts is quicker."""
COMMON = 0.1
"""Share of the mapsets from which on reading their texts is quicker than the index of words."""
_WALKED = 20
"""Of a share, squared, times the rows: from there on walking to a page reads less than the index.

It reads a page's rows, divided by the share, and the index the share of all rows, which lie apart.
"""
_SURELY = 1.5
"""How many times as many rows as a page needs the first ones hold on average, to be tried."""
_FREQUENCIES_HOLD_SECONDS = 60.0

# The index of the words is by trigrams: of a shorter one it would be read whole. Without accents a
# word can be longer than it was, and than those pieces that very long words are known by have in
# common.
_FOUND = Statement.of(
    r"""SELECT asked.word,
    CASE WHEN length(asked.word) < 3 THEN ARRAY(
        SELECT known.word FROM search_words AS known
        WHERE strpos(known.word, asked.word) > 0 LIMIT %s
    ) WHEN length(asked.word) <= %s THEN ARRAY(
        SELECT known.word FROM search_words AS known
        WHERE known.word LIKE asked.pattern
        LIMIT %s
    ) END,
    ARRAY(SELECT id::text FROM organizations WHERE strpos(plain_text(name), asked.word) > 0)
FROM (
    SELECT word, min(place) AS place,
        '%%' || regexp_replace(word, '([\\%%_])', '\\\1', 'g') || '%%' AS pattern
    FROM unnest(words_of(plain_text(%s::text))) WITH ORDINALITY AS said (word, place)
    WHERE word <> '' GROUP BY word
    OFFSET 0
) AS asked
ORDER BY asked.place""",
    [MOST_WORDS + 1, LONGEST_SEARCH, MOST_WORDS + 1, Slot("search")],
)
# What PostgreSQL itself knows of the most common words, since it last analysed the mapsets.
_FREQUENCIES = """SELECT index_name, word, frequency, (
    SELECT reltuples FROM pg_class WHERE oid = 'mapsets'::regclass
) FROM common_words()"""


class Vocabulary:
    """The words of all texts, and how common they are."""

    def __init__(self) -> None:
        self._frequencies: Mapping[tuple[str, str], float] = {}
        self._rows = 0.0
        self._read_at = float("-inf")

    async def find(self, search: str, needed: int) -> Sequence[Word]:
        """Give the words of a search with those that hold them, where they are few enough.

        ``needed`` is the number of rows up to the end of the page.

        Raises InvalidError for too many words.
        """
        said = search.split()
        if not said:
            return ()
        await self._read_frequencies()
        rows = await database.aio_execute_sql(_FOUND, {"search": " ".join(said)}, fetchall)
        # Without its accents one word may be several, or nothing at all, which every text holds.
        check_number_of_words(len(rows))
        return self._words(rows, needed) or [Word("")]

    async def common(self, share: float) -> Sequence[str]:
        """Give the words that more than a share of the mapsets hold, the most common first."""
        await self._read_frequencies()
        found = [
            (frequency, word)
            for (index, word), frequency in self._frequencies.items()
            if index == "mapsets_search_words" and frequency > share and word.isalnum()
        ]
        return [word for _, word in sorted(found, reverse=True)]

    def _words(
        self, rows: Sequence[tuple[str, Sequence[str] | None, Sequence[str]]], needed: int
    ) -> list[Word]:
        """Say of each word by which words an index finds it, where that is worth while.

        Beside a word that few rows hold a common one is, too: the index reads of its rows only
        those that the other has.
        """
        known = [
            words if words is None or len(words) <= MOST_WORDS else None for _, words, _ in rows
        ]
        texts = [self._share("mapsets_search_words", words) for words in known]
        names = [self._share("mapsets_name_words", words) for words in known]
        is_walked = self._is_walked(names, needed)
        found = []
        for (text, _, producers), words, in_texts, in_names in zip(
            rows, known, texts, names, strict=True
        ):
            # Whoever is found by the producer's name is not found by this index.
            most = in_texts if producers else min(texts)
            found.append(
                Word(
                    text,
                    words if most < COMMON else None,
                    words if min(names) < COMMON else None,
                    producers,
                    is_rare=in_texts == 0,
                    is_rare_in_names=in_names == 0,
                    is_common_in_names=in_names >= COMMON,
                    is_walked=is_walked,
                    known=words,
                )
            )
        return found

    def _is_walked(self, shares: Sequence[float], needed: int) -> bool:
        """Whether a page of the names with all words is likely to stand among the first rows."""

        def is_frequent(share: float) -> bool:
            is_near = share * WINDOW >= needed * _SURELY
            return share >= COMMON or (is_near and share * share * self._rows > _WALKED)

        # Of two that are not common hardly any name has both.
        return all(map(is_frequent, shares)) and sum(share < COMMON for share in shares) <= 1

    def _share(self, index: str, words: Sequence[str] | None) -> float:
        """The share of the rows that hold one of some words; 0 where all of them are rare."""
        if words is None:
            return 1.0
        return sum(self._frequencies.get((index, word), 0.0) for word in words)

    async def _read_frequencies(self) -> None:
        if time.monotonic() - self._read_at < _FREQUENCIES_HOLD_SECONDS:
            return
        rows = await database.aio_execute_sql(_FREQUENCIES, (), fetchall)
        self._frequencies = {(index, word): frequency for index, word, frequency, _ in rows}
        self._rows = rows[0][3] if rows else 0.0
        self._read_at = time.monotonic()
