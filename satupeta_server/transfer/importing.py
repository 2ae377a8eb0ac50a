"""Bringing files of records into the database, in batches and, for large kinds, processes."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from satupeta_server import database
from satupeta_server.errors import UnavailableError, UnreachableError
from satupeta_server.settings import Settings
from satupeta_server.transfer import journal
from satupeta_server.transfer.batching import Batch, Plan, Told, batches
from satupeta_server.transfer.bulk import BulkStore, with_parents
from satupeta_server.transfer.converting import Converter, Prepared, Refused
from satupeta_server.transfer.outcomes import Outcome, State
from satupeta_server.transfer.reading import Row
from satupeta_server.transfer.references import References
from satupeta_server.transfer.singly import Store
from satupeta_server.transfer.sources import Source

_PATIENT = "SET LOCAL idle_in_transaction_session_timeout = 0"
"""Hashing passwords and storing contents goes on between the statements of a transaction."""


Recording = Callable[[], Any]
"""Makes the statement that records what an import did."""


class _UndoError(Exception):
    """Carries a dry run, or an atomic import that failed, out of its transaction."""


class _Counted:
    """Tells on, and counts what failed."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self.failed = 0

    def __call__(self, source: Source, row: Row, outcome: Outcome) -> None:
        self.failed += outcome.state is State.FAILED
        self._told(source, row, outcome)


def import_bulk(
    settings: Settings,
    sources: Sequence[Source],
    plan: Plan,
    done: journal.Done,
    told: Told,
    recording: Recording,
) -> None:
    """Import a kind of which there may be millions; tells what became of each row.

    ``done`` is what an interrupted import has stored, which is told without being stored again;
    ``recording`` makes the audit record that an atomic import leaves in its transaction.
    Raises InputError for a file, UnavailableError when the database goes away; what was stored
    by then is stored, unless the import is atomic.
    """
    if plan.is_undone:
        _import_undoable(settings, sources, plan, told, recording)
        return
    database.connect(settings)
    with database.translated(), database.synchronous():
        references = References(plan.kind)
    database.database.close()
    with _pool(settings, plan) as pool:
        for number, source in enumerate(sources):
            for group in batches(source, number, plan, references, told):
                for batch, outcomes in _in_order(pool, group, done):
                    _tell(batch, outcomes, told)


async def import_singly(
    store: Store,
    sources: Sequence[Source],
    plan: Plan,
    done: journal.Done,
    told: Told,
    recording: Recording,
) -> None:
    """Import a kind of which there are few, row by row; else as :func:`import_bulk`."""
    counted = _Counted(told)
    with database.database.allow_sync():
        references = References(plan.kind)
    converter = Converter(
        plan.kind, references, plan.mapping, plan.language, ignores_unknown=plan.ignores_unknown
    )
    with contextlib.suppress(_UndoError):
        async with database.database.whole() if plan.is_undone else contextlib.nullcontext():
            for number, source in enumerate(sources):
                for group in batches(source, number, plan, references, counted):
                    for batch in group:
                        outcomes = _replayed(batch, done)
                        if outcomes is None:
                            outcomes = await _stored(store, converter, batch, plan)
                        _tell(batch, outcomes, counted)
            if plan.is_dry_run or (plan.is_atomic and counted.failed):
                raise _UndoError
            if plan.is_atomic:
                await recording().aio_execute()


async def _stored(store: Store, converter: Converter, batch: Batch, plan: Plan) -> list[Outcome]:
    async with database.database.whole():
        await database.database.aio_execute_sql(_PATIENT)
        prepared, refused = _converted(converter, batch)
        outcomes = _sorted(refused, await store.store(prepared))
        if plan.import_id is not None:
            await journal.batch_row(plan.import_id, batch.place, outcomes).aio_execute()
    return outcomes


def _converted(converter: Converter, batch: Batch) -> tuple[list[Prepared], list[Outcome]]:
    converted = [converter.convert(row) for row in batch.rows]
    refused = [
        Outcome(one.line, State.FAILED, one.errors) for one in converted if isinstance(one, Refused)
    ]
    return [one for one in converted if isinstance(one, Prepared)], refused


