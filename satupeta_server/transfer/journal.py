"""What an import has done, kept in the transactions that do it.

So an import that was interrupted, by whatever it was, knows which of its batches are stored, and
can tell what became of their rows as if it had stored them just now.
"""

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg2

from satupeta_server import database
from satupeta_server.errors import InputError
from satupeta_server.models.base import now
from satupeta_server.models.imports import Import, ImportBatch
from satupeta_server.security.callers import Caller
from satupeta_server.services.audit import record_action
from satupeta_server.settings import Settings
from satupeta_server.transfer.outcomes import Outcome, State
from satupeta_server.transfer.sources import Source

_LETTERS = {
    State.CREATED: "c",
    State.UPDATED: "u",
    State.UNCHANGED: "-",
    State.SKIPPED: "s",
    State.FAILED: "f",
}
_STATES = {letter: state for state, letter in _LETTERS.items()}
_LOCK_CLASS = 0x5A701111
_CHUNK_BYTES = 1 << 20

Done = Mapping[str, tuple[str, Mapping[str, Any]]]
"""By place of a batch: the letters of its rows, and the errors by line."""


def fingerprint(sources: Sequence[Source], options: Mapping[str, object]) -> str:
    """Tell an import by what it reads and how, so that it is known again."""
    digests = []
    for source in sources:
        digest = hashlib.sha256()
        with source.path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        digests.append([digest.hexdigest(), source.format, source.encoding, source.delimiter])
    text = json.dumps([digests, options], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


async def begin(
    caller: Caller, kind: str, subject: str, files: Sequence[str], mark: str, *, resumes: bool
) -> tuple[uuid.UUID, bool]:
    """Give the id of the import, and whether it goes on from an interrupted one.

    A new one leaves its audit record here, where nothing is stored yet: whatever happens to it,
    what it does was recorded.
    """
    async with database.database.whole():
        if resumes:
            earlier = await _unfinished(mark)
            if earlier is not None:
                return earlier, True
        else:
            await _give_up_earlier(mark)
        row = Import(kind=kind, files=list(files), fingerprint=mark)
        await row.aio_save(force_insert=True)
        await record_action(caller, "import", subject, row.id, files=list(files))
    return row.id, False


async def _give_up_earlier(mark: str) -> None:
    """End what was interrupted and begins anew: it must not be taken up after this one."""
    same = (Import.fingerprint == mark) & Import.finished_at.is_null()
    await Import.update({"finished_at": now()}).where(same).aio_execute()


async def _unfinished(mark: str) -> uuid.UUID | None:
    query = Import.select(Import.id).where(
        (Import.fingerprint == mark) & Import.finished_at.is_null()
    )
    rows = await query.order_by(Import.started_at.desc()).limit(1).aio_execute()
    return rows[0].id if rows else None


async def finish(import_id: uuid.UUID, totals: Mapping[str, int]) -> None:
    """Keep the totals; nothing is left to resume."""
    changes = {"finished_at": now(), "totals": dict(totals)}
    await Import.update(changes).where(Import.id == import_id).aio_execute()


async def done(import_id: uuid.UUID) -> Done:
    """Give what an interrupted import has stored."""
    rows = await ImportBatch.select().where(ImportBatch.import_id == import_id).aio_execute()
    return {row.place: (row.states, row.errors or {}) for row in rows}


def batch_row(import_id: uuid.UUID, place: str, outcomes: Sequence[Outcome]) -> Any:
    """Make the statement that keeps a batch, for the transaction that stores it."""
    failed = {
        str(one.line): {
            _storable(name): [*map(_storable, found)] for name, found in one.errors.items()
        }
        for one in outcomes
        if one.errors
    }
    return ImportBatch.insert(
        import_id=import_id,
        place=place,
        states="".join(_LETTERS[one.state] for one in outcomes),
        errors=failed or None,
    )


def _storable(text: str) -> str:
    """Leave out of a text, which may quote a cell, what PostgreSQL cannot hold."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def replayed(lines: Sequence[int], states: str, errors: Mapping[str, Any]) -> list[Outcome]:
    """Give the outcomes of a batch that was stored earlier."""
    return [
        Outcome(line, _STATES[letter], errors.get(str(line), {}))
        for line, letter in zip(lines, states, strict=True)
    ]


@contextlib.contextmanager
def alone(settings: Settings, import_id: uuid.UUID) -> Iterator[None]:
    """Let one process at a time work on an import; raises InputError for a second one."""
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    with database.translated():
        guard = psycopg2.connect(url, application_name="satupeta import")
    guard.autocommit = True
    try:
        with database.translated(), guard.cursor() as cursor:
            cursor.execute(
                "SELECT pg_try_advisory_lock(%s, hashtext(%s))", (_LOCK_CLASS, str(import_id))
            )
            is_ours = cursor.fetchone()
        if is_ours != (True,):
            raise InputError("This import is running; wait for its end.")
        yield
    finally:
        guard.close()
