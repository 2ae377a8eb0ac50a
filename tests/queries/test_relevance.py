"""The order of a search without ``sort``: the name before all else."""

from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from satupeta_server import database
from satupeta_server.models.categories import Category
from satupeta_server.queries.listing import ListRequest
from satupeta_server.representations.categories import CATEGORIES_LISTING
from satupeta_server.representations.histories import HISTORIES_LISTING
from satupeta_server.representations.mapsets import MAPSETS_LISTING
from satupeta_server.settings import Settings

WORDS = st.sampled_from(["ab", "AB", "b%", "c", "_"])
TEXTS = st.lists(WORDS, max_size=3).map(" ".join)


def hits(name: str, search: str) -> int:
    """0 where the name has all words of a search, 1 where it has some, 2 where it has none."""
    words = search.lower().split()
    found = [word in name.lower() for word in words]
    return 0 if all(found) else 1 if any(found) else 2


def test_what_has_the_words_in_its_name_comes_first(settings: Settings) -> None:
    database.connect(settings)

    @example_settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6), TEXTS)
    def check(rows: list[tuple[str, str]], search: str) -> None:
        Category.delete().execute()
        for number, (name, description) in enumerate(rows):
            Category.create(name=f"{number} {name}", description=description)
        request = ListRequest(search=search)
        query = Category.select(Category.name).where(
            CATEGORIES_LISTING.condition(Category, request)
        )
        found = [row.name for row in query.order_by(*CATEGORIES_LISTING.order(Category, request))]
        ranked = [(hits(name, search), int(name.split()[0])) for name in found]
        assert ranked == sorted(ranked)

    with database.synchronous():
        check()


def test_a_sort_goes_before_and_what_has_no_name_keeps_its_order() -> None:
    search = ListRequest(search="batas desa")
    assert MAPSETS_LISTING.ordering(search).name == "relevance:batas desa"
    sorted_too = ListRequest(search="batas desa", sort="name:asc")
    assert MAPSETS_LISTING.ordering(sorted_too).name == "name:asc"
    assert MAPSETS_LISTING.ordering(ListRequest(search="  ")).name == "created_at:desc"
    assert HISTORIES_LISTING.ordering(search).name == HISTORIES_LISTING.default_sort
