"""Bytes that are hardly a request: whatever comes, the answer is no failure of ours."""

import asyncio
import contextlib
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import Api
from tests.connecting import connected

BATCHES, BATCH = 12, 20
ANSWER_SECONDS = 0.3

TOKENS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
METHODS = st.sampled_from(["GET", "POST", "PATCH", "DELETE", "OPTIONS", "HEAD", "PUT"]) | TOKENS
PATHS = st.sampled_from(
    [
        "/api/mapsets",
        "/api/files",
        "/api/auth/login",
        "/api/categories/%00",
        "/api/files/x/download",
        "/api/mapsets?filter=%ff",
        "/api/mapsets?limit=9999999999999999999999&offset=-1",
        "/api/mapsets?sort=%5B%22name%3D%22",
        "/api//..//..//etc/passwd",
        "*",
        "http://elsewhere.example/api/mapsets",
    ]
) | TOKENS.map(lambda text: f"/api/mapsets?{text}")
# That which Tornado takes for a header, and so comes to our code.
HEADERS = st.sampled_from(
    [
        b"Content-Length: 2",
        b"Content-Length: 5",
        b"Content-Length: 99999999999999999999",
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b"Content-Encoding: gzip",
        b"Content-Type: multipart/form-data; boundary=x",
        b"Content-Type: multipart/form-data; boundary=\xff",
        b"Content-Type: \xff;\xff",
        b"Authorization: Bearer \xff.\xff.\xff",
        b"Authorization: Bearer a.b.c",
        b"Authorization: \xff",
        b"If-None-Match: \xff",
        b'If-Match: "99999999999999999999"',
        b"Range: bytes=99999999999999999999-",
        b"Origin: \xff",
        b"X-Request-Id: \xff",
        b"X-Forwarded-For: \xff",
        b"Accept-Language: ;q=x,,\xff",
        b"Accept-Encoding: gzip;q=x",
        b"Cookie: a=;;=\xff",
    ]
)
BROKEN_HEADERS = st.sampled_from(
    [
        b"Content-Length: -1",
        b"Content-Length: 5, 6",
        b"Transfer-Encoding: gzip, chunked",
        b"X: \x01",
        b" folded",
        b"no colon",
        b": no name",
    ]
) | st.binary(max_size=30)
BODIES = st.sampled_from(
    [
        b"",
        b"{}",
        b"[1]",
        b"nope\xff",
        b'{"username": 1}',
        b"5\r\nhello\r\n0\r\n\r\n",
        b"zz\r\n",
        b"ffffffffffffffffff\r\n",
        b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n",
    ]
) | st.binary(max_size=60)


@st.composite
def messages(draw: Any) -> bytes:
    """Something like a request, or several, or nothing of the kind."""
    if draw(st.integers(0, 9)) == 9:
        return bytes(draw(st.binary(min_size=1, max_size=200))) + b"\r\n\r\n"
    version = draw(st.sampled_from(["HTTP/1.1"] * 8 + ["HTTP/1.0", "HTTP/9.9"]))
    line = f"{draw(METHODS)} {draw(PATHS)} {version}".encode()
    headers = [b"Host: x", b"Connection: close", *draw(st.lists(HEADERS, max_size=4, unique=True))]
    if draw(st.integers(0, 9)) == 9:
        headers.append(draw(BROKEN_HEADERS))
    return b"\r\n".join([line, *headers, b"", draw(BODIES)])


async def answer_to(port: int, message: bytes) -> bytes:
    """What comes back before the connection ends, or within a moment."""
    answer = b""
    async with connected(port) as (reader, writer):
        with contextlib.suppress(OSError, TimeoutError):
            writer.write(message)
            async with asyncio.timeout(ANSWER_SECONDS):
                while piece := await reader.read(65536):
                    answer += piece
    return answer


async def test_noise_is_never_answered_with_a_failure(api: Api) -> None:
    port = int(api.base.split(":")[2].split("/")[0])
    sent: list[bytes] = []

    @settings(
        max_examples=BATCHES,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(batch=st.lists(messages(), min_size=BATCH, max_size=BATCH))
    def collect(batch: list[bytes]) -> None:
        sent.extend(batch)

    collect()
    for first in range(0, len(sent), BATCH):
        batch = sent[first : first + BATCH]
        answers = await asyncio.gather(*[answer_to(port, message) for message in batch])
        for message, answer in zip(batch, answers, strict=True):
            assert not answer.startswith(b"HTTP/1.1 5"), (message, answer[:300])
            assert b"Traceback" not in answer, message
    assert (await api.get("/health/ready")).status == 200
