"""The one Database object of the process, and what its drivers' errors mean.

peewee-async keeps the connection of a transaction in one context variable for all Database
objects, so there is exactly one. Everything that the pool, the driver or the server can raise
leaves here as one of our errors.
"""

import asyncio
import contextlib
import hashlib
import logging
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import peewee
import peewee_async
import psycopg2
import psycopg2.errors
import psycopg2.extensions
from peewee_async.connection import ConnectionContextManager
from peewee_async.databases import fetchall
from peewee_async.pool import AioPgPoolBackend
from pydantic import SecretStr

from satupeta_server.errors import AppError, ConflictError, InvalidError, UnavailableError
from satupeta_server.messages import Message
from satupeta_server.metrics import note_failed_statement
from satupeta_server.observing import spent
from satupeta_server.replica import Replica, reader
from satupeta_server.settings import Settings
from satupeta_server.statements import MOST_PREPARED, Statement
from satupeta_server.tasks import spawn

logger = logging.getLogger(__name__)

DriverError = TypeVar("DriverError", bound=psycopg2.Error)

_QUIET_SECONDS = 10.0
"""After a plan was asked for; slow statements until then are told without theirs."""
_LONGEST_STATEMENT = 2000

UNIQUE_SUFFIX = "_unique"

_UNAVAILABLE = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    peewee.OperationalError,
    peewee.InterfaceError,
    TimeoutError,
    OSError,
)

_PLAN_FIELDS = (
    "Node Type", "Parent Relationship", "Strategy", "Join Type", "Relation Name", "Index Name",
    "Scan Direction",
)  # fmt: skip

_STALE = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    peewee.OperationalError,
    peewee.InterfaceError,
)


class _PoolBackend(AioPgPoolBackend):  # type: ignore[misc]
    """A pool that says as the driver does that a connection has died while it was handed out."""

    async def acquire(self) -> Any:
        """Give a connection; aiopg only asserts that it lives.

        Raises TimeoutError when the pool cannot be filled in time: all who wait for that would
        otherwise do it again one after the other.
        """
        if self.pool is None:
            async with asyncio.timeout(self.connect_params["timeout"]):
                await self.connect()
        try:
            connection = await super().acquire()
        except AssertionError as error:
            raise psycopg2.OperationalError("the connection has been closed") from error
        if _is_cancelled():
            # Up to Python 3.11, asyncio loses a cancel that comes as the connection is made.
            await self.release(connection)
            raise asyncio.CancelledError
        return connection


