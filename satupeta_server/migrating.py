"""Applying the migrations, by one process at a time."""

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import psycopg2
import psycopg2.errors
from psycopg2.extensions import parse_dsn

from satupeta_server import migration_files
from satupeta_server.errors import StartError, UnreachableError

with warnings.catch_warnings():
    # yoyo's own imports warn about themselves on newer Pythons.
    warnings.simplefilter("ignore")
    import yoyo

LOCK_KEY = 0x5A7093E7A
"""The key of the advisory lock that a migrating process holds."""
OLDEST_POSTGRESQL = 150000
LOCK_MILLISECONDS = 2000
"""How long a migration waits for a table: all who come after it wait, too."""
PAUSE_SECONDS = 3.0
MOST_TRIES = 30
_TURN_SECONDS = 0.1

Say = Callable[[str], None]


def _silent(_text: str) -> None:
    """Tell nobody."""


def upgrade(database_url: str, say: Say = _silent) -> list[str]:
    """Apply what is pending and give the names; a second process waits and finds nothing to do.

    Raises StartError when PostgreSQL is too old, cannot be reached or refuses a migration; a
    failed migration is rolled back whole.
    """
    with alone(database_url, say) as backend:
        return apply_pending(backend, say)


def apply_pending(backend: Any, say: Say = _silent) -> list[str]:
    """Apply what is pending, for whoever has the backend to himself; gives the names."""
    names: list[str] = []
    for number in range(MOST_TRIES):
        pending = backend.to_apply(_known())
        names = names or [migration.id for migration in pending]
        for migration in pending if number == 0 else ():
            say(f"Applying migration {migration.id}")
        try:
            _apply(backend, pending)
        except StartError as error:
            if number + 1 == MOST_TRIES or not _is_lock_timeout(error):
                raise
            # Whoever reads meanwhile must not queue up behind a migration that waits.
            say("A table is in use; the migration is tried again")
            time.sleep(PAUSE_SECONDS)
        else:
            break
    return names


def _known() -> Any:
    return yoyo.read_migrations(str(migration_files.MIGRATIONS))


def _is_lock_timeout(error: StartError) -> bool:
    return isinstance(error.__cause__, psycopg2.errors.LockNotAvailable)


def downgrade(database_url: str, to: str | None = None, say: Say = _silent) -> list[str]:
    """Roll back everything after the migration ``to``, or everything; gives the names."""
    with alone(database_url, say) as backend:
        return _roll_back(backend, lambda name: to is None or name > to)


def move_to(backend: Any, names: Sequence[str]) -> None:
    """Roll back and apply migrations until exactly these are applied."""
    _roll_back(backend, lambda name: name not in names)
    pending = backend.to_apply(_known())
    _apply(backend, _chosen(pending, lambda name: name in names))


def _roll_back(backend: Any, is_meant: Callable[[str], bool]) -> list[str]:
    applied = backend.to_rollback(_known())
    chosen = _chosen(applied, is_meant)
    for migration in chosen:
        _step(backend, migration, "rollback", backend.unmark_one)
    return [migration.id for migration in chosen]


def _chosen(migrations: Any, is_meant: Callable[[str], bool]) -> Any:
    return yoyo.migrations.MigrationList([one for one in migrations if is_meant(one.id)])


def _apply(backend: Any, migrations: Any) -> None:
    for migration in migrations:
        _step(backend, migration, "apply", backend.mark_one)


def _step(backend: Any, migration: Any, direction: str, note: Callable[..., None]) -> None:
    """Take one step, and note it in the same transaction.

    yoyo notes it in another one: who is killed between the two finds the tables changed and the
    migration pending, and can go neither forth nor back.
    """
    migration.load()
    try:
        backend.ensure_internal_schema_updated()
        with _patient(backend, is_needed=not migration.use_transactions), backend.transaction():
            _process(backend, migration, direction)
            note(migration, log=False)
            backend.log_migration(migration, direction)
    except psycopg2.Error as error:
        reason = str(error).strip().splitlines()[0]
        what = "and was rolled back" if migration.use_transactions else "on its way"
        raise StartError(f"A migration failed {what}: {reason}.") from error


