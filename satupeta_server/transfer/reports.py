"""What an import tells: totals, a report of every row, and the failed rows to be mended."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from satupeta_server.errors import InputError
from satupeta_server.transfer.outcomes import Outcome, State, Totals
from satupeta_server.transfer.reading import Row
from satupeta_server.transfer.sources import Source, format_of
from satupeta_server.transfer.writing import WRITERS, RowWriter

_COLUMNS = ("line", "state", "errors")


class Reporter:
    """Counts outcomes and writes them, and the failed rows, to files where these are wanted."""

    def __init__(self, source: Source, report: Path | None, failures: Path | None) -> None:
        self.totals = Totals()
        self._source = source
        self._report_path = report
        self._failures_path = failures
        self._report: RowWriter | None = None
        self._failures: RowWriter | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self._report_path is not None:
            self._report = self._writer(
                self._report_path, format_of(self._report_path.name, None), _COLUMNS
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What has happened is told, however the import ends.
        self._stack.__exit__(None, None, None)

    def add(self, row: Row, outcome: Outcome) -> None:
        """Take in what became of a row."""
        self.totals.add(outcome)
        if self._report is not None:
            told = {"line": outcome.line, "state": outcome.state.value}
            self._report.write({**told, "errors": dict(outcome.errors) or None})
        if outcome.state is State.FAILED and self._failures_path is not None and row.values:
            self._failed_rows(row).write(row.values)

    def _failed_rows(self, row: Row) -> RowWriter:
        if self._failures is None and self._failures_path is not None:
            self._failures = self._writer(
                self._failures_path, self._source.format, list(row.values)
            )
        assert self._failures is not None  # noqa: S101  for the type checker
        return self._failures

    def _writer(self, path: Path, kind: str, columns: Sequence[str]) -> RowWriter:
        try:
            file: IO[bytes] = self._stack.enter_context(path.open("wb"))
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}.") from None
        return self._stack.enter_context(WRITERS[format_of(f"x.{kind}", kind)](file, columns))
