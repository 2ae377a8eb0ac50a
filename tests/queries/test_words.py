"""The words that texts are known by: a search stands in one of them, whatever the text."""

from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from satupeta_server import database
from satupeta_server.queries.listing import LONGEST_SEARCH
from satupeta_server.settings import Settings

LONGEST_PIECE = 600
SIGNS = "aB\u00e9\u0301\u00bd\u0130\u00df\ufb03\u33ae\u00a0\u2003\u3000\U00020000%_\\'"
PARTS = (
    st.text(SIGNS, min_size=1, max_size=20)
    | st.integers(1, 900).map(lambda number: "".join(f"{n}." for n in range(number)))
    | st.sampled_from([" ", "\n", "\t", "  "])
)


def test_each_word_of_a_search_stands_in_a_word_of_the_text(settings: Settings) -> None:
    database.connect(settings)
    sql = """SELECT coalesce(max(length(word)), 0) FROM unnest(words_of(plain_text(%s))) AS word
        UNION ALL SELECT CASE WHEN length(plain_text(%s)) > %s THEN 1 ELSE
            (SELECT count(*) FROM unnest(words_of(plain_text(%s))) AS word
            WHERE strpos(word, plain_text(%s)) > 0) END"""

    @example_settings(max_examples=150, suppress_health_check=list(HealthCheck))
    @given(st.lists(PARTS, min_size=1, max_size=8).map("".join), st.data())
    def check(text: str, data: st.DataObject) -> None:
        first = data.draw(st.integers(0, len(text) - 1))
        length = data.draw(st.integers(1, LONGEST_SEARCH))
        for word in text[first : first + length].split():
            values = (text, word, LONGEST_SEARCH, text, word)
            (longest,), (number,) = database.database.execute_sql(sql, values).fetchall()
            assert longest <= LONGEST_PIECE
            # A fraction begins with a blank, and so may part what it stands in.
            assert number or "\u00bd" in word

    with database.database.allow_sync():
        check()
