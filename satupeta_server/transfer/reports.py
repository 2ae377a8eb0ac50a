"""What an import tells: totals, a report of every row, and the failed rows to be mended."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from satupeta_server.errors import InputError
from satupeta_server.transfer.outcomes import Outcome, State, Totals
from satupeta_server.transfer.reading import Row
from satupeta_server.transfer.sources import STANDARD_STREAM, Format, Source, format_of
from satupeta_server.transfer.writing import RowWriter, make_writer, packed

_COLUMNS = ("file", "line", "state", "errors")


class Reporter:
    """Counts outcomes and writes them, and the failed rows, to files where these are wanted.

    The failed rows of one file go into the file ``failures``; those of several go into a folder
    of that name, into a file each that is called as theirs.
    """

    def __init__(
        self, sources: Sequence[Source], report: Path | None, failures: Path | None
    ) -> None:
        self.totals = Totals()
        self._report_path = report
        self._report: RowWriter | None = None
        self._failures: dict[str, RowWriter] = {}
        self._failure_paths = _failure_paths(sources, failures)
        _refuse_inputs(sources, [*filter(None, [report]), *self._failure_paths.values()])
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self._report_path is not None:
            form = format_of(self._report_path.name, None)
            self._report = self._writer(self._report_path, form, _COLUMNS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What has happened is told, however the import ends.
        self._stack.__exit__(None, None, None)

    def add(self, source: Source, row: Row, outcome: Outcome) -> None:
        """Take in what became of a row."""
        self.totals.add(outcome)
        if self._report is not None:
            told = {"file": source.name, "line": outcome.line, "state": outcome.state.value}
            self._report.write({**told, "errors": dict(outcome.errors) or None})
        if outcome.state is State.FAILED and source.name in self._failure_paths:
            self._add_failed(source, row)

    def _add_failed(self, source: Source, row: Row) -> None:
        if row.raw is None and not row.values:
            return
        writer = self._failures.get(source.name)
        if writer is None:
            path = self._failure_paths[source.name]
            columns = row.columns or list(row.values)
            writer = self._writer(path, source.format, columns, source.delimiter)
            self._failures[source.name] = writer
        if row.raw is not None:
            writer.write_raw(row.raw)
        else:
            writer.write(row.values)

    def _writer(
        self, path: Path, form: Format, columns: Sequence[str], delimiter: str = ","
    ) -> RowWriter:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.part")
            file: IO[bytes] = partial.open("wb")
            # What is called last here is done first: written, closed, and then named.
            self._stack.callback(partial.replace, path)
            self._stack.enter_context(file)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}.") from None
        if path.name.endswith(".gz"):
            file = self._stack.enter_context(packed(file))
        return self._stack.enter_context(make_writer(form, file, columns, delimiter=delimiter))


def _refuse_inputs(sources: Sequence[Source], targets: Sequence[Path]) -> None:
    """Refuse to write over what is read, or twice to one file."""
    inputs = {source.path.resolve() for source in sources}
    for number, target in enumerate(targets):
        if target.resolve() in inputs:
            raise InputError(f"{target} is read by this import; write to another file.")
        if target.resolve() in {other.resolve() for other in targets[:number]}:
            raise InputError(f"{target} is named twice as a file to write to.")


def _failure_paths(sources: Sequence[Source], failures: Path | None) -> dict[str, Path]:
    if failures is None:
        return {}
    if len(sources) == 1:
        return {sources[0].name: failures}
    names = {source.name: _file_name(source) for source in sources}
    doubled = [name for name, count in Counter(names.values()).items() if count > 1]
    if doubled:
        raise InputError(
            f"Several files are called {doubled[0]}; import them one by one with --errors."
        )
    return {called: failures / name for called, name in names.items()}


def _file_name(source: Source) -> str:
    if source.name == STANDARD_STREAM:
        return f"standard-input.{source.format}"
    return Path(source.name).name
