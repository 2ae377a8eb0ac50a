"""Rows from files, one at a time and with bounded memory, whatever the format.

A row that cannot be read is given as a problem in its place; only what makes the rest of the file
unreadable raises InputError.
"""

import csv
import datetime
import decimal
import io
import itertools
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Self

import ijson
import openpyxl
import orjson
from openpyxl.utils.escape import unescape

from satupeta_server.errors import InputError
from satupeta_server.escaping import unescaped
from satupeta_server.queries.values import is_text
from satupeta_server.transfer.sources import BROKEN_FILE, Format, Source

LONGEST_LINE = 16 * 1024 * 1024
"""In bytes; also of one field, and of one row's JSON."""
LARGEST_SHEET = 1024 * 1024 * 1024
"""Bytes that an .xlsx file may unpack to."""
_LARGEST_SHARED_TEXTS = 32 * 1024 * 1024
_LARGEST_OTHER_PART = 4 * 1024 * 1024
_LAST_SHEET_LINE = 1_048_576
_JSON_BUFFER = 64 * 1024
_MOST_SHEET_PARTS = 10_000

csv.field_size_limit(LONGEST_LINE)


@dataclass(frozen=True, slots=True)
class Row:
    """One row; ``problem`` says why it could not be read, and ``values`` is empty then."""

    line: int
    values: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None
    raw: str | None = None
    """Of a line that could not be read: the line, with its end; what is no text as surrogates."""
    columns: Sequence[str] = ()
    """Of a line that could not be read: the columns that it should have."""


@dataclass(frozen=True)
class Headerless:
    """The columns of files that may come without a line that names them."""

    columns: Sequence[str]
    is_first_row: Callable[[Sequence[str]], bool]


def read_rows(source: Source, headerless: Headerless | None = None) -> Iterator[Row]:
    """Read the rows of a file; blank ones are left out.

    Raises InputError, after the rows before it, where the file is cut or damaged.
    """
    reader = _READERS[source.format]
    with source.open() as file:
        try:
            yield from reader(file, source, headerless)
        except BROKEN_FILE:
            raise InputError(f"{source.name} ends early, or is damaged.") from None
        except OSError as error:
            raise InputError(f"{source.name} cannot be read: {error.strerror}.") from None


def _lines(file: IO[bytes], source: Source) -> Iterator[str]:
    """Decode line by line; bytes that are no text become lone surrogates, which no row may hold."""
    if source.encoding.startswith(("utf-16", "utf-32")):
        yield from _decoded_lines(file, source)
        return
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise InputError(_too_long(source, number))
        if number == 1 and source.encoding == "utf-8-sig":
            line = line.removeprefix(b"\xef\xbb\xbf")
        encoding = "utf-8" if source.encoding == "utf-8-sig" else source.encoding
        yield line.decode(encoding, "surrogateescape")


def _decoded_lines(file: IO[bytes], source: Source) -> Iterator[str]:
    text = io.TextIOWrapper(file, source.encoding, errors="replace", newline="\n")
    number = 0
    while line := text.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise InputError(_too_long(source, number))
        yield line
    text.detach()


def _too_long(source: Source, number: int) -> str:
    return f"{source.name}: line {number} is longer than {LONGEST_LINE:,} bytes; nothing after it."


def _read_separated(
    file: IO[bytes], source: Source, headerless: Headerless | None
) -> Iterator[Row]:
    lines = _Kept(_lines(file, source))
    reader = csv.reader(lines, delimiter=source.delimiter, strict=True)
    columns: Sequence[str] | None = None
    while True:
        line = reader.line_num + 1
        lines.forget()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if columns is None:
                raise InputError(f"{source.name}: line {line}: {error}.") from None
            yield Row(
                line, problem=f"The line cannot be read: {error}.", raw=lines.text, columns=columns
            )
            continue
        if not any(cells):
            continue
        if columns is None:
            columns, is_header = _columns(cells, source, headerless)
            if is_header:
                continue
        values, problem = _values_of(columns, cells)
        if problem is None:
            yield Row(line, values)
        else:
            yield Row(line, problem=problem, raw=lines.text, columns=columns)


def _columns(
    cells: Sequence[str], source: Source, headerless: Headerless | None
) -> tuple[Sequence[str], bool]:
    if headerless is not None and headerless.is_first_row(cells):
        return headerless.columns, False
    names = [cell.strip() for cell in cells]
    doubled = {name for name in names if name and names.count(name) > 1}
    if doubled:
        raise InputError(f"{source.name} names a column twice: {', '.join(sorted(doubled))}.")
    return names, True


def _values_of(columns: Sequence[str], cells: Sequence[str]) -> tuple[dict[str, Any], str | None]:
    """Give a line's cells by their columns, and what is wrong with them."""
    if len(cells) > len(columns) and any(cells[len(columns) :]):
        return {}, f"The line has {len(cells)} cells for {len(columns)} columns."
    if len(cells) < len(columns):
        return {}, f"The line ends after {len(cells)} of {len(columns)} columns."
    if not is_text("".join(cells)):
        return {}, "The line is not in the encoding of the file; see --encoding."
    pairs = zip(columns, cells, strict=False)
    return {name: unescaped(cell) for name, cell in pairs if name}, None


