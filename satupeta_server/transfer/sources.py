"""Files as streams of bytes: found, unpacked, and told apart by format, encoding and delimiter."""

import codecs
import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

import charset_normalizer

from satupeta_server.errors import InputError

Format = Literal["csv", "tsv", "json", "jsonl", "xlsx"]
FORMATS: tuple[Format, ...] = ("csv", "tsv", "json", "jsonl", "xlsx")
STANDARD_STREAM = "-"

_ENDINGS = {"ndjson": "jsonl", "tab": "tsv", "txt": "csv"}
_SAMPLE_BYTES = 64 * 1024
_DELIMITERS = ",;\t|"
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BROKEN_FILE = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading a file that was cut or damaged raises."""


@dataclass(frozen=True)
class Source:
    """A file to read from, which can be opened again and again."""

    path: Path
    name: str
    """As the user knows it."""
    format: Format
    is_packed: bool
    encoding: str
    delimiter: str

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open it, unpacked; raises InputError when it cannot be read."""
        with _opened(self.path, is_packed=self.is_packed, name=self.name) as file:
            yield file


def format_of(name: str, chosen: str | None) -> Format:
    """Tell the format of a file by choice or by its ending; raises InputError."""
    ending = name.lower().removesuffix(".gz").rpartition(".")[2]
    wanted = chosen or _ENDINGS.get(ending, ending)
    known: dict[str, Format] = {one: one for one in FORMATS}
    if wanted not in known:
        raise InputError(f"The format of {name} is not known; say --format {'|'.join(FORMATS)}.")
    return known[wanted]


@contextmanager
def find_source(
    name: str,
    *,
    standard_input: IO[bytes],
    chosen_format: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> Iterator[Source]:
    """Look at a file, or at standard input, and find out how to read it.

    Standard input is kept in a temporary file meanwhile. Raises InputError when the file cannot
    be read, or not be understood.
    """
    with _on_disk(name, standard_input) as path:
        is_packed = _head(path, is_packed=False, name=name, size=2) == b"\x1f\x8b"
        kind = format_of(name if name != STANDARD_STREAM else "standard input", chosen_format)
        head = _head(path, is_packed=is_packed, name=name)
        found = encoding or _encoding_of(head)
        if encoding is not None and not _is_text_encoding(encoding):
            raise InputError(f"There is no encoding {encoding!r}.")
        if delimiter is not None:
            delimiter = delimiter.replace("\\t", "\t")
            if len(delimiter) != 1 or delimiter in '"\r\n':
                raise InputError("--delimiter is one character, such as ; or \\t.")
        text = codecs.getincrementaldecoder(found)("replace").decode(head)
        found = codecs.lookup(found).name
        separator = delimiter or ("\t" if kind == "tsv" else _delimiter_of(text))
        yield Source(path, name, kind, is_packed, found, separator)


@contextmanager
def _on_disk(name: str, standard_input: IO[bytes]) -> Iterator[Path]:
    path = Path(name)
    if name != STANDARD_STREAM and (path.is_file() or not path.exists() or path.is_dir()):
        yield path
        return
    if name != STANDARD_STREAM:
        # A pipe gives what is in it once only.
        try:
            with path.open("rb") as pipe, _on_disk(STANDARD_STREAM, pipe) as spooled:
                yield spooled
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror}.") from None
        return
    with tempfile.NamedTemporaryFile(prefix="satupeta-import-") as spool:
        shutil.copyfileobj(standard_input, spool, 1 << 20)
        spool.flush()
        yield Path(spool.name)


@contextmanager
def _opened(path: Path, *, is_packed: bool, name: str) -> Iterator[IO[bytes]]:
    try:
        file = gzip.open(path) if is_packed else path.open("rb")  # noqa: SIM115  closed below
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}.") from None
    with file:
        yield cast("IO[bytes]", file)


def _head(path: Path, *, is_packed: bool, name: str, size: int = _SAMPLE_BYTES) -> bytes:
    with _opened(path, is_packed=is_packed, name=name) as file:
        try:
            return file.read(size)
        except BROKEN_FILE:
            raise InputError(f"{name} is damaged: it cannot be unpacked.") from None
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror}.") from None


def _encoding_of(head: bytes) -> str:
    """Guess; UTF-8 wherever it is possible."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        best = charset_normalizer.from_bytes(
            head, cp_isolation=["cp1252", "latin_1", "utf_16_le", "utf_16_be", "mac_roman"]
        ).best()
        return best.encoding if best else "cp1252"
    return "utf-8"


def _is_text_encoding(name: str) -> bool:
    try:
        return isinstance(b"text".decode(name, "replace"), str)
    except (LookupError, UnicodeError):
        return False


def _delimiter_of(text: str) -> str:
    header = text.partition("\n")[0]
    unquoted = "".join(header.split('"')[::2])
    return max(_DELIMITERS, key=unquoted.count)
