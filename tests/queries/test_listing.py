"""Lists: the grammar of filters by a small model of it, and what PostgreSQL makes of it."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satupeta_server import database
from satupeta_server.errors import STATUS, AppError, InvalidError
from satupeta_server.models.categories import Category
from satupeta_server.models.map_projection_systems import MapProjectionSystem
from satupeta_server.queries.filters import MOST_ATOMS, Atom, parse_filters
from satupeta_server.queries.listing import (
    LARGEST_OFFSET,
    LONGEST_SEARCH,
    Listing,
    ListRequest,
    parse_list_request,
)
from satupeta_server.representations.categories import CATEGORIES_LISTING
from satupeta_server.representations.classifications import CLASSIFICATIONS_LISTING
from satupeta_server.representations.credentials import CREDENTIALS_LISTING
from satupeta_server.representations.histories import HISTORIES_LISTING
from satupeta_server.representations.map_projection_systems import MAP_PROJECTION_SYSTEMS_LISTING
from satupeta_server.representations.map_sources import MAP_SOURCES_LISTING
from satupeta_server.representations.mapsets import MAPSETS_LISTING
from satupeta_server.representations.news import NEWS_LISTING
from satupeta_server.representations.organizations import ORGANIZATIONS_LISTING
from satupeta_server.representations.regionals import REGIONALS_LISTING
from satupeta_server.representations.roles import ROLES_LISTING
from satupeta_server.representations.users import USERS_LISTING
from satupeta_server.settings import Settings

LISTINGS = {
    "categories": CATEGORIES_LISTING,
    "classifications": CLASSIFICATIONS_LISTING,
    "credentials": CREDENTIALS_LISTING,
    "histories": HISTORIES_LISTING,
    "map_projection_systems": MAP_PROJECTION_SYSTEMS_LISTING,
    "map_sources": MAP_SOURCES_LISTING,
    "mapsets": MAPSETS_LISTING,
    "news": NEWS_LISTING,
    "organizations": ORGANIZATIONS_LISTING,
    "regionals": REGIONALS_LISTING,
    "roles": ROLES_LISTING,
    "users": USERS_LISTING,
}
OPERATORS = ["=", "!=", "<", "<=", ">", ">=", "in"]

Groups = tuple[tuple[Atom, ...], ...]
Parameter = tuple[str, Groups]
"""A ``filter`` parameter as it stands on the wire, and what it means."""


# What a client writes, made together with what it means by it.


@st.composite
def atoms(draw: st.DrawFn) -> tuple[str, Atom]:
    """An atom as text and as it is meant."""
    field = draw(st.from_regex(r"[a-z_]+[0-9]?", fullmatch=True))
    operator = draw(st.sampled_from(OPERATORS))
    value = draw(
        st.text(st.characters(exclude_categories=["Cs"])).filter(
            # What begins with = would read on the operator before it.
            lambda text: not text.startswith("=")
        )
    )
    gap = " " if operator == "in" else draw(st.sampled_from(["", " "]))
    after = " " if operator == "in" else ""
    return f"{field}{gap}{operator}{after}{value}", Atom(field, operator, value.strip())


def repeated(atom: tuple[str, Atom]) -> Parameter:
    """F1: the atom itself."""
    return atom[0], ((atom[1],),)


def flat(chosen: list[tuple[str, Atom]]) -> Parameter:
    """F2: a JSON list of atoms, all of which must hold."""
    return json.dumps([text for text, _ in chosen]), tuple((atom,) for _, atom in chosen)


def nested(chosen: list[list[tuple[str, Atom]]]) -> Parameter:
    """F3: a JSON list of JSON lists, of each of which one atom must hold."""
    meant = tuple(tuple(atom for _, atom in inner) for inner in chosen)
    return json.dumps([[text for text, _ in inner] for inner in chosen]), meant


def blank(text: str) -> Parameter:
    """F4: no filter."""
    return text, ()


@st.composite
def mixed(draw: st.DrawFn) -> Parameter:
    """A JSON list of which some entries are atoms and some are lists of atoms."""
    parts = draw(st.lists(st.lists(atoms(), min_size=1, max_size=3), min_size=1, max_size=4))
    written = [
        [text for text, _ in part] if len(part) > 1 or draw(st.booleans()) else part[0][0]
        for part in parts
    ]
    return json.dumps(written), tuple(tuple(atom for _, atom in part) for part in parts)


PARAMETERS = st.one_of(
    atoms().map(repeated),
    st.lists(atoms(), max_size=4).map(flat),
    st.lists(st.lists(atoms(), min_size=1, max_size=3), max_size=3).map(nested),
    mixed(),
    st.sampled_from(["", " ", "\t"]).map(blank),
)


@given(st.lists(PARAMETERS, max_size=5))
def test_every_shape_and_mixture_means_what_was_meant(parameters: list[Parameter]) -> None:
    meant = tuple(group for _, groups in parameters for group in groups)
    assert parse_filters([text for text, _ in parameters]) == meant


def is_word(text: str) -> bool:
    return bool(text) and all(letter.isalnum() or letter == "_" for letter in text)


def model_of_atom(text: str) -> Atom | None:
    """The grammar of one atom, written once more and without a regular expression."""
    rest = text.lstrip()
    length = 0
    while is_word(rest[length : length + 1]):
        length += 1
    field, rest = rest[:length], rest[length:]
    value = rest.lstrip()
    for operator in ("!=", "<=", ">=", "=", "<", ">"):
        if field and value.startswith(operator):
            return Atom(field, operator, value.removeprefix(operator).strip())
    if field and value != rest and value.startswith("in") and not is_word(value[2:3]):
        return Atom(field, "in", value[2:].strip())
    return None


@given(st.text("ab_i n=!<>,\t") | st.text())
def test_an_atom_is_read_as_the_model_reads_it(text: str) -> None:
    expected = model_of_atom(text)
    if not text.strip() or text.strip().startswith("["):
        return
    try:
        groups = parse_filters([text])
    except InvalidError:
        assert expected is None
    else:
        assert groups == ((expected,),)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
PARAMETERS_OF_LISTS = ("filter", "sort", "search", "limit", "offset")
PARAMETERS_OF_LISTS += ("bbox", "datetime", "cursor", "facets")
WHATEVER = st.text() | JSON.map(json.dumps) | st.text('[]",=a{}').map(lambda text: f"[{text}")


@given(
    st.dictionaries(
        st.sampled_from([*PARAMETERS_OF_LISTS, "other"]),
        st.lists(WHATEVER, max_size=3),
    ),
    st.sampled_from(list(LISTINGS)),
)
def test_whatever_arrives_becomes_a_statement_or_a_refusal(
    parameters: dict[str, list[str]], name: str
) -> None:
    listing = LISTINGS[name]
    try:
        request = listing.read(parameters)
        condition = listing.condition(listing.model, request)
    except AppError as error:
        assert 400 <= STATUS[type(error)] < 500
        assert set(error.errors) <= {*PARAMETERS_OF_LISTS} - {"sort"}
        assert all(one.text("id") for messages in error.errors.values() for one in messages)
        return
    query = listing.model.select().where(condition).order_by(*listing.order(listing.model, request))
    statement, values = query.limit(listing.limit(request, 1000)).offset(request.offset).sql()
    assert statement.count("%s") == len(values)


@pytest.mark.parametrize("depth", [10, 100, 1000, 5000])
def test_depth_hurts_nobody(depth: int) -> None:
    with pytest.raises(InvalidError):
        parse_filters(["[" * depth + "]" * depth])
    with pytest.raises(InvalidError):
        parse_filters(["[" * depth])


def test_as_many_atoms_as_allowed_and_no_more() -> None:
    assert len(parse_filters(["a=1"] * MOST_ATOMS)) == MOST_ATOMS
    for parameters in (["a=1"] * (MOST_ATOMS + 1), [json.dumps([["a=1"] * (MOST_ATOMS + 1)])]):
        with pytest.raises(InvalidError):
            parse_filters(parameters)
    with pytest.raises(InvalidError):
        condition(CATEGORIES_LISTING, filter=["name in " + "a," * 100])


def test_a_character_that_no_text_can_hold_is_refused_however_it_is_written() -> None:
    for parameters in (["name=\0"], ['["name=\\u0000"]'], ["name in a,\0"], ["name>\0"]):
        with pytest.raises(InvalidError):
            condition(CATEGORIES_LISTING, filter=parameters)
    with pytest.raises(InvalidError):
        condition(CATEGORIES_LISTING, search=["a\0b"])


def condition(listing: Listing, **parameters: list[str]) -> Any:
    """The condition of a request."""
    return listing.condition(listing.model, parse_list_request(parameters))


# Sort


def order_by(listing: Listing, sort: str | None) -> tuple[str, list[Any]]:
    request = ListRequest(sort=sort)
    query = listing.model.select(listing.model.id)
    statement: tuple[str, list[Any]] = query.order_by(*listing.order(listing.model, request)).sql()
    return statement


@pytest.mark.parametrize("name", LISTINGS)
def test_every_sort_field_goes_both_ways_with_the_id_last(name: str) -> None:
    listing = LISTINGS[name]
    for field in (*listing.sorts, *listing.extra_sorts):
        upwards, downwards = (order_by(listing, f"{field}:{way}")[0] for way in ("asc", "desc"))
        (key,) = listing.ordering(ListRequest(sort=field)).keys
        last = " NULLS LAST" if key.is_nullable else ""
        assert f" ASC{last}, " in upwards
        assert upwards.endswith('"id" ASC')
        assert f" DESC{last}, " in downwards
        assert downwards.endswith('"id" DESC')
        assert order_by(listing, field)[0] == upwards


@given(st.text() | st.tuples(st.text(), st.sampled_from(["asc", "desc", ""])).map(":".join))
def test_an_unknown_sort_falls_back(sort: str) -> None:
    for listing in LISTINGS.values():
        if sort.partition(":")[0] not in (*listing.sorts, *listing.extra_sorts):
            assert order_by(listing, sort) == order_by(listing, None)


@pytest.mark.parametrize("sort", ["name:up", "name:ASC ", "name:asc:desc", "name:desc;--", ":asc"])
def test_an_unknown_direction_falls_back(sort: str) -> None:
    for listing in LISTINGS.values():
        assert order_by(listing, sort) == order_by(listing, None)


def test_nothing_can_be_sorted_or_filtered_by_a_secret() -> None:
    for listing in LISTINGS.values():
        names = {*listing.filters, *listing.sorts, *listing.extra_sorts}
        assert not [name for name in names if "password" in name or "sensitive" in name]


# Limit and offset


@given(st.integers())
def test_limit_and_offset_have_bounds(number: int) -> None:
    for name in ("limit", "offset"):
        try:
            request = parse_list_request({name: [str(number)]})
        except InvalidError as error:
            assert list(error.errors) == [name]
            assert not 0 <= number <= LARGEST_OFFSET
        else:
            assert getattr(request, name) == number
            assert 0 <= number <= LARGEST_OFFSET


@pytest.mark.parametrize("text", ["+1", "1.0", "1e3", "0x10", "١", "²", "1 0", "null", "9" * 5000])
def test_what_is_no_number_is_refused(text: str) -> None:
    for name in ("limit", "offset"):
        with pytest.raises(InvalidError):
            parse_list_request({name: [text]})


def test_blank_parameters_are_as_good_as_none_and_the_last_one_counts() -> None:
    names = ("filter", "sort", "search", "limit", "offset")
    assert parse_list_request({name: [""] for name in names}) == ListRequest()
    assert parse_list_request({name: [] for name in names}) == ListRequest()
    assert parse_list_request({"limit": ["1", "2"], "sort": ["a:asc", "b:asc"]}) == ListRequest(
        limit=2, sort="b:asc"
    )


def test_only_lists_that_grow_are_capped() -> None:
    capped = {name for name, listing in LISTINGS.items() if listing.is_capped}
    assert {"mapsets", "news", "regionals"} <= capped
    for name, listing in LISTINGS.items():
        everything, much = ListRequest(), ListRequest(limit=10**6)
        assert listing.limit(everything, 1000) == (1000 if name in capped else None)
        assert listing.limit(much, 1000) == (1000 if name in capped else 10**6)
        assert listing.limit(ListRequest(limit=0), 1000) == 0


def test_a_search_text_has_a_greatest_length() -> None:
    assert parse_list_request({"search": ["x" * LONGEST_SEARCH]}).search == "x" * LONGEST_SEARCH
    with pytest.raises(InvalidError) as error:
        parse_list_request({"search": ["x" * (LONGEST_SEARCH + 1)]})
    assert list(error.value.errors) == ["search"]


# What PostgreSQL makes of it

NAMES = [
    "Jalan Tol",
    "100% Sawah",
    "100 Persen",
    "Kode_A",
    "KodeXA",
    "Garis\\Miring",
    "Garis/Miring",
    'O\'Brien "x"',
    "%",
    "_",
    "\\",
    "a%_\\b",
    "SELECT; --",
    "Peta {0} %s",
]


@pytest.fixture
def rows(settings: Settings) -> Iterator[list[tuple[str, str | None, bool]]]:
    """Categories in the test's database: name, description and whether they are active."""
    made = [
        (name, None if number % 3 == 0 else f"uraian {number}", number % 2 == 0)
        for number, name in enumerate(NAMES)
    ]
    database.connect(settings)
    with database.synchronous():
        Category.delete().execute()
        for name, description, is_active in made:
            Category.create(name=name, description=description, is_active=is_active)
        yield made


