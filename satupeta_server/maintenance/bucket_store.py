"""The bucket as administrators need it: listed, examined, set up, and with errors that are told."""

import base64
import contextlib
import datetime
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import defusedxml.ElementTree
import urllib3
from minio.commonconfig import ENABLED
from minio.error import MinioException, S3Error
from minio.versioningconfig import SUSPENDED, VersioningConfig

from satupeta_server.errors import NotFoundError, StartError, UnreachableError
from satupeta_server.maintenance.parallel import THREADS
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore, Place

OFF, ON, PAUSED = "off", "enabled", "suspended"
_MISSING = {"NoSuchKey", "NoSuchObject"}
_KEYS = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled"}
_UNSUPPORTED = {"NotImplemented", "XNotImplemented", "MethodNotAllowed", "UnsupportedOperation"}
_SECONDS = urllib3.Timeout(connect=2, read=3)


class RefusedError(Exception):
    """The store, or what is in it, does not allow this; the text is a sentence that says why."""


@dataclass(frozen=True)
class Entry:
    """An object of a listing; the size in bytes, the tag as the store gives it."""

    name: str
    size: int
    modified_at: datetime.datetime
    etag: str = ""


@dataclass(frozen=True)
class Unfinished:
    """An upload in parts that was never completed."""

    name: str
    upload_id: str
    begun_at: datetime.datetime


