"""The object store, over the MinIO SDK.

The SDK blocks, so its calls run on a bounded pool of threads of its own. Commands and bulk work,
which have no event loop, call the methods of :class:`ObjectStore` directly.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from satupeta_server.errors import NotFoundError, UnavailableError
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


class ObjectStore:
    """One bucket, called synchronously.

    Every method raises UnavailableError when the store cannot be reached or refuses, and
    NotFoundError when the object is not there.
    """

    def __init__(self, settings: Settings) -> None:
        address = settings.minio_endpoint_url or ""
        parts = urlsplit(address if "://" in address else f"//{address}")
        secure = parts.scheme == "https" or (not parts.scheme and settings.minio_secure)
        password = settings.minio_root_password
        self.bucket = settings.minio_bucket_name
        self._region = settings.minio_region
        self._http = urllib3.PoolManager(
            maxsize=THREADS,
            timeout=urllib3.Timeout(connect=2, read=10),
            retries=urllib3.Retry(total=1, backoff_factor=0.1, status_forcelist=[502, 503, 504]),
        )
        self._client = Minio(
            parts.netloc,
            access_key=settings.minio_root_user,
            secret_key=password.get_secret_value() if password else None,
            secure=secure,
            region=settings.minio_region,
            http_client=self._http,
        )

    def ensure_bucket(self) -> None:
        """Make the bucket where it does not exist; a second one who makes it at once is fine."""
        with _translated():
            if self._client.bucket_exists(self.bucket):
                return
            try:
                self._client.make_bucket(self.bucket, location=self._region)
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
                yield from response.stream(CHUNK_BYTES)
            finally:
                response.close()
                response.release_conn()

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()


class Storage:
    """The object store for the event loop: the same calls on a bounded pool of threads."""

    def __init__(self, settings: Settings) -> None:
        self.store = ObjectStore(settings)
        self._threads = Threads(THREADS, "storage")

    async def check(self) -> None:
        """Raise UnavailableError unless the bucket can be used."""
        await self._run(self.store.check)

    async def put_file(self, name: str, path: Path, content_type: str) -> None:
        """Store the content of a local file."""
        await self._run(self.store.put_file, name, path, content_type)

    async def describe(self, name: str) -> ObjectDescription:
        """Ask for the size and the type of an object."""
        return await self._run(self.store.describe, name)

    async def remove(self, name: str) -> None:
        """Remove an object."""
        await self._run(self.store.remove, name)

    async def open(self, name: str, start: int = 0, length: int = 0) -> AsyncIterator[bytes]:
        """Read an object in chunks, never more than one chunk ahead of its reader."""
        chunks = self.store.open(name, start, length)
        try:
            while chunk := await self._run(next, chunks, b""):
                yield chunk
        finally:
            await self._run(chunks.close)

    def close(self) -> None:
        """End the threads once their calls are done, and close the connections."""
        self._threads.close()
        self.store.close()

    async def _run(self, call: Callable[..., Result], *arguments: object) -> Result:
        return await self._threads.run(call, *arguments)


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