def found(**parameters: list[str]) -> set[str]:
    """The names that a request finds."""
    query = Category.select(Category.name).where(condition(CATEGORIES_LISTING, **parameters))
    return {row.name for row in query}


def test_a_search_is_taken_literally(rows: list[tuple[str, str | None, bool]]) -> None:
    @given(st.text("aAkKmot01%_\\ '\"{}s-;u/") | st.sampled_from(NAMES))
    def check(text: str) -> None:
        expected = {
            name
            for name, description, _ in rows
            if all(
                word.lower() in name.lower() or word.lower() in (description or "")
                for word in text.split()
            )
        }
        assert found(search=[text]) == expected

    check()
    assert found(search=["%"]) == {name for name in NAMES if "%" in name}
    assert found(search=["_"]) == {name for name in NAMES if "_" in name}
    assert found(search=["\\"]) == {name for name in NAMES if "\\" in name}


def test_any_search_at_all_is_answered(rows: list[tuple[str, str | None, bool]]) -> None:
    @given(st.text(max_size=LONGEST_SEARCH))
    def check(text: str) -> None:
        try:
            names = found(search=[text])
        except InvalidError as error:
            assert "\0" in text
            assert list(error.errors) == ["search"]
        else:
            assert names <= set(NAMES)

    check()


