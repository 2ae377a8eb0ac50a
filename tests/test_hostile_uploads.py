"""Files that are built to hurt: whoever stores, opens or looks at them."""

import asyncio
import contextlib
import gzip
import http.client
import io
import json
import os
import select
import socket
import struct
import tempfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import openpyxl
import psutil
import pytest
from PIL import Image

from satupeta_server.errors import AppError
from satupeta_server.services.uploads import inspect
from satupeta_server.settings import Settings
from tests.cli.program import WRONG_USE, Program
from tests.conftest import Api, multipart
from tests.handlers.test_files import package, picture
from tests.serving import Start
from tests.world import PASSWORD, World

MEGABYTE = 1 << 20
ALL = ["jpg", "png", "gif", "webp", "pdf", "csv", "json", "txt", "docx", "xlsx", "zip"]
SCRIPT = b"<script>document.title='ran'</script>"
PAGE = b"<!doctype html><html><body>" + SCRIPT
PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"

# Each is two things at once; what it is stored as, and whether a browser may show it.
POLYGLOTS = {
    "gif and script": ("a.gif", picture("GIF") + b"/*" + SCRIPT, "image/gif", "inline"),
    "png and zip": ("a.png", picture() + package("x"), "image/png", "inline"),
    "png and page": ("a.png", picture() + PAGE, "image/png", "inline"),
    "jpeg and page": ("a.jpg", picture("JPEG") + PAGE, "image/jpeg", "inline"),
    "pdf and page": ("a.pdf", PDF + PAGE, "application/pdf", "attachment"),
    "page after text": ("a.txt", b"text\n" + PAGE, "text/plain", "attachment"),
    "page in a table": ("a.csv", b"a,b\n" + PAGE + b",1\n", "text/csv", "attachment"),
    "page in json": ("a.json", json.dumps({"a": PAGE.decode()}).encode(), "application/json",
                     "attachment"),
    "zip with a page before": ("a.zip", PAGE + package("x"), "application/zip", "attachment"),
}  # fmt: skip


@pytest.mark.parametrize("kind", POLYGLOTS)
async def test_what_is_two_things_at_once_is_never_a_page(api: Api, kind: str) -> None:
    name, content, content_type, disposition = POLYGLOTS[kind]
    # A client may say what it likes of its type.
    answer = await api.upload(content, name, content_type="text/html")
    assert answer.status == 201, answer.body
    path = f"/files/{answer.json['id']}/download"
    whole = await api.get(path)
    assert whole.body == content
    part = await api.get(path, headers={"Range": f"bytes={content.find(b'<') or 1}-"})
    assert part.status == 206
    for served in (whole, part, await api.request("HEAD", path)):
        assert served.headers["Content-Type"] == content_type
        assert served.headers["X-Content-Type-Options"] == "nosniff"
        assert served.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert served.headers["Content-Disposition"].startswith(f"{disposition}; ")
        assert served.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        ("a.png", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("a.html", PAGE), ("a.htm", PAGE), ("a.xhtml", PAGE), ("a.js", b"alert(1)"),
        ("a.txt", PAGE), ("a.csv", b"\xef\xbb\xbf \n" + PAGE), ("a.json", PAGE),
        ("a.txt", b"<?xml version='1.0'?><html/>"), ("a.png.html", picture()), ("a.html.", PAGE),
        ("a.png", b"GIF89a" + picture()[6:]), ("a.gif", picture()), ("a.pdf", PAGE + PDF),
        ("a.pdf", picture()), ("a.docx", package("xl")), ("a.xlsx", picture()), ("a.zip", PDF),
        ("a.exe", b"MZ"), ("a.png", b"MZ" + bytes(100)), ("a.png\0.html", picture()),
        ("a.png;.html", picture()), ("a", PAGE), ("", picture()),
    ],
)  # fmt: skip
async def test_what_is_not_what_its_name_says_is_refused(
    api: Api, name: str, content: bytes
) -> None:
    assert (await api.upload(content, name)).status == 415


@pytest.mark.settings(allowed_extensions=["svg", "tif", "png"])
async def test_a_drawing_that_an_office_allows_is_saved_and_never_shown(api: Api) -> None:
    content = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script/></svg>"
    answer = await api.upload(content, "a.svg")
    assert answer.status == 201, answer.body
    served = await api.get(f"/files/{answer.json['id']}/download")
    assert served.headers["Content-Disposition"].startswith("attachment; ")
    assert "sandbox" in served.headers["Content-Security-Policy"]


