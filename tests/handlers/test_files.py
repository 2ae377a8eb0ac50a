"""Files: contract 7."""

import asyncio
import hashlib
import io
import zipfile
from typing import Any

import pytest
from PIL import Image

from satupeta_server.storage import ObjectStore
from tests.conftest import Api, multipart


def picture(kind: str = "PNG", size: tuple[int, int] = (8, 6)) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, (20, 120, 60)).save(content, kind)
    return content.getvalue()


def package(folder: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(f"{folder}/main.xml", "<x/>")
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.gif", "GIF")]
)
async def test_a_picture_is_stored_and_served(
    api: Api, store: ObjectStore, name: str, kind: str
) -> None:
    content = picture(kind)
    answer = await api.upload(content, name, fields={"description": "Foto"})
    assert answer.status == 201, answer.body
    file = answer.json
    assert (file["size"], file["width"], file["height"]) == (len(content), 8, 6)
    assert file["checksum"] == hashlib.sha256(content).hexdigest()
    assert file["uploaded_by"]["role"]["name"] == "data_validator"
    assert file["uploaded_by"]["organization"]["name"]
    assert file["description"] == "Foto"
    assert b"".join(store.open(file["object_name"])) == content
    served = await api.get(f"/files/{file['id']}/download")
    assert served.status == 200
    assert served.body == content
    assert served.headers["Content-Type"] == f"image/{kind.lower()}"
    assert served.headers["X-Content-Type-Options"] == "nosniff"
    assert "immutable" in served.headers["Cache-Control"]
    assert "sandbox" in served.headers["Content-Security-Policy"]
    again = {"If-None-Match": served.headers["Etag"]}
    assert (await api.get(f"/files/{file['id']}/download", headers=again)).status == 304


async def test_head_of_a_download_tells_its_length(api: Api) -> None:
    file = (await api.upload(b"0123456789", "a.txt")).json
    path = f"/files/{file['id']}/download"
    whole = await api.request("HEAD", path)
    assert (whole.status, whole.headers["Content-Length"], whole.body) == (200, "10", b"")
    part = await api.request("HEAD", path, headers={"Range": "bytes=2-4"})
    assert (part.status, part.headers["Content-Length"]) == (206, "3")
    assert (await api.get(path)).headers["Etag"] == whole.headers["Etag"]


async def test_a_part_of_a_file_is_served(api: Api) -> None:
    content = b"0123456789"
    file = (await api.upload(content, "a.txt")).json
    path = f"/files/{file['id']}/download"
    for header, part in (
        ("bytes=0-3", b"0123"),
        ("bytes=4-", b"456789"),
        ("bytes=-2", b"89"),
        ("bytes=8-99", b"89"),
    ):
        answer = await api.get(path, headers={"Range": header})
        assert (answer.status, answer.body) == (206, part)
        assert answer.headers["Content-Range"].endswith("/10")
    for whole in ("bytes=0-1,3-4", "lines=1-2", "bytes=-"):
        assert (await api.get(path, headers={"Range": whole})).body == content
    beyond = await api.get(path, headers={"Range": "bytes=10-"})
    assert beyond.status == 416
    assert beyond.headers["Content-Range"] == "bytes */10"
    disposition = (await api.get(path)).headers["Content-Disposition"]
    assert disposition == "attachment; filename*=UTF-8''a.txt"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pdf", b"%PDF-1.7 ..."),
        ("a.csv", b"a,b\n1,2\n"),
        ("a.json", b'{"a": 1}'),
        ("a.docx", package("word")),
        ("a.xlsx", package("xl")),
        ("a.zip", package("x")),
    ],
)
async def test_real_documents_are_accepted_and_pretended_ones_are_not(
    api: Api, name: str, content: bytes
) -> None:
    assert (await api.upload(content, name)).status == 201
    fake = await api.upload(b"<!doctype html><script>alert(1)</script>", name)
    assert fake.status == 415
    assert list(fake.json["errors"]) == ["file"]


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("a.png", picture("JPEG"), 415),
        ("a.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        ("a.html", b"<p>x</p>", 415),
        ("a.php", b"<?php", 415),
        ("png", picture(), 415),
        ("a.png", picture(size=(60, 60))[:-30], 422),
        ("a.png", b"", 422),
        ("a.txt", b"a\0b", 415),
    ],
)
async def test_what_is_no_accepted_file_leaves_nothing_behind(
    api: Api, store: ObjectStore, name: str, content: bytes, status: int
) -> None:
    before = {one.object_name for one in store._client.list_objects(store.bucket, recursive=True)}
    assert (await api.upload(content, name)).status == status
    after = {one.object_name for one in store._client.list_objects(store.bucket, recursive=True)}
    assert before == after


@pytest.mark.settings(max_image_pixels=1000)
async def test_an_image_of_too_many_pixels_is_refused(api: Api) -> None:
    assert (await api.upload(picture(size=(40, 25)), "a.png")).status == 201
    answer = await api.upload(picture(size=(40, 26)), "a.png")
    assert list(answer.json["errors"]) == ["file"]


@pytest.mark.parametrize(
    "name", ["../../etc/a.png", "C:\\a.png", "a\u202egnp.png", "x" * 999 + ".png"]
)
async def test_a_file_name_is_only_a_name(api: Api, name: str) -> None:
    file = (await api.upload(picture(), name)).json
    assert "/" not in file["name"]
    assert "\\" not in file["name"]
    assert len(file["name"]) <= 200
    assert file["object_name"].startswith("files/2")
    assert file["object_name"].endswith(f"{file['id']}.png")


