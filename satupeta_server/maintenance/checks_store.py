"""What the doctor looks at in the object store, and the clocks of all three machines."""

import contextlib
import datetime
import email.utils
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import urllib3
from minio.error import S3Error

from satupeta_server.maintenance.checks_database import connection
from satupeta_server.maintenance.doctor import Finding, Patient, State
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore

FEW_OBJECTS = 1000
"""So many are compared with their rows; counting more is work for satupeta bucket."""
_SECONDS = urllib3.Timeout(connect=2, read=3)
_WRONG_CLOCK_SECONDS = 60
_ODD_CLOCK_SECONDS = 5


class _Inspected(ObjectStore):
    """The bucket, looked at more closely than the API needs."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        endpoint = settings.minio_endpoint_url or ""
        scheme = "https" if settings.minio_secure else "http"
        self.address = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"

    def exists(self) -> bool:
        return bool(self._client.bucket_exists(self.bucket))

    def open_statements(self) -> list[str]:
        """Give the actions that the bucket's policy allows to everybody."""
        try:
            policy = json.loads(self._client.get_bucket_policy(self.bucket))
        except S3Error:
            # None is set, or the store knows no policies.
            return []
        statements = [one for one in policy.get("Statement", []) if _is_for_everybody(one)]
        return sorted({action for one in statements for action in _as_list(one.get("Action"))})

    def first_names(self, most: int) -> list[str]:
        """Give the names of the first objects, one more than ``most`` where there are more."""
        names = []
        for found in self._client.list_objects(self.bucket, recursive=True):
            names.append(str(found.object_name))
            if len(names) > most:
                break
        return names

    def answer_to_anybody(self, method: str, path: str) -> Any:
        """Ask without any key, as a stranger would."""
        return self._http.request(
            method, f"{self.address}/{path}", timeout=_SECONDS, retries=False, redirect=False
        )


@contextlib.contextmanager
def _inspected(settings: Settings) -> Iterator[_Inspected]:
    store = _Inspected(settings)
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
    except S3Error as error:
        advice = "correct MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, or their rights"
        return Finding("problem", f"{where} refuses: {error.code}", advice)
    except (urllib3.exceptions.HTTPError, OSError):
        advice = "start the object store, or correct MINIO_ENDPOINT_URL"
        return Finding("problem", f"{settings.minio_endpoint_url} does not answer", advice)
    if not is_there:
        return Finding("problem", f"there is no bucket {where}", "run satupeta bucket create")
    milliseconds = (time.monotonic() - begin) * 1000
    return Finding("ok", f"{where} answers in {milliseconds:.0f} ms")


def policy(patient: Patient) -> Finding:
    """Whether anybody can reach the objects past the API; it is really tried."""
    advice = "close it with satupeta bucket policy"
    with _inspected(patient.known_settings) as store:
        actions = store.open_statements()
        if actions:
            text = f"the bucket's policy gives to everybody: {', '.join(actions)}"
            return Finding("problem", text, advice)
        if store.answer_to_anybody("GET", f"{store.bucket}?list-type=2&max-keys=1").status == 200:
            return Finding("problem", "everybody can list the bucket", advice)
        for name in store.first_names(1)[:1]:
            path = f"{store.bucket}/{quote(name)}"
            if store.answer_to_anybody("HEAD", path).status == 200:
                return Finding("problem", "everybody can read objects", advice)
    return Finding("ok", "nobody reaches objects without a key")


def objects(patient: Patient) -> Finding:
    """Whether objects and rows of files belong together, where they are few."""
    settings = patient.known_settings
    with _inspected(settings) as store:
        names = store.first_names(FEW_OBJECTS)
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


def _is_for_everybody(statement: dict[str, Any]) -> bool:
    principal = statement.get("Principal")
    named = principal.get("AWS") if isinstance(principal, dict) else principal
    return statement.get("Effect") == "Allow" and "*" in _as_list(named)


def _as_list(value: Any) -> list[str]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
