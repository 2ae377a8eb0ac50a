"""What is to be imported and how, and a file's rows in batches that can be stored by themselves."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from satupeta_server.errors import InputError
from satupeta_server.messages import Language, Message
from satupeta_server.transfer.converting import check_columns
from satupeta_server.transfer.kinds import KINDS, Kind
from satupeta_server.transfer.outcomes import Outcome, Rules, State
from satupeta_server.transfer.reading import Row, read_rows
from satupeta_server.transfer.repeats import Seen
from satupeta_server.transfer.sources import Source

BULK_ROWS = 2000
SINGLE_ROWS = 200
"""In one transaction; of kinds that are stored row by row."""

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


def batches(source: Source, number: int, plan: Plan, told: Told) -> Iterator[Iterator[Batch]]:
    """Give a file's rows in groups of batches; those of a group may be stored in any order.

    ``number`` tells the file among those of the import. Rows that repeat an earlier one of the
    file are told to be failed at once. Where the file turns out to be broken, the rows before
    that are given, and then InputError is raised.
    """
    problems: list[InputError] = []
    with Seen.kept() as seen:
        rows = _new_rows(_checked(source, plan), source, plan, seen, told)
        if plan.kind_name != "regions":
            yield _cut(rows, source, f"{number}", plan, problems)
        # A region needs the one that it lies in, which may stand further down in the file.
        levels = _REGION_CODE_LENGTHS if plan.kind_name == "regions" else ()
        for length in levels:
            again = rows if length == _REGION_CODE_LENGTHS[0] else _checked(source, plan)
            level = _of_level(again, length, plan, seen)
            yield _cut(level, source, f"{number}.{length}", plan, problems)
    if problems:
        raise problems[0]


def _checked(source: Source, plan: Plan) -> Iterator[Row]:
    is_first = True
    for row in read_rows(source, plan.kind.headerless):
        if is_first and row.problem is None:
            check_columns(
                plan.kind, list(row.values), plan.mapping, ignore_unknown=plan.ignores_unknown
            )
            is_first = False
        yield row


def _new_rows(
    rows: Iterator[Row], source: Source, plan: Plan, seen: Seen, told: Told
) -> Iterator[Row]:
    for row in rows:
        key = _key(row, plan)
        first = row.line if key is None else seen.first_line(key, row.line)
        if first == row.line:
            yield row
            continue
        text = Message("row_repeats", {"line": first}).text(plan.language)
        told(source, row, Outcome(row.line, State.FAILED, {"": [text]}))


def _key(row: Row, plan: Plan) -> str | None:
    """The natural key as the file writes it; None for a row that has none."""
    cells = {plan.mapping.get(name, name): cell for name, cell in row.values.items()}
    if cells.get("id"):
        return str(cells["id"]).strip().lower()
    columns = {one.field: column for column, one in plan.kind.references.items()}
    parts = [cells.get(name) or cells.get(columns.get(name, name)) for name in plan.kind.key]
    if not all(parts):
        return None
    return "\x1f".join(" ".join(str(part).split()).lower() for part in parts)


def _of_level(rows: Iterator[Row], length: int, plan: Plan, seen: Seen) -> Iterator[Row]:
    """The rows of one level; rows that repeat others were told of with the first level."""
    is_first = length == _REGION_CODE_LENGTHS[0]
    for row in rows:
        if _level(row, plan) != length:
            continue
        key = None if is_first else _key(row, plan)
        if key is None or seen.first_line(key, row.line) == row.line:
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
    while some := list(islice(whole, size)):
        yield Batch(source, f"{place}:{some[0].line}", some)


def _until_broken(rows: Iterator[Row], problems: list[InputError]) -> Iterator[Row]:
    try:
        yield from rows
    except InputError as error:
        problems.append(error)
