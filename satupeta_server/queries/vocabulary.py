"""The words of a search, and those of the vocabulary that stand for each of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from satupeta_server.errors import invalid
from satupeta_server.queries.stop_words import STOP_WORDS
from satupeta_server.queries.values import is_storable

LONGEST_QUERY = 255
MOST_WORDS = 16
MOST_ALTERNATIVES = 100

WORD = re.compile(r"[^\W_]+(?:\.[^\W_]+)*")
"""Letters and digits; points hold the parts of a region's code together."""

MEANINGS = """SELECT meant.plain, meant.words, (
    SELECT coalesce(sum(counted.frequency), 0) * (
        SELECT reltuples FROM pg_class WHERE oid = 'mapsets'::regclass
    )
    FROM pg_stats, unnest(most_common_elems::text::text[], most_common_elem_freqs)
        AS counted(word, frequency)
    WHERE schemaname = current_schema AND tablename = 'mapsets_search_words'
        AND counted.word = ANY(meant.words)
)
FROM (
    SELECT asked.place, asked.plain, coalesce(
        nullif(ARRAY(
            SELECT known.word FROM search_words AS known
            WHERE known.stems && asked.stems
                OR asked.is_open AND known.word >= asked.plain AND known.word < asked.beyond
            GROUP BY known.word
            ORDER BY bool_or(known.stems && asked.stems) DESC, length(known.word), known.word
            LIMIT %s
        ), '{}'),
        ARRAY(
            SELECT alike.word FROM (
                SELECT known.word, similarity(known.word, asked.plain) AS likeness,
                    max(similarity(known.word, asked.plain)) OVER () AS greatest
                FROM search_words AS known WHERE known.word %% asked.plain
            ) AS alike
            WHERE alike.likeness >= %s * alike.greatest
            GROUP BY alike.word, alike.likeness ORDER BY alike.likeness DESC, alike.word
            LIMIT %s
        )
    ) AS words
    FROM (
        SELECT place, plain_text(word) COLLATE "C" AS plain, stems_of(plain_text(word)) AS stems,
            %s AND place = %s AS is_open,
            plain_text(word) COLLATE "C" || chr(1114111) AS beyond
        FROM unnest(%s::text[]) WITH ORDINALITY AS given(word, place)
        OFFSET 0
    ) AS asked
    OFFSET 0
) AS meant ORDER BY meant.place"""
"""For each word of a search its plain form, the words by which records are found, and about how
many mapsets have one of these, where that is many.

They share a stem with it; those of the last word, while it is being typed, also begin with it.
Only where there is none are they merely alike, as typing errors leave them.
"""
_SHARE = 0.8
"""How much less alike than the best a word may be."""


@dataclass(frozen=True)
class Terms:
    """The words of a search that say something."""

    words: tuple[str, ...]
    is_open: bool
    """Whether the last of them may go on."""

    @property
    def parameters(self) -> tuple[object, ...]:
        """What the statement of the meanings takes."""
        limits = (MOST_ALTERNATIVES, _SHARE, MOST_ALTERNATIVES)
        return (*limits, self.is_open, len(self.words), list(self.words))


@dataclass(frozen=True)
class Meaning:
    """A word of a search in its plain form, and the words by which records are found."""

    plain: str
    words: tuple[str, ...]
    mapsets: float
    """About how many mapsets have one of them, where that is many."""


def read_terms(text: str) -> Terms:
    """Take a search apart; its last word is open unless something follows it.

    Raises InvalidError, on the field ``q``, for a text that is blank, too long or not storable.
    """
    if not text.strip():
        raise invalid("q", "required")
    if len(text) > LONGEST_QUERY:
        raise invalid("q", "search_too_long", limit=LONGEST_QUERY)
    if not is_storable(text):
        raise invalid("q", "not_text_safe")
    found = [match[0].lower() for match in WORD.finditer(text)]
    is_open = bool(found) and text[-1:].isalnum()
    words = [word for word in found if word not in STOP_WORDS]
    if len(found) == 1 and is_open:
        return Terms(tuple(found), is_open=True)
    is_open = is_open and found[-1] not in STOP_WORDS and len(words) <= MOST_WORDS
    return Terms(tuple(words[:MOST_WORDS]), is_open=is_open)


def meanings(rows: Sequence[tuple[str, Sequence[str], float]]) -> tuple[Meaning, ...]:
    """Read what the statement of the meanings gave."""
    return tuple(Meaning(plain, _telling(words), count) for plain, words, count in rows)


def _telling(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for word in words if word.strip(".,;:()") not in STOP_WORDS)
