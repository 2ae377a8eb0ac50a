"""Bytes below HTTP: smuggled requests, broken framing, headers put in by values, noise."""

import asyncio
import logging
import random
import re

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import Api
from tests.connecting import connected, port_of
from tests.handlers.test_files import picture
from tests.test_noise import answer_to

END = b"\r\n\r\n"
HIDDEN = b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
LOGIN = b"POST /api/auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET = b"GET /api/health/live HTTP/1.1\r\n"
MUTANTS, AT_ONCE = 400, 20

# Two that say differently where a body ends; what one of them takes for its end is a request.
SMUGGLING = {
    "length and chunked": LOGIN
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "chunked and length": LOGIN
    + b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n" % (len(HIDDEN) + 5)
    + HIDDEN,
    "two lengths": LOGIN + b"Content-Length: 2\r\nContent-Length: 50\r\n\r\n{}" + HIDDEN,
    "two lengths in one": LOGIN + b"Content-Length: 2, 50\r\n\r\n{}" + HIDDEN,
    "a signed length": LOGIN + b"Content-Length: +2\r\n\r\n{}" + HIDDEN,
    "a length with a blank": LOGIN + b"Content-Length : 2\r\n\r\n{}" + HIDDEN,
    "a hexadecimal length": LOGIN + b"Content-Length: 0x2\r\n\r\n{}" + HIDDEN,
    "a length of other digits": LOGIN + "Content-Length: \u0662\r\n\r\n{}".encode() + HIDDEN,
    "chunked twice": LOGIN + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked and something": LOGIN + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked last but one": LOGIN
    + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "two encodings": LOGIN
    + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "a tab before chunked": LOGIN
    + b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "a folded header": LOGIN + b"X: a\r\n Content-Length: 2\r\n\r\n{}" + HIDDEN,
    "a bare line end": LOGIN + b"X: a\rContent-Length: 2\r\n\r\n{}" + HIDDEN,
    "a negative chunk": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + HIDDEN,
    "a chunk of 0x5": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n" + HIDDEN,
    "a chunk of 1_0": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n1_0\r\nhello\r\n" + HIDDEN,
    "a length of thousands of digits": LOGIN
    + b"Content-Length: %s\r\n\r\n{}" % (b"9" * 5_000)
    + HIDDEN,
    "such a length and chunked": LOGIN
    + b"Transfer-Encoding: chunked\r\nContent-Length: %s\r\n\r\n{}" % (b"9" * 5_000)
    + HIDDEN,
    "a huge chunk": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 16 + END + HIDDEN,
    "a huger chunk": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 63 + END + HIDDEN,
    "a chunk without an end": LOGIN
    + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n"
    + HIDDEN,
}
BROKEN = {
    "HTTP/0.9": b"GET /api/health/live\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100a5010000a10303") + bytes(range(64)) + END,
    "no version": b"GET /api/health/live HTTP/\r\n\r\n",
    "another version": b"GET /api/health/live HTTP/9.9\r\n\r\n",
    "two blanks": b"GET  /api/health/live HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tab": b"GET\t/api/health/live HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in the address": b"GET /api/\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in a name": GET + b"Host: x\r\nX\0: a\r\n\r\n",
    "a NUL in a value": GET + b"Host: x\r\nX: a\0b\r\n\r\n",
    "a command in a value": GET + b"Host: x\r\nX: \x1b[2J\r\n\r\n",
    "no name": GET + b"Host: x\r\n: a\r\n\r\n",
    "a name with a blank": GET + b"Host: x\r\nX Y: a\r\n\r\n",
    "no colon": GET + b"Host: x\r\nnothing\r\n\r\n",
    "no host": GET + b"\r\n",
    "two hosts": GET + b"Host: x\r\nHost: y\r\n\r\n",
    "a host that is none": GET + b"Host: a/b@c\r\n\r\n",
    "nothing but line ends": b"\r\n" * 2_000,
    "many headers": GET + b"Host: x\r\n" + b"X: a\r\n" * 20_000 + b"\r\n",
}
STRANGE = {
    "an absolute address": b"GET http://evil.example/api/health/live HTTP/1.1\r\nHost: x\r\n\r\n",
    "an absolute page": b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "another host": b"GET /api HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "two slashes": b"GET //evil.example/%2f.. HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path out": b"GET /api/docs/..%2f..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: x\r\n\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "a trace": b"TRACE /api/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\r\n",
    "another method": b"GET /api/me HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: POST\r\n\r\n",
    "an upgrade": GET + b"Host: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
}


def statuses(answer: bytes) -> list[int]:
    """The statuses of all that was answered."""
    return [int(one) for one in re.findall(rb"^HTTP/1\.1 (\d+)", answer, re.MULTILINE)]


async def answers_to(api: Api, messages: list[bytes]) -> list[bytes]:
    """Send each on a connection of its own, many at once."""
    answers: list[bytes] = []
    for first in range(0, len(messages), AT_ONCE):
        batch = messages[first : first + AT_ONCE]
        answers += await asyncio.gather(*[answer_to(port_of(api), one) for one in batch])
    return answers


