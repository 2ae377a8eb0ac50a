"""What the doctor looks at in the object store, and the clocks of all three machines."""

import contextlib
import datetime
import email.utils
import time
from collections.abc import Iterator

from satupeta_server.errors import StartError, UnreachableError
from satupeta_server.maintenance import bucket_policy
from satupeta_server.maintenance.bucket_store import AdministeredStore, RefusedError
from satupeta_server.maintenance.checks_database import connection
from satupeta_server.maintenance.doctor import Finding, Patient, State
from satupeta_server.settings import Settings
from satupeta_server.storage import Place, fallback_place

FEW_OBJECTS = 1000
"""So many are compared with their rows; counting more is work for satupeta bucket."""
_WRONG_CLOCK_SECONDS = 60
_ODD_CLOCK_SECONDS = 5


@contextlib.contextmanager
def _inspected(place: Settings | Place) -> Iterator[AdministeredStore]:
    store = AdministeredStore(place)
    try:
        yield store
    finally:
        store.close()


def bucket(patient: Patient) -> Finding:
    """Whether the object store answers, and the bucket is there."""
    settings = patient.known_settings
    if settings.minio_endpoint_url is None:
        advice = "set MINIO_ENDPOINT_URL, or start satupeta dev"
        return Finding("problem", "MINIO_ENDPOINT_URL is not set", advice)
    begin = time.monotonic()
    where = f"{settings.minio_bucket_name} at {settings.minio_endpoint_url}"
    try:
        with _inspected(settings) as store:
            is_there = store.exists()
    except UnreachableError:
        advice = "start the object store, or correct MINIO_ENDPOINT_URL"
        return Finding("problem", f"{settings.minio_endpoint_url} does not answer", advice)
    except (StartError, RefusedError) as error:
        code = getattr(error.__cause__, "code", "")
        advice = "correct MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, or their rights"
        return Finding("problem", f"{where} refuses: {code}", advice)
    if not is_there:
        return Finding("problem", f"there is no bucket {where}", "run satupeta bucket create")
    milliseconds = (time.monotonic() - begin) * 1000
    return _with_fallback(settings, f"{where} answers in {milliseconds:.0f} ms")


def _with_fallback(settings: Settings, well: str) -> Finding:
    """Look at the fallback, too, where there is one."""
    place = fallback_place(settings)
    if place is None:
        return Finding("ok", well)
    advice = "correct the MINIO_FALLBACK_ settings, or remove them once all has moved"
    try:
        with _inspected(place) as store:
            if not store.exists():
                return Finding("problem", f"there is no bucket {place}, the fallback", advice)
    except (StartError, RefusedError) as error:
        return Finding("problem", str(error), advice)
    return Finding("ok", f"{well}, and reads from {place} what it lacks")


def policy(patient: Patient) -> Finding:
    """Whether anybody can reach the objects past the API; it is really tried."""
    with _inspected(patient.known_settings) as store:
        access = bucket_policy.anonymous_access(store)
    if access.is_open:
        return Finding("problem", access.text, "close it with satupeta bucket policy close")
    return Finding("ok", access.text)


def objects(patient: Patient) -> Finding:
    """Whether objects and rows of files belong together, where they are few."""
    settings = patient.known_settings
    with _inspected(settings) as store:
        names = store.first_names(FEW_OBJECTS)
    fallback = fallback_place(settings)
    if fallback is not None:
        with _inspected(fallback) as store:
            names += store.first_names(FEW_OBJECTS)
    names = sorted(set(names))
    if len(names) > FEW_OBJECTS:
        text = f"more than {FEW_OBJECTS} objects are not compared here"
        return Finding("skipped", text, "run satupeta bucket orphans")
    with connection(settings) as connected, connected.cursor() as cursor:
        cursor.execute("SELECT object_name, deleted_at IS NULL FROM files")
        rows = dict(cursor.fetchall())
    lost = [name for name, is_living in rows.items() if is_living and name not in set(names)]
    if lost:
        text = f"{len(lost)} files have no object"
        return Finding("problem", text, "restore the bucket; satupeta bucket verify names them")
    orphans = [name for name in names if name not in rows]
    if orphans:
        text = f"{len(orphans)} objects have no row"
        return Finding("warning", text, "run satupeta bucket orphans")
    return Finding("ok", f"{len(names)} objects, each with its row")


def clock(patient: Patient) -> Finding:
    """Whether this machine, the database and the store agree about the time."""
    settings = patient.known_settings
    seconds = {}
    for name, ask in (("database", _database_time), ("object store", _store_time)):
        with contextlib.suppress(Exception):
            seconds[name] = ask(settings)
    if not seconds:
        return Finding("skipped", "nothing answers to compare with")
    text = ", ".join(f"{name} {value:+.1f} s" for name, value in seconds.items())
    largest = max(map(abs, seconds.values()))
    if largest <= _ODD_CLOCK_SECONDS:
        return Finding("ok", f"against this machine: {text}")
    state: State = "problem" if largest > _WRONG_CLOCK_SECONDS else "warning"
    return Finding(state, f"against this machine: {text}", "let all machines follow one NTP server")


def _database_time(settings: Settings) -> float:
    with connection(settings) as connected, connected.cursor() as cursor:
        begin = time.time()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        (there,) = cursor.fetchone()
        return float(there) - (begin + time.time()) / 2


def _store_time(settings: Settings) -> float:
    with _inspected(settings) as store:
        begin = time.time()
        date = store.answer_to_anybody("HEAD", "").headers.get("Date")
    there = email.utils.parsedate_to_datetime(date or "").astimezone(datetime.UTC).timestamp()
    # The header has whole seconds, cut off.
    return there + 0.5 - (begin + time.time()) / 2
