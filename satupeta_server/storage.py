"""The object store, over the MinIO SDK.

The SDK blocks, so its calls run on a bounded pool of threads of its own. Commands and bulk work,
which have no event loop, call the methods of :class:`ObjectStore` directly.
"""

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from satupeta_server import observing
from satupeta_server.errors import NotFoundError, UnavailableError
from satupeta_server.metrics import note_storage_call
from satupeta_server.observing import spent
from satupeta_server.settings import Settings
from satupeta_server.tasks import Threads

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

THREADS = 8
CHUNK_BYTES = 256 * 1024
_MISSING = {"NoSuchKey", "NoSuchObject"}


@dataclass(frozen=True)
class ObjectDescription:
    """What the store says of one object; the size in bytes."""

    size: int
    content_type: str


@dataclass(frozen=True)
class Place:
    """A bucket of a store, and the keys to it."""

    endpoint: str
    """An address such as ``https://s3.example.org:9000``."""
    bucket: str
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    region: str | None = None
    key_names: str = "MINIO_ROOT_USER and MINIO_ROOT_PASSWORD"
    """The settings that hold the keys, for people."""

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.bucket} at {self.endpoint}"

    def is_same_as(self, other: "Place") -> bool:
        """Tell whether both are one bucket, as far as addresses tell."""
        return (self.endpoint, self.bucket) == (other.endpoint, other.bucket)


def main_place(settings: Settings) -> Place:
    """Give the bucket that files are written to."""
    password = settings.minio_root_password
    return Place(
        _address(settings.minio_endpoint_url or "", is_secure=settings.minio_secure),
        settings.minio_bucket_name,
        settings.minio_root_user,
        password.get_secret_value() if password else None,
        settings.minio_region,
    )


def fallback_place(settings: Settings) -> Place | None:
    """Give the bucket where objects are looked for that the main one lacks; None where not set."""
    endpoint, bucket = settings.minio_fallback_endpoint_url, settings.minio_fallback_bucket_name
    if endpoint is None and bucket is None:
        return None
    main, password = main_place(settings), settings.minio_fallback_root_password
    secure = settings.minio_fallback_secure
    if secure is None:
        secure = settings.minio_secure
    return Place(
        main.endpoint if endpoint is None else _address(endpoint, is_secure=secure),
        bucket or main.bucket,
        settings.minio_fallback_root_user or main.access_key,
        password.get_secret_value() if password else main.secret_key,
        settings.minio_fallback_region or main.region,
        "MINIO_FALLBACK_ROOT_USER and MINIO_FALLBACK_ROOT_PASSWORD",
    )


def _address(endpoint: str, *, is_secure: bool) -> str:
    return endpoint if "://" in endpoint else f"{'https' if is_secure else 'http'}://{endpoint}"


