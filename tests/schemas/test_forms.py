"""Forms: whatever JSON arrives is read, or refused with the names of its wrong fields."""

import importlib
import pkgutil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satupeta_server import schemas
from satupeta_server.errors import InvalidError
from satupeta_server.messages import MESSAGES
from satupeta_server.schemas.base import Form
from satupeta_server.schemas.mapsets import ACTIVATION_FORM, MAPSET_CHANGE_FORM, MAPSET_FORM
from satupeta_server.schemas.users import ME_FORM, USER_FORM

MODULES = [
    importlib.import_module(f"satupeta_server.schemas.{module.name}")
    for module in pkgutil.iter_modules(schemas.__path__)
]
FORMS = {
    name: form
    for module in MODULES
    for name, form in vars(module).items()
    if isinstance(form, Form)
}
FIELDS = [(name, field) for name, form in FORMS.items() for field in form.fields]
OPTIONAL = [(name, field) for name, field in FIELDS if not FORMS[name].fields[field]["required"]]
REQUIRED = [(name, field) for name, field in FIELDS if FORMS[name].fields[field]["required"]]

ID = "01968b53-a910-7a67-bd10-975b8923b92e"
GOOD: dict[str, Any] = {
    "string": "Teks yang cukup panjang",
    "uuid": ID,
    "boolean": True,
    "number": 2021.0,
    "date": "2026-01-31",
    "datetime": "2026-01-31T08:00:00+07:00",
    "dict": {"username": "pembaca"},
    "list": [ID],
}
"""A good value by the type of a field."""
GOOD_BY_NAME: dict[str, Any] = {
    "email": "budi@example.org",
    "username": "budi",
    "code": "35.78",
    "bounding_box": [110.9, -8.8, 114.6, -6.6],
    "url": "https://peta.example.org/geoserver",
    "website": "https://dpu.example.org",
    "layer_url": "https://peta.example.org/geoserver/wms?layers=batas:desa",
    "metadata_url": "https://peta.example.org/geonetwork",
}

TEXTS = st.text() | st.text(st.characters(categories=["Cc", "Cs", "Zs", "Po"]))
LIKELY = [
    *GOOD.values(),
    *GOOD_BY_NAME.values(),
    None,
    "",
    0,
    1.5,
    True,
    [],
    {},
    [[[]]],
    {"a": {"b": []}},
    ID.upper(),
    ID.replace("-", ""),
    "true",
    "false",
    "2026-02-30",
    "2026-01-31T08:00:00",
    "http://[::1",
    "http://x:99999/",
    "http://\u2100.example/",
    "javascript:alert(1)",
    "a@b",
    "a@" + "x" * 300 + ".org",
    "a@\ud800",
    "@",
    '"a b"@example.org',
    "a@[127.0.0.1]",
    "a@xn--.org",
    "\u00a8",
    "x" * 25_000,
    [None, ""],
    [[]],
    [1e308, -1e308, 1e308, 1e308],
    [10**400, 0, 0, 0],
    {"": ""},
    {"a": None},
    {"\0": "x"},
    {"x" * 300: ""},
    {str(number): "" for number in range(101)},
    10**400,
    -1,
    1e308,
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | TEXTS
    | st.sampled_from(LIKELY),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=8,
)


def good_body(form: Form) -> dict[str, Any]:
    """A body that the form takes, with every field."""
    body = {}
    for field, rules in form.fields.items():
        body[field] = GOOD_BY_NAME.get(field, GOOD[rules["type"]])
        if "allowed" in rules:
            body[field] = rules["allowed"][0]
    return body


def check_errors(error: InvalidError, form: Form) -> None:
    """Every error names a field of the form and says something in both languages."""
    assert error.errors
    assert set(error.errors) <= set(form.fields)
    for messages in error.errors.values():
        assert messages
        for message in messages:
            assert message.key in MESSAGES
            assert message.text("id")
            assert message.text("en")


@pytest.mark.parametrize("name", FORMS)
def test_a_good_body_is_taken(name: str) -> None:
    form = FORMS[name]
    assert set(form.for_create(good_body(form))) == set(form.fields)
    assert set(form.for_update(good_body(form))) == set(form.fields)
    assert form.for_update({}) == {}


@pytest.mark.parametrize("name", FORMS)
def test_whatever_arrives_is_read_or_refused_by_field(name: str) -> None:
    form = FORMS[name]
    good = good_body(form)

    @settings(max_examples=40)
    @given(st.dictionaries(st.sampled_from(list(form.fields)), JSON, max_size=4))
    def check(changes: dict[str, Any]) -> None:
        for read, body in ((form.for_update, changes), (form.for_create, {**good, **changes})):
            try:
                values = read(body)
            except InvalidError as error:
                check_errors(error, form)
                # What was good is not blamed.
                assert set(error.errors) <= set(changes)
            else:
                assert set(values) <= set(form.fields)

    check()


@pytest.mark.parametrize("name", FORMS)
def test_one_wrong_field_is_the_one_that_is_named(name: str) -> None:
    form = FORMS[name]
    good = good_body(form)
    for field in form.fields:
        for value in LIKELY:
            for read in (form.for_create, form.for_update):
                try:
                    read({**good, field: value})
                except InvalidError as error:
                    check_errors(error, form)
                    assert list(error.errors) == [field]


