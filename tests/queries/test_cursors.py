"""Cursors: what is given is read back, what was not given is refused, and a walk is whole."""

import base64
from typing import Any

import orjson
import peewee
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from satupeta_server import database
from satupeta_server.errors import InvalidError
from satupeta_server.models.categories import Category
from satupeta_server.openapi import EXAMPLE_CURSOR
from satupeta_server.queries.cursors import read_cursor, write_cursor
from satupeta_server.queries.listing import ListRequest
from satupeta_server.queries.values import ValueProblem
from satupeta_server.representations.categories import CATEGORIES_LISTING
from satupeta_server.representations.mapsets import MAPSETS_LISTING
from satupeta_server.settings import Settings

ID = "01968b53-a910-7a67-bd10-975b8923b92e"
BY_NAME = MAPSETS_LISTING.ordering(ListRequest(sort="name:asc"))
NEWEST = MAPSETS_LISTING.ordering(ListRequest())

SORTS = ["name:asc", "name:desc", "description:asc", "description:desc", "is_active:desc"]
ROWS = st.tuples(st.sampled_from("aAbB"), st.none() | st.sampled_from("xyX"), st.booleans())


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_place_comes_back_as_it_was(name: str) -> None:
    token = write_cursor(BY_NAME, [name, ID])
    assert read_cursor(BY_NAME, token) == (name, ID)
    assert token.replace("-", "").replace("_", "").isalnum()


def refused(**parameters: str) -> list[str]:
    with pytest.raises(InvalidError) as error:
        MAPSETS_LISTING.read({name: [value] for name, value in parameters.items()})
    (field,) = error.value.errors
    (message,) = error.value.errors[field]
    assert message.text("id") != message.text("en")
    return [field, message.key]


def test_the_example_of_the_document_is_one() -> None:
    assert MAPSETS_LISTING.read({"cursor": [EXAMPLE_CURSOR]}).after is not None


def test_a_cursor_belongs_to_its_order_and_is_refused_beside_an_offset() -> None:
    token = write_cursor(BY_NAME, ["a", ID])
    assert MAPSETS_LISTING.read({"cursor": [token], "sort": ["name"]}).after == ("a", ID)
    assert refused(cursor=token) == ["cursor", "cursor_of_other_order"]
    assert refused(cursor=token, sort="name:desc") == ["cursor", "cursor_of_other_order"]
    assert refused(cursor=token, sort="name:asc", offset="0") == ["offset", "offset_with_cursor"]


@pytest.mark.parametrize(
    "position",
    [
        [],
        [ID],
        ["yesterday", ID],
        [None, ID],
        [1, ID],
        [[], ID],
        [{}, {}],
        ["2026-01-01T00:00:00Z", "x"],
        ["2026-01-01T00:00:00Z", None],
        ["2026-01-01T00:00:00Z", ID, ID],
    ],
)
def test_a_place_that_cannot_be_one_is_refused(position: list[Any]) -> None:
    assert refused(cursor=write_cursor(NEWEST, position)) == ["cursor", "must_be_cursor"]


@given(st.data())
def test_a_token_that_was_touched_is_refused(data: st.DataObject) -> None:
    token = EXAMPLE_CURSOR
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.characters(exclude_characters=token[place]))
    for touched in (token[:place] + letter + token[place + 1 :], token[:place]):
        if touched:
            with pytest.raises(ValueProblem):
                read_cursor(NEWEST, touched)


@given(st.text() | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_whatever_arrives_is_refused(text: str) -> None:
    with pytest.raises(ValueProblem):
        read_cursor(NEWEST, text)


def page(sort: str, cursor: str | None, limit: int) -> tuple[list[Any], str | None]:
    """The ids of a page of categories, and the cursor of the next one."""
    listing, source = CATEGORIES_LISTING, Category.alias()
    ordering = listing.ordering(ListRequest(sort=sort))
    query = source.select(source.id, ordering.position(source).cast("text"))
    query = query.order_by(*ordering.clauses(source)).limit(limit)
    if cursor is not None:
        query = query.where(ordering.after(source, read_cursor(ordering, cursor)))
    rows = query.tuples().execute()
    found = [row[0] for row in rows]
    return found, write_cursor(ordering, orjson.loads(rows[-1][1])) if found else None


def make(row: tuple[str, str | None, bool], number: int) -> Any:
    name, description, is_active = row
    return Category.create(name=f"{name}{number}", description=description, is_active=is_active).id


def test_a_walk_meets_what_stays_exactly_once_whatever_comes_and_goes(settings: Settings) -> None:
    database.connect(settings)

    @example_settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(SORTS),
        st.lists(ROWS, min_size=3, max_size=12),
        st.lists(st.tuples(ROWS, st.integers(0, 20)), max_size=6),
        st.integers(1, 4),
    )
    def check(sort: str, first: list[Any], changes: list[tuple[Any, int]], limit: int) -> None:
        Category.delete().execute()
        staying = {make(row, number) for number, row in enumerate(first)}
        met: list[Any] = []
        cursor, number, pending = None, len(first), list(changes)
        while True:
            found, cursor = page(sort, cursor, limit)
            met += found
            if not found:
                break
            if pending:
                row, victim = pending.pop()
                number += 1
                make(row, number)
                gone = sorted(staying)[victim % len(staying)] if len(staying) > 1 else None
                Category.delete().where(Category.id == gone).execute()
                staying.discard(gone)
        assert len(met) == len(set(met))
        assert staying <= set(met)

    with database.synchronous():
        check()


def test_a_walk_is_the_whole_list_in_its_order(settings: Settings) -> None:
    database.connect(settings)
    with database.synchronous():
        Category.delete().execute()
        texts = ["x", None, "X", "", None, "y", "x"]
        for number, text in enumerate(texts):
            make(("a", text, number % 2 == 0), number)
        for sort in SORTS:
            order = CATEGORIES_LISTING.order(Category, ListRequest(sort=sort))
            whole = [row.id for row in Category.select(Category.id).order_by(*order)]
            met, cursor = page(sort, None, 2)
            while cursor is not None:
                found, cursor = page(sort, cursor, 2)
                met += found
            assert met == whole


def test_the_comparison_begins_in_the_middle_of_an_index() -> None:
    statement = peewee.Select(columns=[NEWEST.after(MAPSETS_LISTING.model, (1, 2))]).sql()[0]
    assert " < (" in statement
    assert " OR " not in statement
