"""The kinds of fields that forms are made of, as Cerberus rules.

A required field must be there and have a value; an optional one may be absent, null or blank,
which all mean "no value". ``meta`` is Cerberus' place for what it does not check itself: the
description, an example, and a converter.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email

from satupeta_server.models.mapsets import is_bounding_box
from satupeta_server.queries.values import ValueProblem, is_storable, parse_uuid
from satupeta_server.schemas.base import Rules

Report = Callable[[str, str], None]
Check = Callable[[str, Any, Report], None]

LONGEST_NAME = 255
LONGEST_TEXT = 20_000
LONGEST_HTML = 1_000_000
LONGEST_URL = 2_000
_REGION_CODE = re.compile(r"[0-9]{2}(\.[0-9]{2}(\.[0-9]{2}(\.[0-9]{4})?)?)?")


def text(
    *,
    required: bool = False,
    shortest: int = 1,
    longest: int = LONGEST_TEXT,
    check: Check | None = None,
    **meta: Any,
) -> Rules:
    """A text; white space around it is cut off unless it is verbatim."""
    rules: Rules = {**_base("string", required=required, **meta), "maxlength": longest}
    if shortest > 1:
        rules["minlength"] = shortest
    if check is not None:
        rules["check_with"] = _of_texts(check)
    return rules


def name(**meta: Any) -> Rules:
    """The required name of a record."""
    return text(required=True, longest=LONGEST_NAME, **meta)


def identifier(*, required: bool = False, **meta: Any) -> Rules:
    """A UUID."""
    return _base("uuid", required=required, **meta)


def switch(*, default: bool, **meta: Any) -> Rules:
    """True or false; a blank leaves it at its default, or as it is."""
    return {**_base("boolean", **meta), "nullable": False, "meta": {**meta, "default": default}}


def choice(*values: str, required: bool = False, **meta: Any) -> Rules:
    """One of a few texts."""
    return {**_base("string", required=required, **meta), "allowed": list(values)}


def number(smallest: float, largest: float, **meta: Any) -> Rules:
    """A number within bounds."""
    return {**_base("number", **meta), "min": smallest, "max": largest}


def day(**meta: Any) -> Rules:
    """A date, as YYYY-MM-DD."""
    return _base("date", **meta)


def moment(**meta: Any) -> Rules:
    """A date and time with its offset."""
    return _base("datetime", **meta)


def email(*, required: bool = False, **meta: Any) -> Rules:
    """An email address; whether its domain exists is not asked."""
    return text(required=required, longest=254, check=_check_email, **meta)


def url(*, required: bool = False, **meta: Any) -> Rules:
    """An address of http or https, without a login in it, which everybody would read."""
    return text(required=required, longest=LONGEST_URL, check=_check_url, **meta)


def region_code() -> Rules:
    """The code of a region (Permendagri 72/2019)."""
    return text(required=True, longest=13, check=_check_region_code, example="35.78")


def texts_by_name(**meta: Any) -> Rules:
    """An object whose values are texts."""
    rules = _base("dict", convert=_as_texts, **meta)
    return {**rules, "nullable": False}


def identifiers(**meta: Any) -> Rules:
    """Several UUIDs: a list, one alone, or none; blanks among them are dropped."""
    rules = _base("list", convert=_as_identifiers, **meta)
    return {**rules, "maxlength": 50, "schema": {"type": "uuid"}}


def names(*, required: bool = False, **meta: Any) -> Rules:
    """Several short texts, in a list."""
    rules = _base("list", required=required, **meta)
    entry = {"type": "string", "maxlength": LONGEST_NAME}
    return {**rules, "minlength": 1, "maxlength": 100, "schema": entry}


def bounding_box(**meta: Any) -> Rules:
    """West, south, east and north in degrees."""
    return _base("list", convert=_as_bounding_box, **meta)


def username() -> Rules:
    """A name to log in with: NFKC, without white space, and in Latin letters or in others."""
    return text(
        required=True, longest=150, check=_check_username, convert=_as_username, example="budi"
    )


def password(*, required: bool = False) -> Rules:
    """A password, verbatim; its rule is checked by the service."""
    return text(required=required, longest=200, is_verbatim=True, is_secret=True)


def _base(kind: str, *, required: bool = False, **meta: Any) -> Rules:
    return {"type": kind, "required": required, "nullable": not required, "meta": meta}


def _of_texts(check: Check) -> Check:
    """Leave what is no text to the other rules."""

    def checked(field: str, value: Any, report: Report) -> None:
        if isinstance(value, str):
            check(field, value, report)

    return checked


def _check_email(field: str, value: Any, report: Report) -> None:
    try:
        validate_email(value, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        report(field, "must_be_email")


def _check_url(field: str, value: Any, report: Report) -> None:
    try:
        parts = urlsplit(value)
        is_complete = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_complete = is_complete and (parts.port is None or parts.port > 0)
        # Browsers read a backslash as a slash, so what is a host here is another one there.
        is_complete = is_complete and not re.search(r"[@\\%^|`{}]", parts.netloc)
        (parts.hostname or "").encode("idna")
    except ValueError:
        is_complete = False
    if not is_complete or not value.isprintable() or re.search(r"[ <>\"]", value):
        report(field, "must_be_url")


def _check_region_code(field: str, value: Any, report: Report) -> None:
    if not _REGION_CODE.fullmatch(value):
        report(field, "must_be_region_code")


def _check_username(field: str, value: Any, report: Report) -> None:
    if any(character.isspace() or not character.isprintable() for character in value):
        report(field, "wrong_form")
    # Latin letters among which others stand that look like them: a second "budi" with a
    # Cyrillic letter in it.
    scripts = {unicodedata.name(one, "").partition(" ")[0] for one in value if one.isalpha()}
    if "LATIN" in scripts and len(scripts) > 1:
        report(field, "wrong_form")


def _as_username(value: Any) -> Any:
    return unicodedata.normalize("NFKC", value) if isinstance(value, str) else value


def _as_texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueProblem("must_be_object")
    for key, entry in value.items():
        if not isinstance(entry, str):
            raise ValueProblem("must_be_text")
        if not (is_storable(key) and is_storable(entry)):
            raise ValueProblem("not_text_safe")
        if len(key) > LONGEST_NAME or len(entry) > LONGEST_TEXT:
            raise ValueProblem("too_long", limit=LONGEST_TEXT)
    if len(value) > 100:
        raise ValueProblem("too_many", limit=100)
    return value


def _as_identifiers(value: Any) -> list[Any]:
    entries = value if isinstance(value, list) else [value]
    if not all(entry is None or isinstance(entry, str) for entry in entries):
        raise ValueProblem("must_be_uuid")
    return [parse_uuid(entry.strip()) for entry in entries if entry and entry.strip()]


def _as_bounding_box(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list) or not all(_is_number(entry) for entry in value):
        raise ValueProblem("must_be_bounding_box")
    try:
        box = tuple(float(entry) for entry in value)
    except OverflowError:
        raise ValueProblem("must_be_bounding_box") from None
    if not is_bounding_box(box):
        raise ValueProblem("must_be_bounding_box")
    return box


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