def _sorted(*outcomes: Sequence[Outcome]) -> list[Outcome]:
    return sorted((one for some in outcomes for one in some), key=lambda one: one.line)


def _replayed(batch: Batch, done: journal.Done) -> list[Outcome] | None:
    """What became of a batch that an interrupted import stored; None for any other."""
    stored = done.get(batch.place)
    return journal.replayed([row.line for row in batch.rows], *stored) if stored else None


def _import_undoable(
    settings: Settings, sources: Sequence[Source], plan: Plan, told: Told, recording: Recording
) -> None:
    counted = _Counted(told)
    _begin(settings, plan)
    with contextlib.suppress(_UndoError), database.translated(), _transaction():
        work = _Worker(plan)
        for number, source in enumerate(sources):
            for group in batches(source, number, plan, work.references, counted):
                for batch in group:
                    _tell(batch, work.store(batch), counted)
        if plan.is_dry_run or counted.failed:
            raise _UndoError
        recording().execute()


def _tell(batch: Batch, outcomes: Sequence[Outcome], told: Told) -> None:
    rows = {row.line: row for row in batch.rows}
    for outcome in outcomes:
        told(batch.source, rows[outcome.line], outcome)


class _Worker:
    """Converts and stores batches, with the references read once."""

    def __init__(self, plan: Plan) -> None:
        self._kind = plan.kind
        self._import_id = plan.import_id
        self.references = References(plan.kind)
        self._converter = Converter(
            plan.kind,
            self.references,
            plan.mapping,
            plan.language,
            ignores_unknown=plan.ignores_unknown,
        )
        self._store = BulkStore(plan.kind, plan.rules, plan.language)

    def store(self, batch: Batch) -> list[Outcome]:
        """Store a batch in the transaction that is open; gives what became of each row."""
        prepared, refused = _converted(self._converter, batch)
        if self._kind.name == "regions":
            with_parents(prepared)
        outcomes = _sorted(refused, self._store.store(prepared))
        if self._import_id is not None:
            journal.batch_row(self._import_id, batch.place, outcomes).execute()
        return outcomes


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
        raise UnreachableError("A process of the import was ended from outside.") from None
    finally:
        # What is under way is finished; nothing new is begun.
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Let processes that are started meanwhile not hear Ctrl-C, which reaches the whole group.

    What it means is decided by the one who started them.
    """
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, heard)


def _in_order(
    pool: Executor, waiting: Iterator[Batch], done: journal.Done
) -> Iterator[tuple[Batch, list[Outcome]]]:
    """Store batches side by side, a few ahead of the one that is told."""
    ahead: deque[tuple[Batch, Future[list[Outcome]]]] = deque()
    for batch in waiting:
        ahead.append((batch, _submitted(pool, batch, done)))
        if len(ahead) > 2 * (os.cpu_count() or 1):
            first, future = ahead.popleft()
            yield first, future.result()
    while ahead:
        first, future = ahead.popleft()
        yield first, future.result()


def _submitted(pool: Executor, batch: Batch, done: journal.Done) -> Future[list[Outcome]]:
    outcomes = _replayed(batch, done)
    if outcomes is None:
        # The pool starts its processes when there is work for them.
        with _deaf():
            return pool.submit(_store_batch, batch)
    future: Future[list[Outcome]] = Future()
    future.set_result(outcomes)
    return future


_plan: Plan | None = None
_worker: _Worker | None = None


def _begin(settings: Settings, plan: Plan) -> None:
    """Prepare a process to store batches."""
    global _plan, _worker
    _plan, _worker = plan, None
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    database.connect(settings)


def _end_with(sentinel: int) -> None:
    """End when the parent has: a pool's process would wait for work for ever."""
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


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
        # The index of words takes in many rows at once for less.
        base.execute_sql("SET LOCAL gin_pending_list_limit = '16MB'")
        yield
