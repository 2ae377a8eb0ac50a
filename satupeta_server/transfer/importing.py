"""Bringing a file of records into the database, in batches and, for large kinds, processes."""

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice

from satupeta_server import database
from satupeta_server.errors import InputError, UnavailableError
from satupeta_server.messages import Language, Message
from satupeta_server.settings import Settings
from satupeta_server.transfer.bulk import BulkStore, with_parents
from satupeta_server.transfer.converting import Converter, Prepared, Refused, check_columns
from satupeta_server.transfer.kinds import KINDS, Kind
from satupeta_server.transfer.outcomes import Outcome, Rules, State
from satupeta_server.transfer.reading import Row, read_rows
from satupeta_server.transfer.references import References
from satupeta_server.transfer.repeats import Seen
from satupeta_server.transfer.singly import SingleStore
from satupeta_server.transfer.sources import Source

BATCH_ROWS = 2000
_REGION_CODE_LENGTHS = (2, 5, 8, 13)

Batch = Sequence[Row]
Told = Callable[[Row, Outcome], None]


@dataclass(frozen=True)
class Plan:
    """How a file is to be imported."""

    kind_name: str
    rules: Rules = field(default_factory=Rules)
    mapping: Mapping[str, str] = field(default_factory=dict)
    language: Language = "en"
    ignores_unknown: bool = False
    is_atomic: bool = False
    is_dry_run: bool = False
    done_lines: int = 0
    """Lines that an interrupted import had brought in."""

    @property
    def kind(self) -> Kind:
        """What is imported."""
        return KINDS[self.kind_name]

    @property
    def is_undone(self) -> bool:
        """Whether all happens in one transaction, which may be given up at its end."""
        return self.is_atomic or self.is_dry_run


class _UndoError(Exception):
    """Carries a dry run, or an atomic import that failed, out of its transaction."""


def batches(source: Source, plan: Plan, told: Told) -> Iterator[Iterator[Batch]]:
    """Give the file's rows in groups of batches; those of a group may be stored in any order.

    Rows that repeat an earlier one are told to be failed at once. Raises InputError.
    """
    with Seen.kept() as seen:
        rows = _new_rows(_checked(source, plan), plan, seen, told)
        if plan.kind_name != "regions":
            yield _cut(rows)
            return
        # A region needs the one that it lies in, which may stand further down in the file.
        for length in _REGION_CODE_LENGTHS:
            again = rows if length == _REGION_CODE_LENGTHS[0] else _checked(source, plan)
            level = (row for row in again if _level(row, plan) == length)
            yield _cut(level)


def _checked(source: Source, plan: Plan) -> Iterator[Row]:
    is_first = True
    for row in read_rows(source, plan.kind.headerless):
        if is_first and row.problem is None:
            check_columns(
                plan.kind, list(row.values), plan.mapping, ignore_unknown=plan.ignores_unknown
            )
            is_first = False
        if row.line > plan.done_lines:
            yield row


def _new_rows(rows: Iterator[Row], plan: Plan, seen: Seen, told: Told) -> Iterator[Row]:
    for row in rows:
        key = _key(row, plan)
        first = row.line if key is None else seen.first_line(key, row.line)
        if first == row.line:
            yield row
            continue
        text = Message("row_repeats", {"line": first}).text(plan.language)
        told(row, Outcome(row.line, State.FAILED, {"": [text]}))


def _key(row: Row, plan: Plan) -> str | None:
    """The natural key as the file writes it; None for a row that has none."""
    cells = {plan.mapping.get(name, name): cell for name, cell in row.values.items()}
    if cells.get("id"):
        return str(cells["id"])
    columns = {one.field: column for column, one in plan.kind.references.items()}
    parts = [cells.get(name) or cells.get(columns.get(name, name)) for name in plan.kind.key]
    if not all(parts):
        return None
    return "\x1f".join(" ".join(str(part).split()).lower() for part in parts)


def _level(row: Row, plan: Plan) -> int:
    """The length of a region's code; what is no code is looked at with the provinces."""
    names = {ours: theirs for theirs, ours in plan.mapping.items()}
    length = len(str(row.values.get(names.get("code", "code"), "")).strip())
    return length if length in _REGION_CODE_LENGTHS else _REGION_CODE_LENGTHS[0]


def _cut(rows: Iterator[Row]) -> Iterator[Batch]:
    while batch := list(islice(rows, BATCH_ROWS)):
        yield batch


def import_bulk(settings: Settings, source: Source, plan: Plan, told: Told) -> None:
    """Import a kind of which there may be millions; tells what became of each row.

    Raises InputError for the file, UnavailableError when the database goes away; what was told
    to be stored by then is stored, unless the import is atomic.
    """
    if plan.is_undone:
        _import_undoable(settings, source, plan, told)
        return
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(_pool(settings, plan))
        for together in batches(source, plan, told):
            for batch, outcomes in _in_order(pool, together):
                _tell(batch, outcomes, told)


