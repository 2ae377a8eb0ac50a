"""The one Database object of the process, and what its drivers' errors mean.

peewee-async keeps the connection of a transaction in one context variable for all Database
objects, so there is exactly one. Everything that the pool, the driver or the server can raise
leaves here as one of our errors.
"""

import asyncio
import contextlib
import logging
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import peewee
import peewee_async
import psycopg2
import psycopg2.errors
import psycopg2.extensions

from satupeta_server.errors import AppError, ConflictError, InvalidError, UnavailableError
from satupeta_server.messages import Message
from satupeta_server.settings import Settings
from satupeta_server.statements import MOST_PREPARED, Statement

logger = logging.getLogger(__name__)

UNIQUE_SUFFIX = "_unique"

_UNAVAILABLE = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    psycopg2.errors.ReadOnlySqlTransaction,
    peewee.OperationalError,
    peewee.InterfaceError,
    TimeoutError,
    OSError,
)

_STALE = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    peewee.OperationalError,
    peewee.InterfaceError,
)


class Database(peewee_async.PostgresqlDatabase):  # type: ignore[misc]
    """A pool of PostgreSQL connections whose failures are UnavailableError or ConflictError."""

    has_sessions = True
    """Whether a connection keeps what was prepared or set on it; behind a pooler it does not."""

    def init(self, database: str | None, **parameters: Any) -> None:
        """Point at a server; Peewee would keep what an earlier one was reached by."""
        self.connect_params: dict[str, Any] = {}
        self.pool_params: dict[str, Any] = {}
        self._prepared: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()
        super().init(database, **parameters)

    async def aio_execute_sql(
        self,
        sql: str,
        params: Sequence[Any] | Mapping[Any, Any] | None = None,
        fetch_results: Callable[..., Any] | None = None,
    ) -> Any:
        """Run one statement, which is %-formatted even without parameters (write ``%%``).

        A Statement takes the values of its slots by their names.

        A read outside a transaction is tried a second time when its connection turns out to
        be dead: after a restart of PostgreSQL the pool is full of such.
        """
        with translated():
            try:
                return await self._run(sql, params, fetch_results)
            except _STALE:
                if in_transaction() or not sql.startswith("SELECT"):
                    raise
                await self._forget_idle_connections()
            return await self._run(sql, params, fetch_results)

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

    async def _run(self, sql: str, params: Any, fetch_results: Any) -> Any:
        if not isinstance(sql, Statement):
            return await super().aio_execute_sql(sql, params, fetch_results)
        if sql.is_planned_anew or not self.has_sessions:
            return await super().aio_execute_sql(sql, sql.bound(params), fetch_results)
        async with self.aio_connection() as connection:
            await self._prepare(connection, sql)
            return await super().aio_execute_sql(*sql.execution(params), fetch_results)

    async def _prepare(self, connection: Any, statement: Statement) -> None:
        prepared = self._prepared.setdefault(connection, set())
        if statement.name in prepared:
            return
        if len(prepared) >= MOST_PREPARED:
            prepared.clear()
            await super().aio_execute_sql("DEALLOCATE ALL")
        await super().aio_execute_sql(*statement.prepared())
        prepared.add(statement.name)

    async def _forget_idle_connections(self) -> None:
        pool = self.pool_backend.pool
        if pool is not None:
            await pool.clear()


database = Database(None)


def connect(settings: Settings) -> Database:
    """Point the process's Database at the configured server; it connects when first used."""
    if settings.database_url is None:
        raise UnavailableError
    timeout = settings.database_timeout_seconds
    parameters = psycopg2.extensions.parse_dsn(settings.database_url.get_secret_value())
    database.init(
        parameters.pop("dbname"),
        **parameters,
        application_name="satupeta",
        options=server_options(settings),
        pool_params={
            "minsize": 1,
            "maxsize": settings.database_pool_size,
            "timeout": timeout,
        },
    )
    return database


def server_options(settings: Settings) -> str:
    """What each connection asks of the server.

    The server ends a statement before the driver gives up on it (a driver that gives up leaves
    the statement running), and notices within half a second that its client is gone.
    """
    milliseconds = int(settings.database_timeout_seconds * 800)
    return (
        f"-c timezone={settings.timezone} -c statement_timeout={milliseconds} "
        f"-c lock_timeout={milliseconds // 2} -c idle_in_transaction_session_timeout=60000 "
        "-c client_connection_check_interval=500 -c jit=off -c work_mem=32MB"
    )


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
        raise UnavailableError from error
    except _UNAVAILABLE as error:
        if _is_cancelled():
            raise asyncio.CancelledError from error
        logger.warning("the database did not answer: %s", type(error).__name__)
        raise UnavailableError from error


def _is_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        # A command that works without an event loop has no task that could be cancelled.
        return False
    return task is not None and task.cancelling() > 0


def broken_rule(error: Exception) -> AppError:
    """Name the field whose rule a change broke, by the name of the constraint.

    Unique rules are named ``<table>_<field>_unique``, foreign keys ``<table>_<field>_fkey``.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, psycopg2.IntegrityError):
        cause = cause.__cause__ or cause.__context__
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
