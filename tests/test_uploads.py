"""Uploads from clients that send anything, and onto a disk that has no room."""

import asyncio
import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satupeta_server.errors import AppError
from satupeta_server.handlers.bodies import MultipartReader, safe_file_name
from tests.conftest import Api
from tests.connecting import connected, port_of

LIMIT = 5000
BOUNDARY = "edge"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"

# What a body is made of, so that noise gets past the first line of the parser.
PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"--edge",
            b"--edge--",
            b"--edge\r\n",
            b"\r\n--edge\r\n",
            b"\r\n--edge--\r\n",
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"Content-Disposition: form-data",
            b'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n',
            b'Content-Disposition: form-data; name="file"; filename="b.txt"\r\n\r\n',
            b'Content-Disposition: form-data; name="description"\r\n\r\n',
            b'Content-Disposition: form-data; name="\xff"\r\n\r\n',
            b"Content-Disposition: form-data; filename*=utf-8''%ff; name=file\r\n\r\n",
            b"Content-Disposition: form-data; filename*=nonsense''x; name=file\r\n\r\n",
            b"Content-Type: text/plain\r\n",
            b"X: y\r\n",
            b": \r\n",
            b"x" * 2000,
        ]
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the spool files of this module stand."""
    folder = tmp_path_factory.mktemp("spool")
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    yield folder
    tempfile.tempdir = before


def left(folder: Path) -> list[Path]:
    """The spool files that stand in a folder."""
    return list(folder.glob("satupeta-upload-*"))


@settings(max_examples=300)
@given(pieces=st.lists(PIECES, max_size=14), cut=st.integers(1, 300))
def test_whatever_arrives_is_read_or_refused_and_leaves_no_file(
    folder: Path, pieces: list[bytes], cut: int
) -> None:
    body = b"".join(pieces)
    reader = MultipartReader(CONTENT_TYPE, LIMIT, file_part="file")
    try:
        for start in range(0, len(body), cut):
            reader.feed(body[start : start + cut])
        upload = reader.upload(None)
    except AppError:
        pass
    else:
        content = upload.path.read_bytes()
        assert len(content) == upload.size <= LIMIT
        assert content in body
    finally:
        reader.close()
        reader.close()
    assert left(folder) == []


@settings(max_examples=100)
@given(content=st.binary(max_size=LIMIT), cut=st.integers(1, 400), text=st.text(max_size=50))
def test_a_body_in_order_is_read_as_it_is_however_it_is_cut(
    folder: Path, content: bytes, cut: int, text: str
) -> None:
    if b"\r\n--edge" in content or "\r\n--edge" in text:
        return
    body = (
        b'--edge\r\nContent-Disposition: form-data; name="description"\r\n\r\n'
        + text.encode()
        + b'\r\n--edge\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        + content
        + b"\r\n--edge--\r\n"
    )
    reader = MultipartReader(CONTENT_TYPE, LIMIT, file_part="file")
    for start in range(0, len(body), cut):
        reader.feed(body[start : start + cut])
    upload = reader.upload(None)
    assert upload.path.read_bytes() == content
    assert (reader.form().get("description", ""), upload.name) == (text, "a.txt")
    reader.close()
    assert left(folder) == []


# Tornado reads the bytes of a header so.
LATIN_1 = st.text(st.characters(max_codepoint=255), max_size=80)


@settings(max_examples=100)
@given(content_type=LATIN_1 | LATIN_1.map(lambda text: f"multipart/form-data; boundary={text}"))
def test_any_content_type_is_read_or_refused(content_type: str) -> None:
    with contextlib.suppress(AppError):
        MultipartReader(content_type, LIMIT).feed(b"--x\r\n")


@given(raw=st.binary(max_size=400))
def test_a_file_name_is_short_printable_and_no_path(raw: bytes) -> None:
    name = safe_file_name(raw)
    assert 0 < len(name) <= 200
    assert name.isprintable()
    assert "/" not in name
    assert "\\" not in name
    assert not set(name) & set('<>:"|?*')
    assert not name.startswith(".")
    assert not name.endswith((".", " "))


@pytest.fixture
def full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of one megabyte for spool files."""
    folder = tmp_path / "full"
    folder.mkdir()
    size = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(size, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk, and not everywhere")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_without_room_for_the_spool_file_there_is_503_and_the_server_goes_on(
    api: Api, full_disk: Path
) -> None:
    answer = await api.upload(b"x" * (4 << 20), "besar.txt")
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"]
    # The refusal is kept open for two seconds, so that the client gets to read it.
    for _ in range(30):
        if not left(full_disk):
            break
        await asyncio.sleep(0.1)
    assert left(full_disk) == []
    assert (await api.upload(b"kecil", "kecil.txt")).status == 201


@pytest.mark.settings(max_upload_size=1000)
@pytest.mark.parametrize("content", [b"x" * 10, b"x" * 100_000], ids=["given up", "refused"])
async def test_a_body_that_never_becomes_whole_leaves_no_task_behind(
    api: Api, content: bytes
) -> None:
    part = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    token = await api.token("walidata")
    for _ in range(3):
        head = (
            f"POST /api/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: 200000\r\n\r\n"
        )
        async with connected(port_of(api)) as (_, writer):
            writer.write(head.encode() + part + content)
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.2)
    assert [one for one in asyncio.all_tasks() if "RequestHandler._execute" in repr(one)] == []