def test_any_value_of_a_filter_is_compared_literally(
    rows: list[tuple[str, str | None, bool]],
) -> None:
    @given(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(NAMES))
    def check(text: str) -> None:
        parameter = json.dumps([f"name={text}"])
        if "\0" in text:
            with pytest.raises(InvalidError):
                found(filter=[parameter])
            return
        assert found(filter=[parameter]) == {name for name in NAMES if name == text.strip()}

    check()


EPOCHS = [None, Decimal(2010), Decimal("2012.5"), Decimal(2021)]


def holds(value: Decimal | None, operator: str, text: str) -> bool:
    """What an atom says of one value."""
    if text == "":
        return (value is None) == (operator == "=")
    chosen = [Decimal(part) for part in text.split(",")]
    if operator == "!=":
        return value != chosen[0]
    if value is None:
        return False
    compared = {
        "=": value == chosen[0],
        "<": value < chosen[0],
        "<=": value <= chosen[0],
        ">": value > chosen[0],
        ">=": value >= chosen[0],
        "in": value in chosen,
    }
    return compared[operator]


NUMBERS = ["2010", "2012.50", "2015", "2021", "2.021e3"]
CONDITIONS = st.one_of(
    st.tuples(st.sampled_from(OPERATORS[:-1]), st.sampled_from(NUMBERS)),
    st.tuples(st.just("in"), st.lists(st.sampled_from(NUMBERS), min_size=1).map(",".join)),
    st.tuples(st.sampled_from(["=", "!="]), st.just("")),
)


def test_operators_and_their_joining_mean_what_the_model_means(settings: Settings) -> None:
    database.connect(settings)
    listing, model = MAP_PROJECTION_SYSTEMS_LISTING, MapProjectionSystem
    ours = model.name.startswith("Uji ")

    @given(st.lists(st.lists(CONDITIONS, min_size=1, max_size=3), max_size=3))
    def check(groups: list[list[tuple[str, str]]]) -> None:
        written = [[f"epoch {operator} {text}" for operator, text in group] for group in groups]
        wanted = condition(listing, filter=[json.dumps(written)])
        names = {row.name for row in model.select(model.name).where(ours & wanted)}
        assert names == {
            f"Uji {epoch}"
            for epoch in EPOCHS
            if all(any(holds(epoch, *one) for one in group) for group in groups)
        }

    with database.synchronous():
        for epoch in EPOCHS:
            model.create(name=f"Uji {epoch}", epoch=epoch)
        check()