NAMES = {
    "../../../etc/passwd.png": "passwd.png",
    "..\\..\\windows\\win.png": "win.png",
    "/etc/cron.d/a.png": "a.png",
    "C:\\boot.png": "boot.png",
    "C:boot.png": "Cboot.png",
    "a.txt:stream.png": "a.txtstream.png",
    "...png/x.png": "x.png",
    ".htaccess.png": "htaccess.png",
    "CON.png": "_CON.png",
    "lpt1.txt.png": "_lpt1.txt.png",
    "a\u202egnp.exe.png": "agnp.exe.png",
    "a\r\nSet-Cookie: x=y.png": "aSet-Cookie x=y.png",
    "a\u0000.png": "a.png",
    "foto\u00a0\u200b.png": "foto.png",
    " .png. ": None,
    "x" * 3000 + ".png": "x" * 179 + ".png",
    "peta.png.": "peta.png",
    "-rf.png": "-rf.png",
    "%2e%2e%2fa.png": "%2e%2e%2fa.png",
    "<img src=x onerror=alert(1)>.png": "img src=x onerror=alert(1).png",
    "peta desa (2025) – Jawa Timur.png": "peta desa (2025) – Jawa Timur.png",
}


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_is_a_name_on_every_system_and_in_every_header(api: Api, name: str) -> None:
    headers, body = multipart({}, {"file": ("NAME", picture(), "image/png")})
    body = body.replace(b"NAME", name.encode().replace(b'"', b"%22"))
    answer = await api.post("/files", user="walidata", headers=headers, body=body)
    if answer.status >= 400:
        assert NAMES[name] is None or "\r" in name or "\0" in name, answer.body
        return
    assert answer.json["name"] == NAMES[name]
    assert answer.json["object_name"].endswith(f"{answer.json['id']}.png")
    served = await api.get(f"/files/{answer.json['id']}/download")
    told = served.headers["Content-Disposition"]
    assert told == f"inline; filename*=UTF-8''{quote(answer.json['name'], safe='')}"
    assert "Set-Cookie" not in served.headers


