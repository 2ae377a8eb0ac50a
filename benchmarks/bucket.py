"""How fast ``bucket verify`` and ``mirror`` are, beside the bare MinIO SDK in the same run.

Run it with ``python -m benchmarks.bucket``; it starts servers of its own and removes them. Each
measurement has the same number of threads and the same objects, and is the best of a few rounds.
"""

import argparse
import contextlib
import hashlib
import io
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import urllib3
from minio import Minio
from pydantic import SecretStr

from satupeta_server import database
from satupeta_server.embedded import EmbeddedServers
from satupeta_server.maintenance.bucket_rows import file_rows
from satupeta_server.maintenance.bucket_store import AdministeredStore
from satupeta_server.maintenance.bucket_verify import Verification
from satupeta_server.maintenance.mirror_sides import BucketSide, FolderSide
from satupeta_server.maintenance.mirroring import Mirror
from satupeta_server.migrating import upgrade
from satupeta_server.models.files import File
from satupeta_server.models.users import SYSTEM_USER_ID
from satupeta_server.seed.reference import seed_reference
from satupeta_server.settings import Settings, load_settings
from satupeta_server.storage import Place, main_place

KILOBYTE = 1024
SMALL_BYTES = (64 * KILOBYTE, 256 * KILOBYTE, 512 * KILOBYTE, 1024 * KILOBYTE)
THREADS = 8


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a line for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=400, help="objects of 64 KiB to 1 MiB")
    parser.add_argument("--large", type=int, default=4, help="objects of --large-bytes")
    parser.add_argument("--large-bytes", type=int, default=20 * KILOBYTE * KILOBYTE)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args(arguments)
    with servers() as settings:
        sizes = [SMALL_BYTES[number % len(SMALL_BYTES)] for number in range(chosen.small)]
        total = fill(settings, [*sizes, *[chosen.large_bytes] * chosen.large])
        print_table(Comparison(settings, chosen.rounds).run(), total)


def print_table(rows: Sequence[tuple[str, float, str, float]], total: int) -> None:
    """Print megabytes a second of ours and of the SDK, and their ratio."""
    lines = [f"{total / 1e6:.0f} MB, {THREADS} threads; MB/s, the best of all rounds"]
    lines.append(f"{'command':<24}{'MB/s':>8}  {'bare SDK':<20}{'MB/s':>8}{'ratio':>8}")
    for ours, seconds, theirs, raw in rows:
        speed, raw_speed = total / seconds / 1e6, total / raw / 1e6
        lines.append(f"{ours:<24}{speed:>8.1f}  {theirs:<20}{raw_speed:>8.1f}{raw / seconds:>8.2f}")
    sys.stdout.write("\n".join(lines) + "\n")


@contextlib.contextmanager
def servers() -> Iterator[Settings]:
    """A migrated database and a bucket, on servers in a folder that is gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="satupeta-bench-")).resolve()
    folder.chmod(0o755)
    running = EmbeddedServers(folder)
    try:
        found = running.start()
        upgrade(found.database_url or "")
        yield load_settings(
            None,
            data_dir=folder,
            database_url=SecretStr(found.database_url or ""),
            minio_endpoint_url=found.object_store_endpoint,
            minio_root_user=found.object_store_access_key,
            minio_root_password=SecretStr(found.object_store_secret_key or ""),
        )
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


def fill(settings: Settings, sizes: Sequence[int]) -> int:
    """Store objects with their rows; gives the bytes of all."""
    store = AdministeredStore(settings)
    store.make()
    database.connect(settings)
    with database.synchronous():
        seed_reference()
        for number, size in enumerate(sizes):
            content, name = os.urandom(size), f"files/2026/{number:06}.bin"
            store.put(name, io.BytesIO(content), size, "application/octet-stream")
            File.create(
                object_name=name,
                name=f"{number}.bin",
                content_type="application/octet-stream",
                size=size,
                checksum=hashlib.sha256(content).hexdigest(),
                uploaded_by=SYSTEM_USER_ID,
            )
    store.close()
    return sum(sizes)


class Comparison:
    """Ours and the bare SDK, in turns, each on a new target."""

    def __init__(self, settings: Settings, rounds: int) -> None:
        self.settings = settings
        self.rounds = rounds
        self.place = main_place(settings)
        self.store = AdministeredStore(self.place)
        self.client = bare_client(self.place)
        self.names = [entry.name for entry in self.store.entries()]
        self.count = 0

    def run(self) -> list[tuple[str, float, str, float]]:
        """Give name and seconds of ours, then of the bare SDK."""
        pairs = (
            ("verify", self.verify, "get", self.get),
            ("mirror to a store", self.mirror_store, "get, put", self.copy),
            ("mirror to a folder", self.mirror_folder, "get into files", self.get_files),
        )
        results = []
        for ours, work, theirs, raw in pairs:
            raw_seconds, seconds = [], []
            for _ in range(self.rounds):
                raw_seconds.append(self.timed(raw))
                seconds.append(self.timed(work))
            results.append((ours, min(seconds), theirs, min(raw_seconds)))
        return results

    def timed(self, work: Callable[[str], None]) -> float:
        """Run once, with a name that no other run had; gives seconds."""
        self.count += 1
        target = f"target-{self.count}-{secrets.token_hex(3)}"
        begin = time.monotonic()
        work(target)
        return time.monotonic() - begin

    def verify(self, _target: str) -> None:
        """Verify every row."""
        with file_rows(self.settings):
            faults = list(Verification(self.store).run(lambda _amount: None, THREADS))
        if faults:
            raise AssertionError(faults)

    def mirror_store(self, target: str) -> None:
        """Mirror into another bucket."""
        other = AdministeredStore(replace(self.place, bucket=target))
        other.make()
        self._mirror(Mirror(BucketSide(self.store), BucketSide(other)))

    def mirror_folder(self, target: str) -> None:
        """Mirror into a folder."""
        side = FolderSide(self.settings.data_dir / target)
        with side.alone():
            self._mirror(Mirror(BucketSide(self.store), side))

    def _mirror(self, mirror: Mirror) -> None:
        outcomes = list(mirror.run(threads=THREADS))
        if {one.result for one in outcomes} != {"copied"} or len(outcomes) != len(self.names):
            raise AssertionError(outcomes)

    def get(self, _target: str) -> None:
        """Read all objects and forget them."""
        self._each(self._read)

    def copy(self, target: str) -> None:
        """Read all objects and put them into another bucket."""
        self.client.make_bucket(target)

        def one(name: str) -> None:
            content = self._read(name)
            self.client.put_object(target, name, io.BytesIO(content), len(content))

        self._each(one)

    def get_files(self, target: str) -> None:
        """Let the SDK write all objects as files."""
        folder = self.settings.data_dir / target
        self._each(
            lambda name: self.client.fget_object(self.place.bucket, name, str(folder / name))
        )

    def _each(self, work: Callable[[str], object]) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(work, self.names):
                pass

    def _read(self, name: str) -> bytes:
        response = self.client.get_object(self.place.bucket, name)
        try:
            return bytes(response.read())
        finally:
            response.close()
            response.release_conn()


def bare_client(place: Place) -> Minio:
    """The SDK's client, with as many connections as there are threads."""
    return Minio(
        place.endpoint.partition("://")[2],
        access_key=place.access_key,
        secret_key=place.secret_key,
        secure=False,
        region="us-east-1",
        http_client=urllib3.PoolManager(maxsize=2 * THREADS),
    )


if __name__ == "__main__":
    main()
