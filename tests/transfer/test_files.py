"""Files of records: what is written comes back, and what is broken is told."""

import datetime
import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from satupeta_server.errors import InputError
from satupeta_server.escaping import escaped, unescaped
from satupeta_server.transfer.reading import LONGEST_LINE, Row, read_rows
from satupeta_server.transfer.sources import FORMATS, find_source
from satupeta_server.transfer.writing import make_writer

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


def read(path: Path, **options: Any) -> list[Row]:
    with find_source(str(path), standard_input=io.BytesIO(), **options) as source:
        return list(read_rows(source))


@given(st.text(st.sampled_from("'=+-@\t\r\nax7\uff1d"), max_size=8) | st.text())
def test_a_cell_is_harmless_and_comes_back(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert not escaped(text).startswith((*"=+-@\t\r\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"))


@pytest.mark.parametrize("text", ["+62 31 555", "-7.5", "'x", "x", ""])
def test_what_people_write_is_not_taken_for_an_escape(text: str) -> None:
    assert unescaped(text) == text


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("is_packed", [False, True])
def test_every_format_gives_back_what_it_was_given(
    tmp_path: Path, kind: str, *, is_packed: bool
) -> None:
    rows = [
        {"name": "=HYPERLINK(1)", "note": 'baris\nkedua; "kutip", koma'},
        {"name": "+62 31", "note": "'-7.5"},
        {"name": "Ñandú – 日本", "note": " tepi "},
    ]
    path = tmp_path / f"data.{kind}{'.gz' if is_packed else ''}"
    opened: Any = gzip.open(path, "wb") if is_packed else path.open("wb")  # noqa: SIM115
    with opened as file, make_writer(kind, file, ["name", "note"]) as writer:
        for row in rows:
            writer.write(row)
    assert [row.values for row in read(path)] == rows


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encoding_and_delimiter_are_found_out(
    tmp_path: Path, encoding: str, delimiter: str
) -> None:
    path = tmp_path / "data.csv"
    text = f"name{delimiter}note\nCafé Größe São{delimiter}été à Malang\n"
    path.write_bytes(text.encode(encoding))
    assert [row.values for row in read(path)] == [
        {"name": "Café Größe São", "note": "été à Malang"}
    ]


@pytest.mark.parametrize("encoding", ["utf-16-le", "UTF_16_BE", "utf-32", "UTF8", "Latin-1"])
def test_an_encoding_may_be_named_in_any_way(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes("name,note\nCafé,\u0a00x\n".encode(encoding, "ignore"))
    note = "x" if encoding == "Latin-1" else "\u0a00x"
    assert [row.values for row in read(path, encoding=encoding)] == [{"name": "Café", "note": note}]


def test_a_broken_line_fails_alone(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b'name,note\na,1\n"b"x,2\nc\nd,\xff\ne,5\nf,6,7\n')
    rows = read(path, encoding="utf-8")
    assert [(row.line, row.values.get("name")) for row in rows if row.problem is None] == [
        (2, "a"),
        (6, "e"),
    ]
    assert [row.line for row in rows if row.problem] == [3, 4, 5, 7]


def test_a_line_without_an_end_is_refused_with_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    with path.open("wb") as file:
        file.write(b'{"name": "a"}\n{"name": "')
        file.write(b"x" * (LONGEST_LINE + 10))
    with pytest.raises(InputError, match="line 2"):
        read(path)


@pytest.mark.parametrize("kind", ["csv.gz", "json", "xlsx"])
def test_a_file_that_ends_early_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"data.{kind}"
    whole = {
        "csv.gz": gzip.compress(b"name\n" + b"abcdefgh\n" * 9000, 0),
        "json": json.dumps([{"name": "a"}] * 9).encode(),
        "xlsx": b"PK\x03\x04" + b"x" * 50,
    }[kind]
    path.write_bytes(whole[: len(whole) - 20])
    with pytest.raises(InputError):
        read(path)


def test_dates_of_a_spreadsheet_are_days(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["code", "valid_from", "at"])  # type: ignore[union-attr]
    moment = datetime.datetime(2022, 7, 25, 8, 30)  # noqa: DTZ001  as spreadsheets have it
    book.active.append(["90", datetime.date(2022, 7, 25), moment])  # type: ignore[union-attr]
    book.save(tmp_path / "data.xlsx")
    (row,) = read(tmp_path / "data.xlsx")
    assert row.values == {"code": "90", "valid_from": "2022-07-25", "at": "2022-07-25T08:30:00"}


def test_a_sheet_of_lines_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["name"])  # type: ignore[union-attr]
    book.save(path)
    with zipfile.ZipFile(path) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"].replace(b"<dimension", b"<x-dimension")
    row = b'<row r="99999999999"><c t="inlineStr"><is><t>x</t></is></c></row></sheetData>'
    parts["xl/worksheets/sheet1.xml"] = sheet.replace(b"</sheetData>", row)
    with zipfile.ZipFile(path, "w") as package:
        for name, content in parts.items():
            package.writestr(name, content)
    with pytest.raises(InputError):
        read(path)


def test_an_object_without_an_end_is_refused_with_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(b'[{"name": "a"}, {"name": "' + b"x" * (LONGEST_LINE + 200_000) + b'"}]')
    with pytest.raises(InputError, match="an object is longer"):
        read(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "data.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("xl/sharedStrings.xml", b"0" * 200_000_000)
    with pytest.raises(InputError, match="unpacks to"):
        read(path)


@example(b"\x00\t\x00&\n\x81", "csv")
@example(b"\x00\x01\n\x00\x00\x80", "csv")
@given(st.binary(max_size=300), st.sampled_from(["csv", "tsv", "json", "jsonl", "xlsx"]))
def test_any_bytes_are_read_or_refused(content: bytes, kind: str) -> None:
    try:
        with find_source("-", standard_input=io.BytesIO(content), chosen_format=kind) as source:
            list(read_rows(source))
    except InputError as error:
        assert str(error).endswith(".")
