"""What stands in headers and bodies: whatever it is, it is read or refused."""

import re
import string
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from satupeta_server.errors import AppError, InvalidError, RangeNotSatisfiableError
from satupeta_server.handlers.base import BaseHandler
from satupeta_server.handlers.bodies import JsonReader
from satupeta_server.handlers.files import DownloadHandler
from satupeta_server.handlers.headers import origin_headers, request_id_of
from satupeta_server.messages import preferred_language
from satupeta_server.schemas.users import USER_FORM
from satupeta_server.services.news import sanitised

# What Tornado lets through as the value of a header.
VALUES = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=60)
TAGS = VALUES | st.text('W/"*,0123456789-abcdef ', max_size=60) | st.just("9" * 5_000)
RANGES = VALUES | st.text("bytes=0123456789-, ", max_size=40).map(lambda text: f"bytes={text}")


def handler(**headers: str) -> Any:
    """A request's handler, as far as the parsers of headers need it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(request=SimpleNamespace(headers=HTTPHeaders(named)))


@given(VALUES | st.text("iden-;q=.,0123456789* \t", max_size=60))
def test_any_language_is_one_of_two(text: str) -> None:
    assert preferred_language(text) in ("id", "en")


@given(TAGS)
def test_any_if_match_is_some_revisions_or_all(text: str) -> None:
    revisions = BaseHandler.expected_revisions(handler(If_Match=text))
    assert (revisions is None) == (text.strip() == "*")
    assert all(isinstance(one, int) and one >= 0 for one in revisions or ())


@given(st.lists(st.integers(1, 999_999_999), min_size=1), st.text("0123456789abcdef"))
def test_a_tag_gives_its_revision_back(revisions: list[int], digest: str) -> None:
    tags = ", ".join(f'W/"{one}-{digest}"' for one in revisions)
    assert BaseHandler.expected_revisions(handler(If_Match=tags)) == set(revisions)


@given(VALUES | VALUES.map(lambda text: f"Bearer {text}"))
def test_any_authorization_is_a_token_or_none(text: str) -> None:
    token = BaseHandler.bearer_token(handler(Authorization=text))
    assert token is None or (token == token.strip() != "")


@given(VALUES | st.integers(-99, 10**20).map(str) | st.just("9" * 5_000))
def test_any_length_is_one_or_nothing(text: str) -> None:
    length = BaseHandler.content_length(handler(Content_Length=text))
    assert length >= 0
    assert length in (0, 10**25 - 1) or str(length) == text.lstrip("0")


@given(VALUES, VALUES)
def test_no_header_is_repeated_that_is_not_known(request_id: str, origin: str) -> None:
    headers = HTTPHeaders({"X-Request-Id": request_id, "Origin": origin})
    assert set(request_id_of(headers)) <= set(string.ascii_letters + string.digits + "._-")
    assert origin_headers(headers, frozenset({"https://peta.example.org"})) == {}


class Chosen(DownloadHandler):
    """A download, as far as its range goes."""

    def __init__(self, header: str) -> None:
        self.request = SimpleNamespace(headers=HTTPHeaders({"Range": header}))  # type: ignore[assignment]
        self._headers = HTTPHeaders({"Etag": '"x"'})
        self._status_code = 200


@given(RANGES, st.integers(1, 1 << 40))
def test_any_range_lies_within_the_file_or_is_refused(text: str, size: int) -> None:
    chosen = Chosen(text)
    try:
        start, length = chosen._chosen_range(size)
    except RangeNotSatisfiableError:
        return
    assert start >= 0
    assert length > 0
    assert start + length <= size
    if chosen.get_status() == 206:
        assert chosen._headers["Content-Range"] == f"bytes {start}-{start + length - 1}/{size}"
    else:
        assert (start, length) == (0, size)


@given(st.integers(1, 1 << 40), st.data())
def test_a_range_is_what_was_asked_for(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.integers(first, size - 1))
    assert Chosen(f"bytes={first}-{last}")._chosen_range(size) == (first, last - first + 1)
    assert Chosen(f"bytes={first}-")._chosen_range(size) == (first, size - first)
    assert Chosen(f"bytes=-{size - first}")._chosen_range(size) == (first, size - first)


@given(
    st.binary(max_size=200) | st.text('{}[]":,0123456789eE+-.\\u tfn', max_size=60).map(str.encode)
)
def test_any_body_is_an_object_or_refused(content: bytes) -> None:
    reader = JsonReader(1_000)
    reader.feed(content)
    try:
        assert isinstance(reader.value(), dict)
    except AppError as error:
        assert error.message.key in ("malformed_json", "json_object_expected")


HTML = st.lists(
    st.sampled_from(
        [
            *["<p>", "</p>", "<script>", "</script>", "<img src=x onerror=a()>", "<a href=", ">"],
            *["javascript:a()", "<svg><style>", "<!--", "-->", "<![CDATA[", "]]>", "&lt;", "&#x3c"],
            *["<math><mtext><table>", "<style>@import 'x'", "'", '"', "`", "<", "\0", "\u2028"],
            *["<noscript>", "<template>", "style='color:red;background:url(x)'", "<iframe srcdoc="],
        ]
    )
    | st.text(max_size=5),
    max_size=20,
).map("".join)


@given(HTML)
def test_what_is_clean_stays_as_it_is_and_runs_nothing(text: str) -> None:
    clean = sanitised(text)
    assert sanitised(clean) == clean
    tags = re.findall(r"<[^>]*>", clean)
    assert not any(
        re.search(r"(?i)<(script|svg|iframe|style)|\son\w+=|javascript:", one) for one in tags
    )


@given(st.text(min_size=1, max_size=20))
def test_a_username_is_read_once_and_for_all(text: str) -> None:
    try:
        name = USER_FORM.for_update({"username": text})["username"]
    except InvalidError:
        return
    if name is not None:
        assert USER_FORM.for_update({"username": name})["username"] == name
        assert name.isprintable()
        assert not any(one.isspace() for one in name)


@pytest.mark.parametrize("digits", [19, 400, 5_000, 60_000])
def test_a_length_of_many_digits_is_only_a_large_one(digits: int) -> None:
    assert BaseHandler.content_length(handler(Content_Length="9" * digits)) > 1 << 62