class Database(peewee_async.PostgresqlDatabase):  # type: ignore[misc]
    """A pool of PostgreSQL connections whose failures are UnavailableError or ConflictError.

    Beside it there may be one of a standby, which takes reads outside transactions.
    """

    pool_backend_cls = _PoolBackend
    has_sessions = True
    """Whether a connection keeps what was prepared or set on it; behind a pooler it does not."""
    replica: Replica | None = None
    slow_seconds = float("inf")
    _quiet_until = 0.0

    def init(self, database: str | None, **parameters: Any) -> None:
        """Point at a server; Peewee would keep what an earlier one was reached by."""
        self.connect_params: dict[str, Any] = {}
        self.pool_params: dict[str, Any] = {}
        self.has_sessions, self.replica = True, None
        self._prepared: weakref.WeakKeyDictionary[Any, dict[str, int]] = weakref.WeakKeyDictionary()
        super().init(database, **parameters)

    async def aio_close(self) -> None:
        """Close the connections to all servers."""
        await super().aio_close()
        if self.replica is not None:
            await self.replica.pool.close()

    async def reads_replica(self) -> bool:
        """Tell whether a read here and now goes to the standby, which may be a little behind."""
        asker = reader.get()
        if self.replica is None or asker is None or asker.position is None or in_transaction():
            return False
        return await self.replica.has(asker.position)

    async def aio_execute_sql(
        self,
        sql: str,
        params: Sequence[Any] | Mapping[Any, Any] | None = None,
        fetch_results: Callable[..., Any] | None = None,
    ) -> Any:
        """Run one statement, which is %-formatted even without parameters (write ``%%``).

        A Statement, which reads, takes the values of its slots by their names.

        A read outside a transaction is tried a second time when its connection turns out to
        be dead: after a restart of PostgreSQL the pool is full of such. What the standby cannot
        answer is read from the primary.
        """
        is_read = isinstance(sql, Statement) or sql.startswith("SELECT")
        with self._accounted(sql, params), translated():
            if self.replica is not None and is_read and await self.reads_replica():
                try:
                    async with ConnectionContextManager(self.replica.pool):
                        return await self._run(sql, params, fetch_results)
                except _UNAVAILABLE:
                    await self.replica.rest()
            try:
                result = await self._run(sql, params, fetch_results)
            except _STALE:
                if in_transaction() or not is_read or _is_cancelled():
                    raise
                await self._forget_idle_connections()
                result = await self._run(sql, params, fetch_results)
        if not is_read:
            await self._note_write()
        return result

    @contextlib.contextmanager
    def _accounted(self, sql: str, params: Any) -> Iterator[None]:
        """Note what a statement takes for the request that it is of, and tell of a slow one."""
        begin, is_done = time.perf_counter(), False
        try:
            yield
            is_done = True
        except UnavailableError:
            note_failed_statement()
            raise
        finally:
            seconds = time.perf_counter() - begin
            request = spent.get()
            if request is not None:
                request.add(seconds, sql)
            if seconds > self.slow_seconds:
                request_id = request.request_id if request else "-"
                self._tell_slow(sql, params, seconds, request_id, may_ask=is_done)

    def _tell_slow(
        self, sql: str, params: Any, seconds: float, request_id: str, *, may_ask: bool
    ) -> None:
        # What waited for a lock in vain would be waited for again by who asks for its plan.
        if not may_ask or time.monotonic() < self._quiet_until or in_transaction():
            _log_slow(sql, seconds, request_id, None)
            return
        # A bad minute must not be made worse by asking for plans.
        self._quiet_until = time.monotonic() + _QUIET_SECONDS
        spawn(self._tell_plan(sql, params, seconds, request_id))

    async def _tell_plan(self, sql: str, params: Any, seconds: float, request_id: str) -> None:
        """Log a slow statement without its values, with the hash of its plan.

        The plan is what PostgreSQL would choose now for these values, on the primary; the
        statement is not run again.
        """
        bound = sql.bound(params) if isinstance(sql, Statement) else params
        plan_hash = None
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_QUIET_SECONDS):
                explained = f"EXPLAIN (FORMAT JSON, COSTS OFF) {sql}"
                ((plan,),) = await super().aio_execute_sql(explained, bound, fetchall)
                plan_hash = hash_of_plan(plan)
        _log_slow(sql, seconds, request_id, plan_hash)

    @contextlib.asynccontextmanager
    async def whole(self) -> AsyncIterator[None]:
        """Do what follows whole or not at all: in a transaction, or a savepoint inside one.

        Raises UnavailableError when begin, commit or rollback fail, ConflictError when a
        unique rule is broken.
        """
        with translated():
            async with contextlib.AsyncExitStack() as stack:
                try:
                    await stack.enter_async_context(self.aio_atomic())
                except _STALE:
                    if in_transaction():
                        raise
                    await self._forget_idle_connections()
                    await stack.enter_async_context(self.aio_atomic())
                yield
        await self._note_write()

    async def _note_write(self) -> None:
        """Let the caller's later requests see what was just committed, wherever they read."""
        writer = reader.get()
        if self.replica is None or writer is None or writer.note_write is None or in_transaction():
            return
        note, writer.position, writer.note_write = writer.note_write, None, None
        # It is written, whatever becomes of the note.
        with contextlib.suppress(AppError):
            await note()
        writer.note_write = note

    async def _run(self, sql: str, params: Any, fetch_results: Any) -> Any:
        if not isinstance(sql, Statement):
            return await super().aio_execute_sql(sql, params, fetch_results)
        if sql.is_planned_anew or not self.has_sessions:
            return await super().aio_execute_sql(sql, sql.bound(params), fetch_results)
        async with self.aio_connection() as connection:
            await self._prepare(connection, sql)
            return await super().aio_execute_sql(*sql.execution(params), fetch_results)

    async def _prepare(self, connection: Any, statement: Statement) -> None:
        prepared = self._prepared.setdefault(connection, {})
        if statement.name in prepared:
            return
        if sum(prepared.values()) + len(statement) > MOST_PREPARED:
            prepared.clear()
            await super().aio_execute_sql("DEALLOCATE ALL")
        await super().aio_execute_sql(*statement.prepared())
        prepared[statement.name] = len(statement)

    async def _forget_idle_connections(self) -> None:
        pool = self.pool_backend.pool
        if pool is not None:
            await pool.clear()


database = Database(None)


def connect(settings: Settings) -> Database:
    """Point the process's Database at the configured server; it connects when first used."""
    if settings.database_url is None:
        raise UnavailableError
    pool = {
        "minsize": 1,
        "maxsize": settings.database_pool_size,
        "timeout": settings.database_timeout_seconds,
    }
    database.init(**_address(settings.database_url, settings), pool_params=pool)
    database.has_sessions = not settings.database_pooler
    database.slow_seconds = settings.slow_statement_milliseconds / 1000 or float("inf")
    if settings.database_replica_url is not None:
        standby = _address(settings.database_replica_url, settings)
        pool_backend = database.pool_backend_cls(**standby, **pool)
        database.replica = Replica(pool_backend, database.pool_backend)
    return database


def _address(url: SecretStr, settings: Settings) -> dict[str, Any]:
    parts = psycopg2.extensions.parse_dsn(url.get_secret_value())
    parts |= {"database": parts.pop("dbname"), "application_name": "satupeta"}
    if not settings.database_pooler:
        # A pooler refuses them; behind it they are the role's (docs/scaling.md).
        asked = server_parameters(settings).items()
        parts["options"] = " ".join(f"-c {name}={value}" for name, value in asked)
    return parts