class AdministeredStore(ObjectStore):
    """The bucket, with what the API does not need.

    Its methods raise UnreachableError when the store does not answer, StartError when the keys
    or the bucket are wrong, RefusedError for what the store does not know, and NotFoundError.
    """

    def __init__(self, place: Settings | Place, *, connections: int = 2 * THREADS) -> None:
        super().__init__(place, connections=connections)

    def exists(self) -> bool:
        """Tell whether the bucket is there."""
        with told(self.place):
            return bool(self._client.bucket_exists(self.bucket))

    def require(self) -> None:
        """Raise StartError unless the bucket is there."""
        if not self.exists():
            raise StartError(_no_bucket(self.place))

    def make(self) -> bool:
        """Make the bucket; gives whether it was missing."""
        if self.exists():
            return False
        with told(self.place):
            self._client.make_bucket(self.bucket, location=self.place.region)
        return True

    def region(self) -> str:
        """Give the region of the bucket."""
        with told(self.place):
            return str(self._client._get_region(self.bucket))

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """Give all objects, as the store lists them, page by page."""
        with told(self.place):
            for one in self._client.list_objects(self.bucket, prefix=prefix, recursive=True):
                yield Entry(
                    str(one.object_name),
                    one.size or 0,
                    one.last_modified or datetime.datetime.now(datetime.UTC),
                    (one.etag or "").strip('"'),
                )

    def first_names(self, most: int) -> list[str]:
        """Give the names of the first objects, one more than ``most`` where there are more."""
        names = []
        for found in self.entries():
            names.append(found.name)
            if len(names) > most:
                break
        return names

    def read(self, name: str) -> Iterator[bytes]:
        """Read an object in chunks."""
        with told(self.place):
            response = self._client.get_object(self.bucket, name)
            try:
                yield from response.stream(1 << 18)
            finally:
                response.close()
                response.release_conn()

    def write(self, name: str, content: Any, size: int, content_type: str, part: int) -> None:
        """Store an object in parts of ``part`` bytes; raises what reading ``content`` raises."""
        with told(self.place):
            self._client.put_object(
                self.bucket, name, content, size,
                content_type=content_type, part_size=part, num_parallel_uploads=1,
            )  # fmt: skip

    def has(self, name: str) -> bool:
        """Tell whether an object is there."""
        try:
            with told(self.place):
                self._client.stat_object(self.bucket, name)
        except NotFoundError:
            return False
        return True

    def drop(self, name: str) -> None:
        """Remove an object; one that is not there is fine."""
        with told(self.place):
            self._client.remove_object(self.bucket, name)

    def unfinished(self) -> Iterator[Unfinished]:
        """Give the uploads that were begun and never completed."""
        key, upload = None, None
        while True:
            with told(self.place, "unfinished uploads"):
                page = self._client._list_multipart_uploads(
                    self.bucket, key_marker=key, upload_id_marker=upload
                )
            for one in page.uploads:
                moment = one.initiated_time or datetime.datetime.now(datetime.UTC)
                yield Unfinished(str(one.object_name), str(one.upload_id), moment)
            if not page.is_truncated:
                return
            key, upload = page.next_key_marker, page.next_upload_id_marker

    def abort(self, upload: Unfinished) -> None:
        """End an unfinished upload; one that is not there is fine."""
        with contextlib.suppress(NotFoundError), told(self.place):
            self._client._abort_multipart_upload(self.bucket, upload.name, upload.upload_id)

    def versioning(self) -> str:
        """Tell whether older versions of objects are kept."""
        with told(self.place, "versioning"):
            status = self._client.get_bucket_versioning(self.bucket).status
        return {"Enabled": ON, "Suspended": PAUSED}.get(str(status), OFF)

    def set_versioning(self, state: str) -> None:
        """Keep older versions of objects from now on, or no longer."""
        config = VersioningConfig(ENABLED if state == ON else SUSPENDED)
        with told(self.place, "versioning"):
            self._client.set_bucket_versioning(self.bucket, config)

    def policy(self) -> dict[str, Any]:
        """Give the bucket's policy; an empty one where none is set."""
        try:
            with told(self.place, "policies"):
                text = self._client.get_bucket_policy(self.bucket)
        except NotFoundError:
            return {}
        policy: dict[str, Any] = json.loads(text)
        return policy

    def set_policy(self, policy: dict[str, Any]) -> None:
        """Set the bucket's policy; an empty one takes it away."""
        with contextlib.suppress(NotFoundError), told(self.place, "policies"):
            if policy:
                self._client.set_bucket_policy(self.bucket, json.dumps(policy))
            else:
                self._client.delete_bucket_policy(self.bucket)

    def lifecycle(self) -> Any:
        """Give the lifecycle's rules as XML; None where there are none.

        The SDK's own classes would lose what they do not know.
        """
        try:
            with told(self.place, "lifecycle rules"):
                query: Any = {"lifecycle": ""}
                answer = self._client._execute("GET", self.bucket, query_params=query)
        except NotFoundError:
            return None
        return defusedxml.ElementTree.fromstring(answer.data)

    def set_lifecycle(self, document: bytes | None) -> None:
        """Set the lifecycle's rules, or take all away."""
        with told(self.place, "lifecycle rules"):
            if document is None:
                self._client.delete_bucket_lifecycle(self.bucket)
                return
            digest = hashlib.md5(document, usedforsecurity=False).digest()
            self._client._execute(
                "PUT", self.bucket, body=document,
                headers={"Content-MD5": base64.b64encode(digest).decode()},
                query_params={"lifecycle": ""},
            )  # fmt: skip

    def presigned(self, name: str, expires: datetime.timedelta, file_name: str) -> str:
        """Make an address under which anybody can read an object for a while."""
        disposition = f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"
        with told(self.place):
            return str(
                self._client.presigned_get_object(
                    self.bucket, name, expires=expires,
                    response_headers={"response-content-disposition": disposition},
                )
            )  # fmt: skip

    def answer_to_anybody(self, method: str, path: str) -> Any:
        """Ask without any key, as a stranger would."""
        address = f"{self.place.endpoint}/{path}"
        with told(self.place):
            return self._http.request(
                method, address, timeout=_SECONDS, retries=False, redirect=False
            )


def _no_bucket(place: Place) -> str:
    return f"There is no bucket {place}; satupeta bucket create makes MINIO_BUCKET_NAME."


@contextlib.contextmanager
def told(place: Place, what: str = "") -> Iterator[None]:
    """Turn what the SDK raises into errors that name the place, and what to do."""
    try:
        yield
    except S3Error as error:
        raise _told(error, place, what) from error
    except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
        raise UnreachableError(
            f"{place.endpoint} does not answer; once it does, run the same command again."
        ) from error


def _told(error: S3Error, place: Place, what: str) -> Exception:
    code = error.code or "no reason"
    if code == "NoSuchBucket":
        return StartError(_no_bucket(place))
    if code in _MISSING or code.startswith("NoSuch"):
        return NotFoundError()
    if code in _KEYS:
        return StartError(f"{place} refuses ({code}); correct {place.key_names}, or their rights.")
    if code in _UNSUPPORTED:
        return RefusedError(f"The store at {place.endpoint} does not know {what or 'this'}.")
    if error.response.status >= 500:
        return UnreachableError(f"{place} failed ({code}); run the same command again later.")
    return RefusedError(f"{place} refuses: {code}.")
