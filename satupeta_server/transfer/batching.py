"""What is to be imported and how, and a file's rows in batches that can be stored by themselves."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from satupeta_server.errors import InputError
from satupeta_server.messages import Language, Message
from satupeta_server.queries.values import ValueProblem
from satupeta_server.transfer.converting import check_columns
from satupeta_server.transfer.kinds import KINDS, Kind
from satupeta_server.transfer.outcomes import Outcome, Rules, State
from satupeta_server.transfer.reading import Row, read_rows
from satupeta_server.transfer.references import References
from satupeta_server.transfer.repeats import Seen
from satupeta_server.transfer.sources import Source

BULK_ROWS = 2000
SINGLE_ROWS = 200
"""In one transaction; of kinds that are stored row by row."""

_MOST_CHARACTERS = 4_000_000
_EXACT = {"path"}
"""Keys in which upper and lower case differ."""
_REGION_CODE_LENGTHS = (2, 5, 8, 13)

Told = Callable[[Source, Row, Outcome], None]


@dataclass(frozen=True)
class Plan:
    """How files are to be imported."""

    kind_name: str
    rules: Rules = field(default_factory=Rules)
    mapping: Mapping[str, str] = field(default_factory=dict)
    language: Language = "en"
    ignores_unknown: bool = False
    is_atomic: bool = False
    is_dry_run: bool = False
    import_id: uuid.UUID | None = None
    """Under which the journal keeps what is stored; None where nothing is to be resumed."""

    @property
    def kind(self) -> Kind:
        """What is imported."""
        return KINDS[self.kind_name]

    @property
    def is_undone(self) -> bool:
        """Whether all happens in one transaction, which may be given up at its end."""
        return self.is_atomic or self.is_dry_run


@dataclass(frozen=True)
class Batch:
    """Rows that are stored together; ``place`` tells the batch among all of the import."""

    source: Source
    place: str
    rows: Sequence[Row]


def batches(
    source: Source, number: int, plan: Plan, references: References, told: Told
) -> Iterator[Iterator[Batch]]:
    """Give a file's rows in groups of batches; those of a group may be stored in any order.

    ``number`` tells the file among those of the import. Rows that repeat an earlier one of the
    file are told to be failed at once. Where the file turns out to be broken, the rows before
    that are given, and then InputError is raised.
    """
    problems: list[InputError] = []
    keys = _Keys(plan, references)
    with Seen.kept() as seen:
        rows = _new_rows(_checked(source, plan), source, keys, seen, told)
        if plan.kind_name != "regions":
            yield _cut(rows, source, f"{number}", plan, problems)
        # A region needs the one that it lies in, which may stand further down in the file.
        levels = _REGION_CODE_LENGTHS if plan.kind_name == "regions" else ()
        for length in levels:
            again = rows if length == _REGION_CODE_LENGTHS[0] else _checked(source, plan)
            level = _of_level(again, length, keys, seen)
            yield _cut(level, source, f"{number}.{length}", plan, problems)
    if problems:
        raise problems[0]


def _checked(source: Source, plan: Plan) -> Iterator[Row]:
    is_first = True
    for row in read_rows(source, plan.kind.headerless):
        if is_first and row.problem is None:
            check_columns(
                plan.kind,
                list(row.values),
                plan.mapping,
                ignore_unknown=plan.ignores_unknown,
                is_whole=source.format not in ("json", "jsonl"),
            )
            is_first = False
        yield row


class _Keys:
    """By what a row's record is known: its id, and its natural key."""

    def __init__(self, plan: Plan, references: References) -> None:
        self.plan = plan
        self._references = references
        self._columns = {one.field: column for column, one in plan.kind.references.items()}

    def of(self, row: Row) -> list[str]:
        """Give the keys as texts that are equal where they mean the same record."""
        mapping = self.plan.mapping
        cells = {mapping.get(name, name): cell for name, cell in row.values.items()}
        parts = [self._part(name, cells) for name in self.plan.kind.key]
        keys = ["\x1f".join(parts)] if all(parts) else []
        return [*keys, str(cells["id"]).strip().lower()] if cells.get("id") else keys

    def _part(self, name: str, cells: Mapping[str, Any]) -> str:
        column = self._columns.get(name)
        text = " ".join(str(cells.get(name) or cells.get(column or name) or "").split())
        if column is None or not text:
            return text if name in _EXACT else text.lower()
        try:
            return str(self._references.names(column).resolve(text))
        except ValueProblem:
            # The row fails by itself.
            return text.lower()


def _first_line(row: Row, keys: _Keys, seen: Seen) -> int:
    """Give the line of the first row that means the same record; that of the row itself else."""
    return min((seen.first_line(key, row.line) for key in keys.of(row)), default=row.line)


def _new_rows(
    rows: Iterator[Row], source: Source, keys: _Keys, seen: Seen, told: Told
) -> Iterator[Row]:
    for row in rows:
        first = _first_line(row, keys, seen)
        if first == row.line:
            yield row
            continue
        text = Message("row_repeats", {"line": first}).text(keys.plan.language)
        told(source, row, Outcome(row.line, State.FAILED, {"": [text]}))


def _of_level(rows: Iterator[Row], length: int, keys: _Keys, seen: Seen) -> Iterator[Row]:
    """The rows of one level; rows that repeat others were told of with the first level."""
    is_first = length == _REGION_CODE_LENGTHS[0]
    for row in rows:
        if _level(row, keys.plan) != length:
            continue
        if is_first or _first_line(row, keys, seen) == row.line:
            yield row


def _level(row: Row, plan: Plan) -> int:
    """The length of a region's code; what is no code is looked at with the provinces."""
    names = {ours: theirs for theirs, ours in plan.mapping.items()}
    length = len(str(row.values.get(names.get("code", "code"), "")).strip())
    return length if length in _REGION_CODE_LENGTHS else _REGION_CODE_LENGTHS[0]


def _cut(
    rows: Iterator[Row], source: Source, place: str, plan: Plan, problems: list[InputError]
) -> Iterator[Batch]:
    size = BULK_ROWS if plan.kind.is_bulk else SINGLE_ROWS
    whole = _until_broken(rows, problems)
    while some := _some(whole, size):
        yield Batch(source, f"{place}:{some[0].line}", some)


def _some(rows: Iterator[Row], most: int) -> list[Row]:
    """Take so many rows, or fewer that are large: what is under way must fit into memory."""
    some, characters = [], 0
    for row in islice(rows, most):
        some.append(row)
        characters += sum(len(cell) for cell in row.values.values() if cell.__class__ is str)
        if characters > _MOST_CHARACTERS:
            break
    return some


def _until_broken(rows: Iterator[Row], problems: list[InputError]) -> Iterator[Row]:
    try:
        yield from rows
    except InputError as error:
        problems.append(error)
