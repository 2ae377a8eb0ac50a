"""Which of all words hold the words of a search, and which producers' names do."""

from collections.abc import Sequence

from peewee_async.databases import fetchall

from satupeta_server.database import database
from satupeta_server.queries.words import Word
from satupeta_server.statements import Slot, Statement

MOST_WORDS = 100
"""Words in which a searched one may stand; beyond, reading the texts is quicker."""

# The index of the words is by trigrams, so shorter ones are not looked up.
_FOUND = Statement.of(
    r"""SELECT asked.word,
    CASE WHEN length(asked.word) >= 3 THEN ARRAY(
        SELECT known.word FROM search_words AS known
        WHERE known.word LIKE '%%' || regexp_replace(asked.word, '([\\%%_])', '\\\1', 'g') || '%%'
        LIMIT %s
    ) END,
    ARRAY(SELECT id::text FROM organizations WHERE strpos(plain_text(name), asked.word) > 0)
FROM unnest(words_of(plain_text(%s::text))) WITH ORDINALITY AS asked (word, place)
ORDER BY asked.place""",
    [MOST_WORDS + 1, Slot("search")],
)


async def find_words(search: str) -> Sequence[Word]:
    """Give the words of a search with the words that hold them, where they are few enough."""
    if not search.strip():
        return ()
    rows = await database.aio_execute_sql(_FOUND, {"search": search}, fetchall)
    return [
        Word(word, None if words is None or len(words) > MOST_WORDS else words, producers)
        for word, words, producers in rows
    ]