def _process(backend: Any, migration: Any, direction: str) -> None:
    """Run the statements of a migration.

    yoyo undoes what was done outside a transaction by the statements that stand as far from the
    end of the rollback, and would drop indexes that readers need. What is left there is done
    again, beginning with its first statement.
    """
    if migration.use_transactions:
        migration.process_steps(backend, direction)
        return
    steps = migration.steps if direction == "apply" else reversed(migration.steps)
    with backend.disable_transactions():
        for step in steps:
            getattr(step, direction)(backend)


@contextlib.contextmanager
def _patient(backend: Any, *, is_needed: bool) -> Iterator[None]:
    """Let an index that is made beside all others wait for their transactions: nobody waits for it.

    One that gives up would leave an index that is not valid.
    """
    if not is_needed:
        yield
        return
    backend.execute("SET lock_timeout = 0")
    try:
        yield
    finally:
        backend.execute(f"SET lock_timeout = {LOCK_MILLISECONDS}")


@contextlib.contextmanager
def alone(database_url: str, say: Say = _silent) -> Iterator[Any]:
    """Give yoyo's backend to one process at a time; the others wait for their turn.

    yoyo's lock is a row that a killed process leaves behind for good. An advisory lock ends with
    its connection, so whoever holds it may break a row that is still there.
    """
    with guard(database_url) as connection:
        if connection.server_version < OLDEST_POSTGRESQL:
            raise StartError("DATABASE_URL is a PostgreSQL older than 15, which is the oldest.")
        _take_turn(connection, say)
        backend = yoyo.get_backend(_yoyo_address(database_url))
        try:
            backend.break_lock()
            with backend.lock(timeout=10):
                yield backend
        except psycopg2.Error as error:
            if _is_after_interrupt(error):
                raise KeyboardInterrupt from error
            raise
        finally:
            backend.connection.close()


def _is_after_interrupt(error: BaseException) -> bool:
    """Tell whether it was raised while the work was given up, as yoyo let go of its lock."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__context__
    return cause is not None


@contextlib.contextmanager
def guard(database_url: str) -> Iterator[Any]:
    """Connect for the lock of migrations, which is let go of at the end.

    Raises StartError for a server that refuses, UnreachableError for one that does not answer.
    """
    try:
        connection = psycopg2.connect(
            database_url, connect_timeout=10, application_name="satupeta migrations"
        )
    except psycopg2.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        # A server that refuses has answered: it is DATABASE_URL that is wrong.
        kind = StartError if "FATAL" in reason else UnreachableError
        raise kind(f"DATABASE_URL cannot be reached: {reason}.") from None
    connection.autocommit = True
    try:
        yield connection
    finally:
        connection.close()


def take_lock(connection: Any) -> bool:
    """Take the lock of migrations unless another process has it; tells whether it is ours."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (LOCK_KEY,))
        (is_ours,) = cursor.fetchone()
        return bool(is_ours)


def _take_turn(connection: Any, say: Say) -> None:
    """Wait by asking again: a driver that waits inside PostgreSQL does not feel Ctrl-C."""
    was_told = False
    while not take_lock(connection):
        if not was_told:
            say("Another process works on the tables; this one waits for it")
        was_told = True
        time.sleep(_TURN_SECONDS)


def _yoyo_address(database_url: str) -> str:
    """Write the address as yoyo reads it: everything besides the database's name as a parameter."""
    parts = parse_dsn(database_url)
    name = parts.pop("dbname")
    # What the role of a server behind a pooler allows a statement is meant for requests.
    limits = f"-c statement_timeout=0 -c lock_timeout={LOCK_MILLISECONDS}"
    parts["options"] = f"{parts.get('options', '')} {limits}".strip()
    return f"postgresql:///{quote(name)}?{urlencode(parts)}"
