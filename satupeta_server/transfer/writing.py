"""Rows into files, one at a time, in the formats that :mod:`reading` reads."""

import csv
import gzip
import io
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Self, cast

import openpyxl
import orjson
from openpyxl.utils.escape import escape

from satupeta_server.errors import InputError
from satupeta_server.escaping import escaped
from satupeta_server.transfer.sources import Format

LONGEST_CELL = 32_767
"""Letters that a cell of a spreadsheet may hold."""

Values = Mapping[str, Any]


def as_text(value: Any) -> str:
    """Give the text form of a value for a cell, which reading brings back."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return orjson.dumps(value).decode()
    return str(value)


class RowWriter(ABC):
    """Writes rows to a binary file, which it does not close."""

    def __init__(self, file: IO[bytes], columns: Sequence[str]) -> None:
        self.file = file
        self.columns = columns

    @abstractmethod
    def write(self, values: Values) -> None:
        """Write one row; columns that it lacks stay blank."""

    def write_raw(self, line: str) -> None:
        """Write a line of a file of this format as it stood there."""
        whole = line if line.endswith("\n") else f"{line}\n"
        self.file.write(whole.encode("utf-8", "surrogateescape"))

    def finish(self) -> None:  # noqa: B027  most formats have no end
        """Write what belongs at the end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()


class _SeparatedWriter(RowWriter):
    def __init__(self, file: IO[bytes], columns: Sequence[str], delimiter: str = ",") -> None:
        super().__init__(file, columns)
        self._text = io.TextIOWrapper(
            file, "utf-8", errors="surrogateescape", newline="", write_through=True
        )
        self._writer = csv.writer(self._text, delimiter=delimiter, lineterminator="\n")
        self._writer.writerow(columns)

    def write(self, values: Values) -> None:
        self._writer.writerow([escaped(as_text(values.get(name))) for name in self.columns])

    def write_raw(self, line: str) -> None:
        self._text.write(line if line.endswith("\n") else f"{line}\n")

    def finish(self) -> None:
        self._text.flush()
        self._text.detach()


class _JsonLinesWriter(RowWriter):
    def write(self, values: Values) -> None:
        self.file.write(orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE))


class _JsonWriter(RowWriter):
    _opening = b"[\n"

    def write(self, values: Values) -> None:
        self.file.write(self._opening + orjson.dumps(values))
        self._opening = b",\n"

    def finish(self) -> None:
        self.file.write(b"[]\n" if self._opening == b"[\n" else b"\n]\n")


class _SheetWriter(RowWriter):
    def __init__(self, file: IO[bytes], columns: Sequence[str]) -> None:
        super().__init__(file, columns)
        self._book = openpyxl.Workbook(write_only=True)
        self._sheet = self._book.create_sheet("data")
        self._sheet.append(list(columns))
        self._count = 1

    def write(self, values: Values) -> None:
        self._count += 1
        cells = [self._cell(name, as_text(values.get(name))) for name in self.columns]
        self._sheet.append(cells)

    def _cell(self, name: str, text: str) -> Any:
        from openpyxl.cell import WriteOnlyCell  # noqa: PLC0415  only this format needs it

        packed = escape(text)
        if len(packed) > LONGEST_CELL:
            raise InputError(
                f"{name} of row {self._count} is too long for a spreadsheet; use CSV or JSON Lines."
            )
        cell = WriteOnlyCell(self._sheet, packed)
        # A text cell, whatever it looks like: never a formula and never a number.
        cell.data_type = "s"
        cell.number_format = "@"
        return cell

    def finish(self) -> None:
        # A zip file is written to and fro, which not every target can be.
        with tempfile.TemporaryFile() as spool:
            self._book.save(spool)
            spool.seek(0)
            shutil.copyfileobj(spool, self.file)


_WRITERS: Mapping[Format, Callable[[IO[bytes], Sequence[str]], RowWriter]] = {
    "json": _JsonWriter,
    "jsonl": _JsonLinesWriter,
    "xlsx": _SheetWriter,
}


def make_writer(
    form: Format, file: IO[bytes], columns: Sequence[str], *, delimiter: str = ","
) -> RowWriter:
    """Make the writer of a format; ``delimiter`` is that of CSV."""
    if form in ("csv", "tsv"):
        return _SeparatedWriter(file, columns, "\t" if form == "tsv" else delimiter)
    return _WRITERS[form](file, columns)


def packed(file: IO[bytes]) -> IO[bytes]:
    """Pack what is written to a file with gzip; to be closed before the file is."""
    return cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode="wb", mtime=0))