async def import_singly(store: SingleStore, source: Source, plan: Plan, told: Told) -> None:
    """Import a kind of which there are few through its service; else as :func:`import_bulk`."""
    failed = 0

    def counted(row: Row, outcome: Outcome) -> None:
        nonlocal failed
        failed += outcome.state is State.FAILED
        told(row, outcome)

    with database.database.allow_sync():
        references = References(plan.kind)
    converter = Converter(
        plan.kind, references, plan.mapping, plan.language, ignores_unknown=plan.ignores_unknown
    )
    with contextlib.suppress(_UndoError):
        async with database.database.whole() if plan.is_undone else contextlib.nullcontext():
            for together in batches(source, plan, counted):
                for batch in together:
                    async with database.database.whole():
                        _tell(batch, await _stored(store, converter, batch), counted)
            if plan.is_dry_run or (plan.is_atomic and failed):
                raise _UndoError


async def _stored(store: SingleStore, converter: Converter, batch: Batch) -> list[Outcome]:
    converted = [converter.convert(row) for row in batch]
    refused = [
        Outcome(one.line, State.FAILED, one.errors) for one in converted if isinstance(one, Refused)
    ]
    prepared = [one for one in converted if isinstance(one, Prepared)]
    return sorted([*refused, *await store.store(prepared)], key=lambda one: one.line)


def _import_undoable(settings: Settings, source: Source, plan: Plan, told: Told) -> None:
    failed = 0

    def counted(row: Row, outcome: Outcome) -> None:
        nonlocal failed
        failed += outcome.state is State.FAILED
        told(row, outcome)

    _begin(settings, plan)
    with contextlib.suppress(_UndoError), database.translated(), _transaction():
        work = _Worker(plan)
        for together in batches(source, plan, counted):
            for batch in together:
                _tell(batch, work.store(batch), counted)
        if plan.is_dry_run or failed:
            raise _UndoError


def _tell(batch: Batch, outcomes: Sequence[Outcome], told: Told) -> None:
    rows = {row.line: row for row in batch}
    for outcome in outcomes:
        told(rows[outcome.line], outcome)


class _Worker:
    """Converts and stores batches, with the references read once."""

    def __init__(self, plan: Plan) -> None:
        self._kind = plan.kind
        self._converter = Converter(
            plan.kind,
            References(plan.kind),
            plan.mapping,
            plan.language,
            ignores_unknown=plan.ignores_unknown,
        )
        self._store = BulkStore(plan.kind, plan.rules, plan.language)

    def store(self, batch: Batch) -> list[Outcome]:
        """Store a batch in the transaction that is open; gives what became of each row."""
        converted = [self._converter.convert(row) for row in batch]
        refused = [
            Outcome(one.line, State.FAILED, one.errors)
            for one in converted
            if isinstance(one, Refused)
        ]
        prepared = [one for one in converted if isinstance(one, Prepared)]
        if self._kind.name == "regions":
            with_parents(prepared)
        return sorted([*refused, *self._store.store(prepared)], key=lambda one: one.line)


@contextlib.contextmanager
def _pool(settings: Settings, plan: Plan) -> Iterator[Executor]:
    processes = max(1, len(os.sched_getaffinity(0)))
    pool = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(settings, plan),
    )
    try:
        yield pool
    except BrokenProcessPool:
        raise InputError(
            "A process of the import was ended; start it again with --resume."
        ) from None
    finally:
        # What is under way is finished, so that it is told; nothing new is begun.
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(pool: Executor, waiting: Iterator[Batch]) -> Iterator[tuple[Batch, list[Outcome]]]:
    """Store batches side by side, a few ahead of the one that is told."""
    ahead: deque[tuple[Batch, Future[list[Outcome]]]] = deque()
    for batch in waiting:
        ahead.append((batch, pool.submit(_store_batch, batch)))
        if len(ahead) > 2 * (os.cpu_count() or 1):
            first, future = ahead.popleft()
            yield first, future.result()
    while ahead:
        first, future = ahead.popleft()
        yield first, future.result()


_plan: Plan | None = None
_worker: _Worker | None = None


def _begin(settings: Settings, plan: Plan) -> None:
    """Prepare a process to store batches."""
    global _plan, _worker
    _plan, _worker = plan, None
    if multiprocessing.parent_process() is not None:
        # Ctrl-C reaches the whole group: the parent decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    database.connect(settings)


def _store_batch(batch: Batch) -> list[Outcome]:
    """Store a batch in a transaction of its own, in a process of the pool."""
    global _worker  # noqa: PLW0603  see _begin
    if _plan is None:
        raise UnavailableError
    with database.translated(), _transaction():
        _worker = _worker or _Worker(_plan)
        return _worker.store(batch)


@contextlib.contextmanager
def _transaction() -> Iterator[None]:
    """A transaction without the limits that are meant for the statements of requests."""
    with database.synchronous() as base, base.atomic():
        base.execute_sql("SET LOCAL statement_timeout = 0")
        base.execute_sql("SET LOCAL lock_timeout = 0")
        # The statistics know nothing yet of the rows that come in.
        base.execute_sql("SET LOCAL enable_seqscan = off")
        yield
