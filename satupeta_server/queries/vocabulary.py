"""The words of a search, and those of the vocabulary that stand for each of them."""

import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from satupeta_server.errors import invalid
from satupeta_server.queries.stop_words import STOP_WORDS
from satupeta_server.queries.values import is_storable
from satupeta_server.statements import Slot, Statement, Values

LONGEST_QUERY = 255
MOST_WORDS = 16
MOST_ALTERNATIVES = 1000
"""Words of the vocabulary that may stand for one of a search; of more the shortest are taken."""
MOST_COMPARED = 300
"""Words that are looked for which are spelled like one, whoever may see them."""
_MOST_ALIKE = 30
"""Words that may stand for one that is mistyped."""

WORD = re.compile(r"[^\W_]+(?:\.[^\W_]+)*")
"""Letters and digits; points hold the parts of a region's code together."""

_COMMON = """(SELECT word, frequency * (
    SELECT reltuples FROM pg_class WHERE oid = 'mapsets'::regclass
) AS mapsets FROM common_words() WHERE index_name = 'mapsets_search_words')"""
MEANINGS = Statement.of(
    f"""SELECT meant.plain, meant.words, (
    SELECT coalesce(sum(common.mapsets), 0)
    FROM unnest(meant.words) AS given (word) JOIN {_COMMON} AS common USING (word)
)
FROM (
    SELECT asked.place, asked.plain, ARRAY(
        SELECT known.word FROM search_words AS known
        WHERE known.stems && asked.stems
            OR asked.is_open AND known.word >= asked.plain AND known.word < asked.beyond
        GROUP BY known.word
        ORDER BY bool_or(known.stems && asked.stems) DESC, length(known.word), known.word
        LIMIT %s
    ) AS words
    FROM (
        SELECT place, plain_text(word) COLLATE "C" AS plain, stems_of(plain_text(word)) AS stems,
            %s AND place = %s AS is_open,
            plain_text(word) COLLATE "C" || chr(1114111) AS beyond
        FROM unnest(%s::text[]) WITH ORDINALITY AS given (word, place)
        OFFSET 0
    ) AS asked
    OFFSET 0
) AS meant ORDER BY meant.place""",  # noqa: S608
    [Slot("most"), Slot("is_open"), Slot("last"), Slot("words")],
)
"""For each word of a search its plain form, the words by which records are found, and about how
many mapsets have one of these, where that is many.

They share a stem with it; those of the last word, while it is being typed, also begin with it.
"""
_ONE_ERROR = 0.7
"""How much alike short words are at least that differ by one letter, or by the places of two."""
ALIKE = Statement.of(
    f"""SELECT asked.plain, alike.word, alike.likeness, coalesce(common.mapsets, 0)
FROM unnest(%s::text[]) AS asked (plain), LATERAL (
    SELECT found.word, max(found.likeness) AS likeness FROM (
        SELECT known.word, similarity(known.word, asked.plain) AS likeness
        FROM search_words AS known WHERE known.word %% asked.plain
        UNION ALL
        SELECT known.word, {_ONE_ERROR} + (1 - {_ONE_ERROR}) * similarity(known.word, asked.plain)
        FROM search_words AS known WHERE spellings_of(known.word) && spellings_of(asked.plain)
            AND is_misspelled(known.word, asked.plain)
    ) AS found GROUP BY found.word ORDER BY likeness DESC, found.word LIMIT %s
) AS alike LEFT JOIN {_COMMON} AS common USING (word)
ORDER BY alike.likeness DESC, alike.word""",  # noqa: S608
    [Slot("words"), MOST_COMPARED],
)
"""For each of some plain words those that are spelled like it, the most alike first, how much they
are so (0 to 1), and about how many mapsets have them."""
_SHARE = 0.8
"""How much less alike than the best a word may be."""

Alike = tuple[str, float, float]
"""A word, how much it is like another (0 to 1), and about how many mapsets have it."""


@dataclass(frozen=True)
class Terms:
    """The words of a search that say something."""

    words: tuple[str, ...]
    is_open: bool
    """Whether the last of them may go on."""

    def parameters(self, most: int) -> Values:
        """What the statement of the meanings takes, to find so many words for each and one more."""
        words = list(self.words)
        return {"most": most + 1, "is_open": self.is_open, "last": len(words), "words": words}


@dataclass(frozen=True)
class Meaning:
    """A word of a search in its plain form, and the words by which records are found."""

    plain: str
    words: tuple[str, ...]
    mapsets: float
    """About how many mapsets have one of them, where that is many."""
    is_whole: bool = True
    """Whether these are all words that may stand for it."""


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


def meanings(rows: Sequence[tuple[str, Sequence[str], float]], most: int) -> tuple[Meaning, ...]:
    """Read what the statement of the meanings gave."""
    return tuple(
        Meaning(plain, _telling(words[:most]), count, is_whole=len(words) <= most)
        for plain, words, count in rows
    )


def nearest(rows: Iterable[Alike], hidden: Set[str]) -> list[Alike]:
    """Choose of words, the most alike first, the best that is not hidden and the nearly best."""
    rest = [row for row in rows if row[0] not in hidden]
    return [row for row in rest[:_MOST_ALIKE] if row[1] >= _SHARE * rest[0][1]]


def alike(plain: str, rows: Sequence[Alike]) -> Meaning:
    """Let words that are spelled alike, the most alike first, stand for a plain one.

    None stands for one that is most like a word that says nothing.
    """
    words = _telling([word for word, *_ in rows])
    says_something = rows[0][0] in words
    return Meaning(plain, words if says_something else (), sum(row[2] for row in rows))


def has_digit(word: str) -> bool:
    """Tell whether a word is a number, a year or a code, for which no other one may stand."""
    return any(letter.isdigit() for letter in word)


def _telling(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for word in words if word.strip(".,;:()") not in STOP_WORDS)