@pytest.mark.settings(max_upload_size=100_000, allowed_origins=["http://portal.example.org"])
async def test_an_upload_over_the_limit_is_413_for_a_browser_too(api: Api) -> None:
    assert (await api.upload(b"x" * 100_000, "a.txt")).status == 201
    answer = await api.upload(b"x" * 100_001, "a.txt")
    assert answer.status == 413
    headers, body = multipart({}, {"file": ("a.txt", b"x" * 9_000_000, "text/plain")})
    headers["Origin"] = "http://portal.example.org"
    announced = await api.post("/files", user="walidata", headers=headers, body=body)
    assert announced.status == 413
    assert announced.json["code"] == "too_large"
    assert announced.headers["Access-Control-Allow-Origin"] == "http://portal.example.org"


async def test_what_is_no_upload_is_refused(api: Api) -> None:
    headers, body = multipart({"file": "x"})
    missing = await api.post("/files", user="walidata", headers=headers, body=body)
    assert list(missing.json["errors"]) == ["file"]
    cut = await api.post("/files", user="walidata", headers=headers, body=body[:-20])
    assert (cut.status, cut.json["code"]) == (400, "malformed_multipart")
    assert (await api.post("/files", user="walidata", json_body={})).status == 415
    assert (await api.upload(picture(), "a.png", user="viewer")).status == 403
    assert (await api.upload(picture(), "a.png", user=None)).status == 401


@pytest.mark.settings(minio_endpoint_url="http://127.0.0.1:9")
async def test_without_the_store_there_is_503_and_no_row(api: Api) -> None:
    answer = await api.upload(picture(), "a.png")
    assert answer.status == 503
    assert answer.headers["Retry-After"]
    ready = await api.get("/health/ready")
    assert ready.status == 503
    assert ready.json["checks"] == {"database": "ok", "storage": "down", "migrations": "ok"}
    assert (await api.get("/health/live")).status == 200


USES = {
    "categories": ("thumbnail", {"name": "Uji"}),
    "organizations": ("thumbnail", {"name": "Uji"}),
    "news": ("thumbnail", {"name": "Uji"}),
    "regionals": ("thumbnail", {"name": "Uji", "code": "99"}),
}


@pytest.mark.parametrize("subject", USES)
async def test_a_file_in_use_cannot_be_deleted(api: Api, subject: str) -> None:
    file = (await api.upload(picture(), "a.png", user="administrator")).json
    field, body = USES[subject]
    sent: dict[str, Any] = {**body, field: file["id"]}
    record = (await api.post(f"/{subject}", user="administrator", json_body=sent)).json
    path = f"/files/{file['id']}"
    assert (await api.delete(path, user="administrator")).status == 409
    await api.delete(f"/{subject}/{record['id']}", user="administrator")
    assert (await api.delete(path, user="administrator")).status == 409


async def test_a_file_is_deleted_by_its_uploader_or_an_administrator(api: Api) -> None:
    first = (await api.upload(picture(), "a.png", user="pengelola")).json
    second = (await api.upload(picture(), "a.png", user="pengelola")).json
    path = f"/files/{first['id']}"
    assert (await api.delete(path, user="walidata")).status == 403
    assert (await api.delete(path, user="pengelola")).status == 204
    assert (await api.delete(f"/files/{second['id']}", user="administrator")).status == 204
    assert (await api.get(f"{path}/download")).status == 404
    body = {"name": "Uji", "thumbnail": first["id"]}
    answer = await api.post("/categories", user="administrator", json_body=body)
    assert list(answer.json["errors"]) == ["thumbnail"]


async def test_a_file_is_deleted_or_used_but_never_both(api: Api) -> None:
    for number in range(5):
        file = (await api.upload(picture(), "a.png", user="administrator")).json
        body = {"name": f"Uji {number}", "thumbnail": file["id"]}
        statuses = [
            answer.status
            for answer in await asyncio.gather(
                api.delete(f"/files/{file['id']}", user="administrator"),
                api.post("/categories", user="administrator", json_body=body),
            )
        ]
        assert statuses in ([204, 422], [409, 201])


async def test_a_part_of_a_file_is_never_packed(api: Api) -> None:
    content = b"nama,luas\n" * 1000
    file = (await api.upload(content, "a.csv")).json
    headers = {"Range": "bytes=0-4999", "Accept-Encoding": "gzip"}
    answer = await api.get(f"/files/{file['id']}/download", headers=headers)
    assert (answer.status, answer.body) == (206, content[:5000])
    assert "gzip" not in answer.headers.get_list("Content-Encoding")
    assert answer.headers["Content-Length"] == "5000"


@pytest.mark.parametrize("description", ["a\0b", "x" * 20_001])
async def test_a_description_that_cannot_be_kept_stops_the_upload(
    api: Api, store: ObjectStore, description: str
) -> None:
    before = len(list(store._client.list_objects(store.bucket, recursive=True)))
    answer = await api.upload(picture(), "a.png", fields={"description": description})
    assert (answer.status, list(answer.json["errors"])) == (422, ["description"])
    assert len(list(store._client.list_objects(store.bucket, recursive=True))) == before