@pytest.mark.parametrize("nothing", ["", None, "  \t"], ids=repr)
@pytest.mark.parametrize(("name", "field"), OPTIONAL)
def test_a_blank_optional_field_is_no_value(name: str, field: str, nothing: Any) -> None:
    form = FORMS[name]
    rules = form.fields[field]
    if rules["meta"].get("is_verbatim"):
        # A password of spaces is one.
        nothing = nothing and ""
    for read in (form.for_create, form.for_update):
        values = read({**good_body(form), field: nothing})
        assert values.get(field) is None
        # Null is written into a column that can hold it; elsewhere what was stays.
        assert (field in values) == rules["nullable"]


@pytest.mark.parametrize(("name", "field"), REQUIRED)
def test_a_required_field_is_asked_for(name: str, field: str) -> None:
    form = FORMS[name]
    for nothing in ("", None):
        for read in (form.for_create, form.for_update):
            with pytest.raises(InvalidError) as error:
                read({**good_body(form), field: nothing})
            assert list(error.value.errors) == [field]
            assert error.value.errors[field][0].key == "required"
    absent = good_body(form)
    del absent[field]
    with pytest.raises(InvalidError) as error:
        form.for_create(absent)
    assert list(error.value.errors) == [field]
    assert field not in form.for_update(absent)


@pytest.mark.parametrize("name", FORMS)
def test_an_unknown_field_is_ignored(name: str) -> None:
    form = FORMS[name]
    good = good_body(form)

    @settings(max_examples=10)
    @given(st.dictionaries(TEXTS.filter(lambda key: key not in form.fields), JSON, max_size=4))
    def check(unknown: dict[str, Any]) -> None:
        assert form.for_create({**unknown, **good}) == form.for_create(good)
        assert form.for_update(unknown) == {}

    check()


def test_all_wrong_fields_are_named_at_once() -> None:
    body = {**good_body(MAPSET_FORM), "name": "x", "category_id": 5, "layer_url": "ftp://x"}
    del body["scale"]
    with pytest.raises(InvalidError) as error:
        MAPSET_FORM.for_create(body)
    assert set(error.value.errors) == {"name", "category_id", "layer_url", "scale"}


def test_a_body_is_not_changed_by_reading_it() -> None:
    body = {**good_body(MAPSET_FORM), "source_id": [ID, ""], "name": " Batas Desa "}
    before = {**body, "source_id": list(body["source_id"])}
    MAPSET_FORM.for_create(body)
    assert body == before


@pytest.mark.parametrize(
    ("sent", "read"), [(ID, 1), ([ID], 1), ([ID, ID], 2), ([ID, "", None], 1), ([], 0)]
)
def test_map_sources_come_as_one_several_or_none(sent: Any, read: int) -> None:
    assert len(MAPSET_CHANGE_FORM.for_update({"source_id": sent})["source_id"]) == read


@pytest.mark.parametrize("ids", [[], None, "", [""], ["x"], [ID] * 1001, {}, 5])
def test_activation_needs_its_mapsets(ids: Any) -> None:
    with pytest.raises(InvalidError) as error:
        ACTIVATION_FORM.for_create({"ids": ids, "is_active": True})
    assert list(error.value.errors) == ["ids"]


def test_a_text_loses_the_white_space_around_it_and_a_password_does_not() -> None:
    assert ME_FORM.for_update({"name": " Budi ", "password": " Rahasia-2026! "}) == {
        "name": "Budi",
        "password": " Rahasia-2026! ",
    }


@pytest.mark.parametrize(
    ("sent", "read"),
    [("budi", "budi"), ("\uff42udi", "budi"), (" budi ", "budi"), ("ﬁtri", "fitri")],
)
def test_a_username_has_one_form(sent: str, read: str) -> None:
    assert USER_FORM.for_update({"username": sent})["username"] == read


@pytest.mark.parametrize(
    "sent", ["budi santoso", "budi\u00a0s", "bu\u200bdi", "\u00a8", "a\tb", 5, "bud\u0456"]
)
def test_a_username_that_could_be_mistaken_is_refused(sent: Any) -> None:
    with pytest.raises(InvalidError):
        USER_FORM.for_update({"username": sent})


@pytest.mark.parametrize(
    "box",
    [
        [],
        [1, 2, 3],
        [1, 2, 3, 4, 5],
        [0, 10, 0, 5],
        [181, 0, 0, 0],
        [0, -91, 0, 0],
        [True, 0, 0, 0],
        ["0", 0, 0, 0],
        [float("inf"), 0, 0, 0],
        [float("nan"), 0, 0, 0],
        [10**400, 0, 0, 0],
        {"west": 0},
        "0,0,0,0",
        5,
    ],
    ids=lambda box: str(box)[:30],
)
def test_a_bounding_box_that_is_none_is_refused(box: Any) -> None:
    with pytest.raises(InvalidError) as error:
        MAPSET_FORM.for_update({"bounding_box": box})
    assert list(error.value.errors) == ["bounding_box"]