def server_parameters(settings: Settings) -> dict[str, str]:
    """What each connection asks of the server, times in milliseconds and memory in kB.

    The server ends a statement before the driver gives up on it (a driver that gives up leaves
    the statement running), and notices within half a second that its client is gone.
    """
    milliseconds = int(settings.database_timeout_seconds * 800)
    return {
        "timezone": settings.timezone,
        "statement_timeout": str(milliseconds),
        "lock_timeout": str(milliseconds // 2),
        "idle_in_transaction_session_timeout": "60000",
        "client_connection_check_interval": "500",
        "jit": "off",
        "work_mem": "32768",
        # Plans are made for any word: starting helpers for a rare one takes longer than its answer.
        "max_parallel_workers_per_gather": "0",
        # Each search reads what is pending for the index of words.
        "gin_pending_list_limit": "512",
        # What is prepared is so because one plan serves: planning is dearer than most answers.
        "plan_cache_mode": "force_generic_plan",
    }


def _log_slow(sql: str, seconds: float, request_id: str, plan_hash: str | None) -> None:
    statement = str(sql)[:_LONGEST_STATEMENT]
    fields = {
        "request_id": request_id,
        "milliseconds": round(seconds * 1000, 1),
        "plan_hash": plan_hash,
        "statement": statement,
    }
    text = "a statement took %.0f ms, plan %s, request %s: %s"
    values = (seconds * 1000, plan_hash or "not asked for", request_id, statement)
    logger.warning(text, *values, extra={"fields": fields})


def hash_of_plan(plan: Any) -> str:
    """Give the hash of a plan as EXPLAIN writes it in JSON: two alike work in the same way.

    It depends on the kinds of the steps, on tables and indexes, and on no value.
    """
    steps: list[str] = []

    def walk(node: dict[str, Any]) -> None:
        steps.append("|".join(str(node.get(name, "")) for name in _PLAN_FIELDS))
        for child in node.get("Plans", ()):
            walk(child)
        steps.append("end")

    for one in plan:
        walk(one["Plan"])
    return hashlib.blake2b("\n".join(steps).encode(), digest_size=6).hexdigest()


def in_transaction() -> bool:
    """Tell whether the current task is inside a transaction."""
    context = peewee_async.connection.connection_context.get()
    return context is not None and bool(context.transaction_is_opened)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn what the pool, the driver and the server raise into our own errors."""
    try:
        yield
    except AppError:
        raise
    except (peewee.IntegrityError, psycopg2.IntegrityError) as error:
        raise broken_rule(error) from error
    except (peewee.DataError, psycopg2.DataError) as error:
        raise InvalidError from error
    except asyncio.CancelledError as error:
        if _is_cancelled():
            raise
        # aiopg reports a statement that the server ended by its timeout as a cancel.
        logger.warning("a statement took longer than it may")
        raise UnavailableError from error
    except _UNAVAILABLE as error:
        if _is_cancelled():
            raise asyncio.CancelledError from error
        logger.warning("the database did not answer: %s", type(error).__name__)
        raise UnavailableError from error
    except (psycopg2.DatabaseError, peewee.DatabaseError) as error:
        cause = _cause(error, psycopg2.DatabaseError)
        # The driver has no better name for an answer that breaks off.
        is_broken_off = type(cause) is psycopg2.DatabaseError
        if not is_broken_off and not isinstance(cause, psycopg2.errors.ReadOnlySqlTransaction):
            raise
        logger.warning("the database did not do it: %s", type(cause).__name__)
        raise UnavailableError from error


def _is_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        # A command that works without an event loop has no task that could be cancelled.
        return False
    return task is not None and task.cancelling() > 0


def _cause(error: BaseException | None, kind: type[DriverError]) -> DriverError | None:
    """Find what the driver raised, which Peewee and its extension put into errors of theirs."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def broken_rule(error: Exception) -> AppError:
    """Name the field whose rule a change broke, by the name of the constraint.

    Unique rules are named ``<table>_<field>_unique``, foreign keys ``<table>_<field>_fkey``.
    """
    cause = _cause(error, psycopg2.IntegrityError)
    if cause is None:
        return ConflictError()
    table, constraint = cause.diag.table_name or "", cause.diag.constraint_name or ""
    field = constraint.removeprefix(f"{table}_")
    if isinstance(cause, psycopg2.errors.UniqueViolation) and field.endswith(UNIQUE_SUFFIX):
        name = field.removesuffix(UNIQUE_SUFFIX)
        return ConflictError(errors={name: [Message("already_used")]})
    if isinstance(cause, psycopg2.errors.ForeignKeyViolation):
        return InvalidError(errors={field.removesuffix("_fkey"): [Message("unknown_reference")]})
    if isinstance(cause, psycopg2.errors.CheckViolation):
        return InvalidError(errors={field.removesuffix("_check"): [Message("wrong_form")]})
    return ConflictError()


@contextlib.contextmanager
def synchronous() -> Iterator[Database]:
    """Let the models be used without an event loop, over one connection of their own.

    This is for commands and bulk work: peewee-async has no COPY and no server-side cursor.
    The connection is closed at the end.
    """
    with database.allow_sync():
        yield database
