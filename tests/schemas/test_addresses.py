"""Addresses that others give: only of the web, as every way in has it."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satupeta_server.errors import InvalidError
from satupeta_server.schemas.base import Form
from satupeta_server.schemas.fields import url
from satupeta_server.settings import Settings
from satupeta_server.transfer.kinds import KINDS
from tests.cli.program import SOME_FAILED, Program
from tests.conftest import Api

FORM = Form({"url": url(required=True)})

REFUSED = [
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "data:text/html,x",
    "vbscript:x", "file:///etc/passwd", "ftp://peta.example.org", "gopher://x", "blob:https://x/1",
    "//peta.example.org", "/geoserver", "peta.example.org", "http:peta.example.org", "http://",
    "https:///path", "http:\\\\peta.example.org", "http://user:secret@peta.example.org",
    "http://user@peta.example.org", "http://@peta.example.org", "http://a\\@evil.example.org",
    "http://good.example.org\\.evil.example.org", "http://peta.example.org:99999",
    "http://peta.example.org:x", "http://peta.example.org:0", "http://peta example.org",
    "http://peta.example.org/\r\nSet-Cookie: a=b", "http://peta.example.org/\x00", "http://a/\x7f",
    "http://peta.example.org/<script>", 'http://peta.example.org/"onclick="', "http://[::1",
    "http://peta.example.org/\u202egpj", "http://peta.example.org/\u200b", "http://a..b",
    "http://%31%32%37.0.0.1/", "http://a|b/", "http://" + "x" * 64 + ".org", "http://\u2100.com",
    "http://\ud800/", "http://x/" + "y" * 2000,
]  # fmt: skip
TAKEN = [
    "http://peta.example.org", "https://peta.example.org:8443/geoserver/wms?layers=a:b&x=%20#c",
    "https://tiles.example.org/{z}/{x}/{y}.png", "http://10.1.2.3:8080/geoserver/",
    "http://[2001:db8::1]/", "https://dinas-kehutanan.go.id/peta/Jawa_Timur", "https://péta.id/",
    "https://例え.テスト/地図", "HTTPS://PETA.EXAMPLE.ORG", "http://geo_server:8080/",
    "https://peta.example.org/a@b", "https://peta.example.org/?q=a|b",
]  # fmt: skip
ADDRESSES = [
    (kind.name, field)
    for kind in KINDS.values()
    for field, rules in kind.form.fields.items()
    if field == "website" or field.endswith("url")
]


def is_taken(value: object) -> bool:
    try:
        FORM.for_create({"url": value})
    except InvalidError as error:
        assert list(error.errors) == ["url"]
        return False
    return True


@pytest.mark.parametrize("value", REFUSED)
def test_what_is_no_address_of_the_web_is_refused(value: str) -> None:
    assert not is_taken(value)


@pytest.mark.parametrize("value", TAKEN)
def test_an_address_of_the_web_is_taken(value: str) -> None:
    assert is_taken(value)


@given(value=st.text() | st.text().map("http://{}".format) | st.text().map("https://a{}".format))
def test_of_any_text_only_an_address_of_the_web_is_taken(value: str) -> None:
    if is_taken(value):
        assert value.strip().lower().startswith(("http://", "https://"))
        assert value.strip().isprintable()


def test_every_field_of_an_address_is_one() -> None:
    assert {field for _, field in ADDRESSES} == {"url", "website", "layer_url", "metadata_url"}


@pytest.fixture
def program(settings: Settings, tmp_path: Path) -> Program:
    return Program(settings, tmp_path)


@pytest.mark.parametrize(("kind", "field"), ADDRESSES)
def test_an_import_refuses_it_too(program: Program, kind: str, field: str) -> None:
    with (program.folder / "bad.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", field])
        writer.writerow(["Uji", "javascript:alert(1)"])
        writer.writerow(["Uji dua", "https://user:secret@peta.example.org"])
    words = ("import", kind, "bad.csv", "--report", "told.jsonl")
    program.inside(*words, code=SOME_FAILED)
    told = (program.folder / "told.jsonl").read_text().splitlines()
    assert len(told) == 2
    for line in told:
        assert field in json.loads(line)["errors"]


async def test_the_api_refuses_it(api: Api) -> None:
    for value in ("javascript:alert(1)", "https://user:secret@peta.example.org"):
        body = {"name": "Uji", "website": value}
        answer = await api.post("/organizations", user="administrator", json_body=body)
        assert (answer.status, list(answer.json["errors"])) == (422, ["website"])
        assert "secret" not in answer.body.decode()