async def check_goes_on(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """The server serves, and nothing was logged as a failure of its own."""
    assert (await api.get("/health/ready")).status == 200
    failures = [one for one in caplog.records if one.levelno >= logging.ERROR or one.exc_info]
    assert not failures, [one.getMessage() for one in failures]


async def test_no_request_hides_in_the_body_of_another(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    answers = await answers_to(api, list(SMUGGLING.values()))
    for name, answer in zip(SMUGGLING, answers, strict=True):
        assert b"openapi" not in answer, name
        assert len(statuses(answer)) <= 1, name
        assert all(400 <= status < 500 for status in statuses(answer)), (name, answer[:200])
    assert sum(map(len, map(statuses, answers))) > len(SMUGGLING) / 2
    await check_goes_on(api, caplog)


async def test_what_is_no_request_is_refused(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    answers = await answers_to(api, list(BROKEN.values()))
    for name, answer in zip(BROKEN, answers, strict=True):
        assert all(400 <= status < 500 for status in statuses(answer)), (name, answer[:200])
        assert b"Traceback" not in answer, name
    await check_goes_on(api, caplog)


async def test_an_address_leads_nowhere_else(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    answers = await answers_to(api, list(STRANGE.values()))
    for name, answer in zip(STRANGE, answers, strict=True):
        assert len(statuses(answer)) == 1, name
        assert statuses(answer)[0] < 300 or 400 <= statuses(answer)[0] < 500, (name, answer[:200])
        assert b"evil" not in answer, name
        assert b"root:" not in answer, name
        assert b"secret" not in answer, name
    await check_goes_on(api, caplog)


async def test_a_body_without_an_end_is_refused_before_it_fills_anything(api: Api) -> None:
    limit = api.application.services.settings.max_body_size
    piece, sent, answer = b"10000\r\n" + b"x" * 65_536 + b"\r\n", 0, b""
    async with connected(port_of(api)) as (reader, writer), asyncio.timeout(20):
        writer.write(LOGIN + b"Transfer-Encoding: chunked\r\n\r\n")
        while not answer:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
            assert sent < 4 * limit + (16 << 20)
            try:
                async with asyncio.timeout(0.001):
                    answer = await reader.read(65_536)
            except TimeoutError:
                continue
    assert statuses(answer) == [413]


@pytest.mark.parametrize(
    "name",
    [
        "a%0d%0aSet-Cookie: x=1.png",
        'a"; filename="b.html.png',
        "a\\\r.png",
        "\u202egnp.exe.png",
        "a\u2028b\x85c.png",
        "=cmd|' /C calc'!A0.png",
        "<img src=x onerror=alert(1)>.png",
    ],
)
async def test_a_file_name_puts_no_header_into_a_download(api: Api, name: str) -> None:
    uploaded = await api.upload(picture(), name)
    assert uploaded.status in (201, 400), uploaded.body
    if uploaded.status == 400:
        return
    answer = await api.get(f"/files/{uploaded.json['id']}/download")
    disposition = answer.headers["Content-Disposition"]
    assert re.fullmatch(r"inline; filename\*=UTF-8''[A-Za-z0-9%._~-]+", disposition)
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Content-Type"] == "image/png"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


async def test_no_value_becomes_a_header(api: Api) -> None:
    bad = "\r\nSet-Cookie: x=1\r\n\r\n<script>"
    for number in range(2):
        await api.make_public_mapset(name=f"Peta {number}")
    for query in ({"search": f"Peta{bad}"}, {"x": bad}, {bad: "x"}, {"filter": f"name!={bad}"}):
        answer = await api.get("/mapsets", limit=1, **query)
        assert answer.status in (200, 422)
        assert "Set-Cookie" not in answer.headers
        assert "\n" not in answer.headers.get("Link", "")
        assert "<script>" not in str(answer.headers)
    for header in ("Origin", "X-Request-Id", "Accept-Language", "If-None-Match", "Range"):
        value = "https://evil.example%0d%0aSet-Cookie: x=1"
        answer = await api.get("/mapsets", headers={header: value})
        assert "evil" not in str(answer.headers)


# Random bytes


WHOLE = st.sampled_from([*SMUGGLING.values(), *STRANGE.values(), GET + b"Host: x" + END])


def mutant(message: bytes, choose: random.Random) -> bytes:
    """A message in which some bytes are others, gone, new or twice there."""
    content = bytearray(message[:2_000])
    for _ in range(choose.randint(1, 8)):
        place = choose.randrange(len(content))
        match choose.randrange(4):
            case 0:
                content[place] = choose.randrange(256)
            case 1:
                del content[place : place + choose.randint(1, 9)]
            case 2:
                content[place:place] = choose.randbytes(choose.randint(1, 9))
            case 3:
                content[place:place] = content[place : place + 20]
        if not content:
            break
    return bytes(content) + END


async def test_bytes_at_random_are_never_answered_with_a_failure(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[bytes] = []

    @settings(
        max_examples=MUTANTS,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(message=WHOLE, choose=st.randoms(use_true_random=False), noise=st.binary(max_size=99))
    def collect(message: bytes, choose: random.Random, noise: bytes) -> None:
        sent.append(mutant(message, choose) if choose.random() < 0.8 else noise + END)

    collect()
    assert len(sent) >= MUTANTS * 0.9
    for message, answer in zip(sent, await answers_to(api, sent), strict=True):
        assert not any(status >= 500 for status in statuses(answer)), (message, answer[:300])
        assert b"Traceback" not in answer, message
    await check_goes_on(api, caplog)
