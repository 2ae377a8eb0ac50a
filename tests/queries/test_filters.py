"""The grammar of filters, for whatever arrives."""

import json

from hypothesis import given
from hypothesis import strategies as st

from satupeta_server.errors import InvalidError
from satupeta_server.models.categories import Category
from satupeta_server.queries.filters import Atom, parse_filters
from satupeta_server.queries.listing import ListRequest, parse_list_request
from satupeta_server.queries.values import is_storable
from satupeta_server.representations.categories import CATEGORIES_LISTING

WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1).map(str.strip).filter(bool)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)


@given(st.lists(st.text() | JSON.map(json.dumps)))
def test_anything_is_read_or_refused(parameters: list[str]) -> None:
    try:
        groups = parse_filters(parameters)
    except InvalidError as error:
        assert list(error.errors) == ["filter"]
    else:
        assert all(isinstance(atom, Atom) for group in groups for atom in group)


@given(WORDS, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), WORDS)
def test_an_atom_is_split_at_its_first_operator(field: str, operator: str, value: str) -> None:
    ((atom,),) = parse_filters([f"{field}{operator}{value}={value}"])
    assert atom == Atom(field, operator, f"{value}={value}")


@given(st.lists(st.tuples(WORDS, WORDS).map("=".join), min_size=1, max_size=20))
def test_repeated_parameters_mean_the_same_as_a_flat_list(atoms: list[str]) -> None:
    assert parse_filters(atoms) == parse_filters([json.dumps(atoms)])


@given(st.text().filter(lambda value: value.strip() and is_storable(value)))
def test_a_value_never_becomes_part_of_the_statement(value: str) -> None:
    groups = ((Atom("name", "=", value),),)
    statement, parameters = (
        Category.select()
        .where(CATEGORIES_LISTING.condition(Category, ListRequest(filters=groups)))
        .sql()
    )
    assert statement.count("%s") == len(parameters)
    assert value in parameters


@given(st.dictionaries(st.sampled_from(["limit", "offset", "sort", "search"]), st.lists(st.text())))
def test_parameters_are_read_or_refused(parameters: dict[str, list[str]]) -> None:
    try:
        request = parse_list_request(parameters)
    except InvalidError as error:
        assert set(error.errors) <= set(parameters)
    else:
        assert request.offset >= 0