class ObjectStore:
    """One bucket, called synchronously; settings mean the main one.

    Every method raises UnavailableError when the store cannot be reached or refuses, and
    NotFoundError when the object is not there.
    """

    def __init__(self, place: Settings | Place, *, connections: int = THREADS) -> None:
        self.place = place if isinstance(place, Place) else main_place(place)
        self.bucket = self.place.bucket
        address = urlsplit(self.place.endpoint)
        self._http = urllib3.PoolManager(
            maxsize=connections,
            timeout=urllib3.Timeout(connect=2, read=10),
            retries=urllib3.Retry(total=1, backoff_factor=0.1, status_forcelist=[502, 503, 504]),
        )
        self._client = Minio(
            address.netloc,
            access_key=self.place.access_key,
            secret_key=self.place.secret_key,
            secure=address.scheme == "https",
            region=self.place.region,
            http_client=self._http,
        )

    def ensure_bucket(self) -> None:
        """Make the bucket where it does not exist; a second one who makes it at once is fine."""
        with _translated():
            if self._client.bucket_exists(self.bucket):
                return
            try:
                self._client.make_bucket(self.bucket, location=self.place.region)
            except S3Error as error:
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise

    def check(self) -> None:
        """Raise UnavailableError unless the bucket is there and the keys open it."""
        with _translated():
            if not self._client.bucket_exists(self.bucket):
                raise UnavailableError

    def put(self, name: str, content: BinaryIO, size: int, content_type: str) -> None:
        """Store an object; it is whole or not there."""
        with _translated():
            self._client.put_object(self.bucket, name, content, size, content_type=content_type)

    def put_file(self, name: str, path: Path, content_type: str) -> None:
        """Store the content of a local file."""
        with path.open("rb") as content:
            self.put(name, content, path.stat().st_size, content_type)

    def describe(self, name: str) -> ObjectDescription:
        """Ask for the size and the type of an object."""
        with _translated():
            found = self._client.stat_object(self.bucket, name)
        return ObjectDescription(found.size or 0, found.content_type or "application/octet-stream")

    def remove(self, name: str) -> None:
        """Remove an object; one that is not there is fine."""
        with _translated():
            self._client.remove_object(self.bucket, name)

    def open(self, name: str, start: int = 0, length: int = 0) -> Generator[bytes, None, None]:
        """Read an object from ``start`` on, ``length`` bytes or (0) to its end, in chunks."""
        with _translated():
            response = self._client.get_object(self.bucket, name, offset=start, length=length)
            try:
                if response.length_remaining is None and not response.chunked:
                    # Its headers broke off, so nobody could tell that its content does.
                    raise UnavailableError
                yield from response.stream(CHUNK_BYTES)
            finally:
                response.close()
                response.release_conn()

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()


class Storage:
    """The object store for the event loop: the same calls on a bounded pool of threads.

    What the store lacks is read from the fallback, where one is set: so objects can move to
    another place while they are served. Nothing is written there.
    """

    def __init__(self, settings: Settings) -> None:
        self.store = ObjectStore(settings)
        fallback = fallback_place(settings)
        self._stores = [self.store, *([ObjectStore(fallback)] if fallback else [])]
        # While the store is silent, its threads all wait for it.
        self._threads = Threads(THREADS, "storage", settings.request_timeout_seconds)

    async def check(self) -> None:
        """Raise UnavailableError unless the bucket can be used."""
        await self._run(self.store.check)

    async def put_file(self, name: str, path: Path, content_type: str) -> None:
        """Store the content of a local file."""
        await self._run(self.store.put_file, name, path, content_type)

    async def describe(self, name: str) -> ObjectDescription:
        """Ask for the size and the type of an object."""
        for store in self._stores[:-1]:
            with contextlib.suppress(NotFoundError):
                return await self._run(store.describe, name)
        return await self._run(self._stores[-1].describe, name)

    async def remove(self, name: str) -> None:
        """Remove an object."""
        await self._run(self.store.remove, name)

    async def open(self, name: str, start: int = 0, length: int = 0) -> AsyncIterator[bytes]:
        """Read an object in chunks, never more than one chunk ahead of its reader."""
        for store in self._stores:
            chunks = store.open(name, start, length)
            try:
                # That an object is missing is known before its first chunk.
                while chunk := await self._run(next, chunks, b""):
                    yield chunk
            except NotFoundError:
                if store is self._stores[-1]:
                    raise
            else:
                return
            finally:
                await self._run(chunks.close)

    def close(self) -> None:
        """End the threads once their calls are done, and close the connections."""
        self._threads.close()
        for store in self._stores:
            store.close()

    async def _run(self, call: Callable[..., Result], *arguments: object) -> Result:
        begin, is_done = time.perf_counter(), False
        # The pieces of an object are taken from an iterator.
        operation = "read" if call is next else call.__name__
        try:
            with _translated():
                result = await self._threads.run(call, *arguments)
            is_done = True
        except NotFoundError:
            # That is an answer, too.
            is_done = True
            raise
        finally:
            seconds = time.perf_counter() - begin
            note_storage_call(operation, seconds, is_done=is_done)
            request = spent.get()
            if observing.keeps_parts and request is not None:
                request.keep("storage", operation, seconds)
        return result


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code in _MISSING:
            raise NotFoundError from error
        logger.warning("the object store refused: %s", error.code)
        raise UnavailableError from error
    except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
        logger.warning("the object store did not answer: %s", type(error).__name__)
        raise UnavailableError from error
