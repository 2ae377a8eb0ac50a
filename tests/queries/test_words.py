"""The words that texts are known by: a search stands in one of them, whatever the text."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from satupeta_server import database
from satupeta_server.queries.listing import LONGEST_SEARCH
from satupeta_server.services.vocabulary import Vocabulary
from satupeta_server.settings import Settings
from tests.conftest import Api, execute, with_two_roles
from tests.test_jobs import rows

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
        UNION ALL SELECT CASE WHEN length(plain_text(%s)) > %s OR plain_text(%s) = '' THEN 1 ELSE
            (SELECT count(*) FROM unnest(words_of(plain_text(%s))) AS word
            WHERE strpos(word, plain_text(%s)) > 0) END"""

    @example_settings(max_examples=150, suppress_health_check=list(HealthCheck))
    @given(st.lists(PARTS, min_size=1, max_size=8).map("".join), st.data())
    def check(text: str, data: st.DataObject) -> None:
        first = data.draw(st.integers(0, len(text) - 1))
        length = data.draw(st.integers(1, LONGEST_SEARCH))
        for word in text[first : first + length].split():
            # An accent alone is nothing, which every text holds.
            values = (text, word, LONGEST_SEARCH, word, text, word)
            (longest,), (number,) = database.database.execute_sql(sql, values).fetchall()
            assert longest <= LONGEST_PIECE
            # A fraction begins with a blank, and so may part what it stands in.
            assert number or "\u00bd" in word

    with database.database.allow_sync():
        check()


async def test_a_role_that_owns_nothing_knows_which_words_are_common(
    api: Api, settings: Settings, api_role: str
) -> None:
    for _ in range(2):
        await api.make_public_mapset(name="Peta tematik")
    two = with_two_roles(settings, api_role)
    owner = settings.database_url
    assert owner is not None
    execute(owner.get_secret_value(), "ANALYZE mapsets")
    assert two.database_url is not None
    address = two.database_url.get_secret_value()
    words = "SELECT word FROM common_words() WHERE index_name = 'mapsets_search_words'"
    assert ("tematik",) in rows(address, words)


def test_a_common_word_is_looked_up_beside_a_rare_one_only() -> None:
    vocabulary = Vocabulary()
    vocabulary._frequencies = {
        (index, word): share
        for index in ("mapsets_search_words", "mapsets_name_words")
        for word, share in (("peta", 0.5), ("data", 0.4))
    }
    peta, data = ("peta", ["peta"], []), ("data", ["data"], [])
    rare, unknown = ("jember", ["jember"], []), ("a", None, [])
    of_a_producer = ("peta", ["peta"], ["01968b53-a910-7000-8000-000000000000"])

    def looked_up(*rows: Any) -> list[tuple[bool, bool]]:
        return [
            (word.words is not None, word.name_words is not None)
            for word in vocabulary._words(list(rows), 21)
        ]

    assert looked_up(peta, data) == [(False, False)] * 2
    assert looked_up(peta, unknown) == [(False, False)] * 2
    assert looked_up(peta, rare) == [(True, True)] * 2
    assert looked_up(rare, unknown) == [(True, True), (False, False)]
    assert looked_up(of_a_producer, rare) == [(False, True), (True, True)]


@pytest.mark.parametrize(
    ("shares", "rows", "needed", "is_walked"),
    [
        ((0.5,), 60, 21, True),
        ((0.05,), 1_000, 21, False),
        ((0.05,), 10_000, 21, True),
        ((0.02,), 10_000, 21, False),
        ((0.02,), 1_000_000, 21, True),
        ((0.005,), 1_000_000, 21, False),
        ((0.5, 0.02), 1_000_000, 21, True),
        ((0.02, 0.02), 1_000_000, 21, False),
        ((0.5, 0.0), 1_000_000, 21, False),
        ((0.0,), 1_000_000, 21, False),
        ((0.02,), 1_000_000, 41, False),
        ((0.5,), 1_000_000, 10_001, True),
    ],
)
def test_what_enough_names_hold_is_looked_for_among_the_first(
    shares: tuple[float, ...], rows: float, needed: int, is_walked: bool
) -> None:
    vocabulary = Vocabulary()
    vocabulary._rows = rows
    vocabulary._frequencies = {
        ("mapsets_name_words", f"word{number}"): share for number, share in enumerate(shares)
    }
    given = [(f"word{n}", [f"word{n}"], list[str]()) for n in range(len(shares))]
    found = vocabulary._words(given, needed)
    assert [word.is_walked for word in found] == [is_walked] * len(shares)