# Bombs


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png_of(width: int, height: int, rows: bytes = b"") -> bytes:
    """A picture that says to be that large, whatever it holds."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(rows, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def gif_of(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + picture("GIF")[10:]


def frames(number: int) -> bytes:
    """A picture that moves: each of its frames is decoded by whoever looks at all of them."""
    made = [Image.new("P", (2000, 2000), one % 256) for one in range(number)]
    content = io.BytesIO()
    made[0].save(content, "GIF", save_all=True, append_images=made[1:])
    return content.getvalue()


def text_chunks(number: int) -> bytes:
    """Compressed comments, each of a megabyte."""
    comment = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(MEGABYTE), 9))
    whole = picture()
    return whole[:33] + comment * number + whole[33:]


def archive(folder: str, parts: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("[Content_Types].xml", "<Types/>")
        for name, part in {f"{folder}/main.xml": b"<x/>", **parts}.items():
            made.writestr(name, part)
    return content.getvalue()


def lying(content: bytes, size: int) -> bytes:
    """An archive whose list says that its contents are that large."""
    start = content.rfind(b"PK\x01\x02")
    return content[: start + 24] + struct.pack("<I", size) + content[start + 28 :]


def overlapping(copies: int) -> bytes:
    """Many names for one content (Fifield, "A better zip bomb")."""
    content = archive("xl", {"kernel": os.urandom(100_000)})
    end = content.rfind(b"PK\x05\x06")
    start = struct.unpack("<I", content[end + 16 : end + 20])[0]
    entry = content[content.rfind(b"PK\x01\x02") : end]
    listed = content[start:end] + entry * copies
    number = 3 + copies
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, number, number, len(listed), start, 0)
    return content[:start] + listed + tail


def of_many_names(number: int) -> bytes:
    """A list of contents that takes hundreds of times its size in memory."""
    listed = bytearray()
    for one in range(number):
        name = f"xl/{one}".encode()
        listed += struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0,
                              len(name), 0, 0, 0, 0, 0, 0) + name  # fmt: skip
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(listed), 0, 0)
    return bytes(listed) + tail


BOMBS = {
    "pixels": ("a.png", png_of(50_000, 50_000), 422),
    "more pixels than a number holds": ("a.png", png_of(2**31 - 1, 2**31 - 1), 422),
    "pixels of a gif": ("a.gif", gif_of(65_535, 65_535), 422),
    "a picture of little": ("a.png", png_of(5000, 5000), 422),
    "comments": ("a.png", text_chunks(200), None),
    "rows beyond the picture": ("a.png", png_of(8, 8, bytes(300 * MEGABYTE)), None),
    "an archive that lies": ("a.zip", lying(package("x"), 0xFFFFFFF0), 422),
    "a table that lies": ("a.xlsx", lying(package("xl"), 0xFFFFFFF0), 422),
    "overlapping": ("a.zip", overlapping(500), 422),
    "overlapping table": ("a.xlsx", overlapping(500), 422),
    "names": ("a.xlsx", of_many_names(200_000), 422),
    "names in an archive": ("a.zip", of_many_names(200_000), 422),
    "an archive in an archive": ("a.zip", archive("x", {"a.zip": archive("x", {})}), 201),
    "no end": ("a.zip", b"PK\x05\x06", 415),
    "an end within the end": ("a.zip", b"PK\x05\x06" + bytes(8) + b"PK\x05\x06" + bytes(10), None),
}


@pytest.mark.parametrize("kind", BOMBS)
async def test_a_bomb_is_refused_or_kept_closed(api: Api, kind: str) -> None:
    name, content, status = BOMBS[kind]
    before = psutil.Process().memory_info().rss
    answer = await api.upload(content, name)
    assert answer.status == status if status else answer.status in (201, 415, 422), answer.body
    assert psutil.Process().memory_info().rss - before < 300 * MEGABYTE
    assert (await api.upload(picture(), "a.png")).status == 201


@pytest.mark.parametrize("kind", ["names", "overlapping table", "comments", "a table that lies"])
def test_looking_at_a_bomb_takes_little_memory(tmp_path: Path, kind: str) -> None:
    name, content, _ = BOMBS[kind]
    path = tmp_path / "spooled"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with contextlib.suppress(AppError):
            inspect(path, name, ALL, 50_000_000)
        assert tracemalloc.get_traced_memory()[1] < 80 * MEGABYTE
    finally:
        tracemalloc.stop()


@pytest.mark.long
async def test_only_the_first_frame_of_a_moving_picture_is_decoded(api: Api) -> None:
    answer = await api.upload(frames(150), "a.gif")
    assert (answer.status, answer.json["width"]) == (201, 2000)


# Spreadsheets are opened only by an import.

ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + one, b"&%c;" % (97 + one) * 10) for one in range(12))
    + b"]><sst><si><t>&m;</t></si></sst>"
)


def outer_entity(address: str) -> bytes:
    declared = f'<!DOCTYPE x [<!ENTITY a SYSTEM "{address}">]>'
    return f'<?xml version="1.0"?>{declared}<sst><si><t>&a;</t></si></sst>'.encode()


def sheet(replaced: dict[str, bytes]) -> bytes:
    """A table with a text in it, of whose parts some are others."""
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["name"])
    book.active.append(["Dinas Uji"])
    plain, made = io.BytesIO(), io.BytesIO()
    book.save(plain)
    with zipfile.ZipFile(plain) as read, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as write:
        parts = {part: read.read(part) for part in read.namelist()}
        if TEXTS in replaced:
            parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace(
                b"</Types>", OVERRIDE + b"</Types>"
            )
        for part, content in {**parts, **replaced}.items():
            write.writestr(part, content)
    return made.getvalue()


TEXTS = "xl/sharedStrings.xml"
OVERRIDE = (
    b'<Override PartName="/xl/sharedStrings.xml" ContentType='
    b'"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/>'
)
SHEETS = {
    "entities without end": {TEXTS: ENTITIES},
    "entities in the sheet": {"xl/worksheets/sheet1.xml": ENTITIES},
    "entities in the book": {"xl/workbook.xml": ENTITIES},
    "a file of the server": {TEXTS: outer_entity("file:///etc/passwd")},
    "texts": {TEXTS: b"<sst>" + bytes(400 * MEGABYTE) + b"</sst>"},
}


@pytest.fixture
def program(settings: Settings, tmp_path: Path) -> Program:
    return Program(settings, tmp_path)


@pytest.mark.parametrize("kind", SHEETS)
def test_an_import_refuses_a_table_that_is_a_bomb(program: Program, kind: str) -> None:
    (program.folder / "a.xlsx").write_bytes(sheet(SHEETS[kind]))
    ended = program("import", "organizations", "a.xlsx", code=None)
    assert ended.returncode in (1, WRONG_USE)
    assert "root:" not in ended.stdout + ended.stderr
    assert program.rows("SELECT count(*) FROM organizations WHERE name = 'Dinas Uji'") == [(0,)]


def test_an_import_calls_no_address_that_a_table_names(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        (program.folder / "a.xlsx").write_bytes(sheet({TEXTS: outer_entity(address)}))
        program("import", "organizations", "a.xlsx", code=None)
        assert not select.select([listener], [], [], 0)[0]


def test_a_packed_import_is_read_in_pieces(program: Program) -> None:
    (program.folder / "a.csv.gz").write_bytes(gzip.compress(b"name\n" + bytes(200 * MEGABYTE)))
    ended = program("import", "organizations", "a.csv.gz", code=None)
    assert ended.returncode in (1, WRONG_USE)


# Too large, and too many


@contextlib.contextmanager
def sending(api: Api, token: str, framing: str) -> Iterator[socket.socket]:
    place = urlsplit(api.base)
    with socket.create_connection((str(place.hostname), int(place.port or 0))) as connection:
        head = (
            f"POST /api/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: multipart/form-data; boundary=edge\r\n{framing}\r\n\r\n"
        )
        connection.sendall(head.encode())
        connection.setblocking(False)
        yield connection


PART = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'


def framed(content: bytes, *, is_chunked: bool) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content) if is_chunked else content


async def accepted(connection: socket.socket, *, is_chunked: bool) -> tuple[int, bytes]:
    """Send until there is an answer: how much was sent by then, and the answer."""
    loop, sent = asyncio.get_running_loop(), 0
    piece = framed(b"x" * (256 * 1024), is_chunked=is_chunked)
    await loop.sock_sendall(connection, framed(PART, is_chunked=is_chunked))
    answer = asyncio.ensure_future(loop.sock_recv(connection, 65536))
    while not answer.done() and sent < 2 << 30:
        sending_on = asyncio.ensure_future(loop.sock_sendall(connection, piece))
        await asyncio.wait([answer, sending_on], return_when=asyncio.FIRST_COMPLETED, timeout=10)
        if not sending_on.done():
            sending_on.cancel()
            break
        sent += len(piece)
        await asyncio.sleep(0)
    return sent, await answer


def largest_spool_file() -> int:
    sizes = (one.stat().st_size for one in Path(tempfile.gettempdir()).glob("satupeta-upload-*"))
    return max(sizes, default=0)


# What stands in the buffers of both sockets and of the stream.
BUFFERS = 16 * MEGABYTE


async def refuse_early(api: Api, framing: str, limit: int) -> None:
    token = await api.token("walidata")
    with sending(api, token, framing) as connection:
        is_chunked = "chunked" in framing
        sent, answer = await accepted(connection, is_chunked=is_chunked)
        assert answer.startswith(b"HTTP/1.1 413 "), answer[:100]
        assert sent <= limit + BUFFERS
        assert largest_spool_file() <= limit
    assert (await api.upload(b"kecil", "kecil.txt")).status == 201


ANNOUNCED = f"Content-Length: {2 << 30}"
CHUNKED = "Transfer-Encoding: chunked"


async def test_two_gigabytes_that_are_announced_are_refused_before_they_come(api: Api) -> None:
    await refuse_early(api, ANNOUNCED, 0)


@pytest.mark.settings(max_upload_size=5 * MEGABYTE)
async def test_what_is_not_announced_is_refused_at_the_limit(api: Api) -> None:
    await refuse_early(api, CHUNKED, 5 * MEGABYTE)


@pytest.mark.long
async def test_two_gigabytes_in_chunks_are_refused_at_the_limit_of_a_hundred_megabytes(
    api: Api,
) -> None:
    await refuse_early(api, CHUNKED, 100 * MEGABYTE)


@pytest.mark.long
def test_ten_thousand_small_files_leave_the_server_as_it_was(
    start: Start, settings: Settings, world: World
) -> None:
    served = start(settings)
    process = psutil.Process(served.process.pid)
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)

    def post(path: str, headers: dict[str, str], body: bytes) -> dict[str, object]:
        connection.request("POST", f"/api{path}", body, headers)
        response = connection.getresponse()
        answer: dict[str, object] = json.loads(response.read())
        assert response.status in (200, 201), answer
        return answer

    login = post("/auth/login", *multipart({"username": "walidata", "password": PASSWORD}))
    headers, body = multipart({}, {"file": ("a.png", picture(), "image/png")})
    headers["Authorization"] = f"Bearer {login['access_token']}"
    begin = time.monotonic()
    seen: list[tuple[int, int, int]] = []
    for number in range(1, 10_001):
        post("/files", headers, body)
        if number % 2_000 == 0:
            seen.append((process.memory_info().rss, process.num_fds(), process.num_threads()))
    assert time.monotonic() - begin < 1_800
    first, last = seen[0], seen[-1]
    assert last[0] < first[0] + 16 * MEGABYTE, seen
    assert last[1] <= first[1] + 5, seen
    assert last[2] == first[2], seen
    assert not list(Path(tempfile.gettempdir()).glob("satupeta-upload-*"))
    connection.close()
