"""What every answer says to a browser for its own protection, whoever makes the answer."""

import asyncio
import re

import pytest
from tornado.platform.asyncio import AsyncIOLoop

from satupeta_server.routes import ROUTES
from tests.conftest import Answer, Api, begin_to_listen
from tests.connecting import connected, port_of

ID = "01968b53-a910-7a67-bd10-975b8923b92e"
ALL_METHODS = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "TRACE", "NONSENSE")
EXPECTED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
PAGES = {"/", "/docs", "/auth/password-reset/page"}


def check(answer: Answer, what: object) -> None:
    found = {name: answer.headers.get_list(name) for name in EXPECTED}
    assert found == {name: [value] for name, value in EXPECTED.items()}, what
    (policy,) = answer.headers.get_list("Content-Security-Policy")
    assert policy.startswith("default-src 'none'"), what
    assert "unsafe" not in policy
    assert "*" not in policy
    assert ("frame-ancestors 'none'" in policy) != ("sandbox" in policy), what
    assert answer.headers["Cross-Origin-Resource-Policy"] in ("same-origin", "cross-origin")
    told = " ".join(f"{name}: {value}" for name, value in answer.headers.get_all())
    # The version of Prometheus' format is none of ours.
    told = told.replace("version=0.0.4", "")
    assert not re.search(r"Server:|X-Powered-By|tornado|python|\d+\.\d+\.\d+", told, re.IGNORECASE)


@pytest.mark.parametrize("user", [None, "administrator"])
async def test_every_route_and_method_answers_with_the_headers(api: Api, user: str | None) -> None:
    for route in ROUTES:
        path = route.path.replace("{id}", ID).replace("{file}", "style.css")
        for method in ALL_METHODS:
            if path == "/auth/logout" and user:
                continue
            answer = await api.request(method, path, user=user)
            check(answer, (method, path, answer.status))
            assert "Strict-Transport-Security" not in answer.headers
    for path in ("/nothing", "/../etc/passwd", "/%00", "/docs/nothing.js", "/mapsets/x"):
        check(await api.get(path, user=user), path)


async def test_refusals_and_answers_without_content_carry_them_too(api: Api) -> None:
    first = await api.get("/categories")
    tag = {"If-None-Match": first.headers["Etag"]}
    for answer, status in (
        (await api.get("/categories", headers=tag), 304),
        (await api.post("/categories", user="administrator", body=b"{"), 400),
        (await api.post("/categories", user="administrator", body=b"x" * 3_000_000), 413),
        (await api.post("/categories", user="administrator", json_body={}), 422),
        (await api.get("/categories", sort="nothing"), 401),
    ):
        assert answer.status == status
        check(answer, status)


async def test_a_kept_answer_carries_them_too(api: Api, io_loop: AsyncIOLoop) -> None:
    await begin_to_listen(api.application)
    made = await api.get("/categories")
    for headers in ({}, {"Accept-Encoding": "gzip"}, {"If-None-Match": made.headers["Etag"]}):
        kept = await api.get("/categories", headers=headers)
        check(kept, headers)
        for name in (*EXPECTED, "Content-Security-Policy", "Cross-Origin-Resource-Policy"):
            assert kept.headers[name] == made.headers[name]
    assert api.application.answers.get("/api/categories") is not None


async def test_a_page_may_use_nothing_of_a_device_and_no_inline_code(api: Api) -> None:
    for path in PAGES:
        page = await api.get(path)
        assert "geolocation=()" in page.headers["Permissions-Policy"]
        assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        text = page.body.decode()
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)|javascript:", text)


@pytest.mark.settings(public_url="https://peta.example.org")
async def test_behind_tls_a_browser_is_told_to_come_by_tls_alone(api: Api) -> None:
    for path in ("/categories", "/docs", "/nothing", f"/files/{ID}/download"):
        value = (await api.get(path)).headers["Strict-Transport-Security"]
        assert int(value.removeprefix("max-age=")) >= 31_536_000


async def raw(api: Api, sent: bytes) -> bytes:
    """What comes back for bytes as they are."""
    async with connected(port_of(api)) as (reader, writer), asyncio.timeout(15):
        writer.write(sent)
        return await reader.read()


HOST = b"Host: x\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /api/categories HTTP/9.9\r\n\r\n", 400),
        (b"GET /api/categories HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /api/categories HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /api/categories HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 20_000 + b"\r\n", 431),
        (b"GET /api/categories?" + b"a=b&" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
        (b"GET /api/categories?" + b"a=b&" * 5_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"POST /api/auth/login HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n", 415),
        (b"POST /api/auth/login HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 415),
        (
            b"POST /api/auth/login HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            415,
        ),
    ],
)
async def test_what_is_no_request_is_refused_without_a_banner(
    api: Api, sent: bytes, status: int
) -> None:
    answer = await raw(api, sent)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    # Whoever wraps two requests in one gets no answer to the second.
    assert answer.count(b"HTTP/1.1 ") == 1 or answer.endswith(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert not re.search(rb"server:|tornado|python", answer, re.IGNORECASE)