class _Kept:
    """Lines as they are read, kept until they are known to be good."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._read: list[str] = []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._read.append(line)
        return line

    def forget(self) -> None:
        """Begin with the next line."""
        self._read.clear()

    @property
    def text(self) -> str:
        """What was read since."""
        return "".join(self._read)


def _read_json_lines(
    file: IO[bytes], source: Source, _headerless: Headerless | None
) -> Iterator[Row]:
    number = 0
    for text in _lines(file, source):
        number += 1
        if not text.strip():
            continue
        try:
            value = orjson.loads(text)
        except (orjson.JSONDecodeError, UnicodeEncodeError) as error:
            yield Row(number, problem=f"The line is not valid JSON: {error}.", raw=text)
            continue
        yield _object_row(number, value, text)


def _object_row(number: int, value: Any, text: str | None = None) -> Row:
    if not isinstance(value, dict):
        return Row(number, problem="A JSON object is expected.", raw=text)
    return Row(number, value)


def _read_json(file: IO[bytes], source: Source, _headerless: Headerless | None) -> Iterator[Row]:
    """Read an array of objects; the line is the number of the object."""
    number = 0
    bounded = _Bounded(file, source)
    try:
        for value in ijson.items(bounded, "item"):
            number += 1
            bounded.forget()
            yield _object_row(number, _with_floats(value))
    except (ijson.JSONError, UnicodeDecodeError, OverflowError, RecursionError):
        raise InputError(
            f"{source.name} is no whole JSON array: it breaks after its object {number}."
        ) from None


class _Bounded:
    """A file of which no more is read for one object than a line may hold."""

    def __init__(self, file: IO[bytes], source: Source) -> None:
        self._file = file
        self._source = source
        self._count = 0

    def read(self, size: int = -1) -> bytes:
        """Read on; raises InputError when an object is too long."""
        data = self._file.read(size)
        self._count += len(data)
        if self._count > LONGEST_LINE + _JSON_BUFFER:
            raise InputError(
                f"{self._source.name}: an object is longer than {LONGEST_LINE:,} bytes."
            )
        return data

    def forget(self) -> None:
        """Begin with the next object."""
        self._count = 0


def _with_floats(value: Any) -> Any:
    """Turn the numbers that the parser keeps exact into ordinary ones."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _with_floats(one) for key, one in value.items()}
    return [_with_floats(one) for one in value] if isinstance(value, list) else value


def _read_sheet(file: IO[bytes], source: Source, headerless: Headerless | None) -> Iterator[Row]:
    _refuse_bomb(file, source)
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        rows = book.worksheets[0].iter_rows(values_only=True)
        columns: Sequence[str] | None = None
        for line, found in enumerate(_bounded_lines(rows, source), 1):
            cells = [_cell(value) for value in found]
            if not any(cell not in (None, "") for cell in cells):
                continue
            if columns is None:
                names = ["" if cell is None else str(cell) for cell in cells]
                columns, is_header = _columns(names, source, headerless)
                if is_header:
                    continue
            pairs = zip(columns, cells, strict=False)
            yield Row(line, {name: cell for name, cell in pairs if name})
    except (InputError, GeneratorExit):
        raise
    except Exception as error:  # noqa: BLE001
        # openpyxl lets every error of zip, XML and its own classes through.
        raise InputError(f"{source.name} cannot be read as .xlsx: {error}.") from None


def _bounded_lines(rows: Iterator[Any], source: Source) -> Iterator[Any]:
    """Give no more lines than a sheet can have: a wrong number of one makes blanks without end."""
    yield from itertools.islice(rows, _LAST_SHEET_LINE)
    if next(rows, None) is not None:
        raise InputError(f"{source.name} has lines that no spreadsheet can have.")


def _refuse_bomb(file: IO[bytes], source: Source) -> None:
    try:
        with zipfile.ZipFile(file) as package:
            parts = package.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise InputError(f"{source.name} is no .xlsx file.") from None
    size = sum(part.file_size for part in parts)
    is_bomb = size > LARGEST_SHEET or len(parts) > _MOST_SHEET_PARTS
    if is_bomb or any(part.file_size > _largest(part.filename) for part in parts):
        raise InputError(f"{source.name} unpacks to {size:,} bytes; use CSV or JSON Lines for it.")
    file.seek(0)


def _largest(part: str) -> int:
    """How large a part of the package may be: all but the sheets are held in memory."""
    if part.startswith("xl/worksheets/") or not part.endswith((".xml", ".rels")):
        return LARGEST_SHEET
    return _LARGEST_SHARED_TEXTS if "sharedStrings" in part else _LARGEST_OTHER_PART


def _cell(value: Any) -> Any:
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        # A spreadsheet knows no dates without a time.
        return value.date().isoformat()
    if isinstance(value, str):
        return unescape(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


_READERS: dict[Format, Callable[[IO[bytes], Source, Headerless | None], Iterator[Row]]] = {
    "csv": _read_separated,
    "tsv": _read_separated,
    "json": _read_json,
    "jsonl": _read_json_lines,
    "xlsx": _read_sheet,
}
