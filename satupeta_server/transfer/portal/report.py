"""A file that says of each record what became of it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from satupeta_server.errors import InputError
from satupeta_server.transfer.portal.outcomes import REPORT_COLUMNS, Entry
from satupeta_server.transfer.sources import format_of
from satupeta_server.transfer.writing import make_writer


@contextlib.contextmanager
def reporting(path: Path | None) -> Iterator[Callable[[Entry], None]]:
    """Open a report, in the format of its ending, and give what writes an entry.

    Without a path nothing is written. Raises InputError.
    """
    if path is None:
        yield lambda _entry: None
        return
    kind = format_of(path.name, None)
    try:
        file: IO[bytes] = path.open("wb")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from None
    with file:
        writer = make_writer(kind, file, REPORT_COLUMNS)
        try:
            yield lambda entry: writer.write(entry.as_row())
        finally:
            # What has happened is told, however the move ends.
            writer.finish()
