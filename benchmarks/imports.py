"""How fast records are imported, beside a bare COPY of the same rows into the same tables.

Run it by ``python -m benchmarks.imports``; ``--mapsets 1000000`` is the size that counts. The
tables have all their indexes, and both ways write the same rows of mapsets, sources, histories
and revisions.
"""

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg2

from benchmarks.databases import Databases, url_of
from satupeta_server.embedded import Addresses, EmbeddedServers
from satupeta_server.server import parent_environment
from satupeta_server.settings import Settings

REGIONS = (
    Path(__file__).resolve().parent.parent
    / "satupeta_server/data/wilayah-permendagri-72-2019.csv.gz"
)
TABLES = ("mapsets", "mapset_sources", "mapset_histories", "mapset_revisions")
MOST_CHANGED = 100_000
_MEGABYTE = 1_000_000


@dataclass
class Work:
    """One piece of work and what it took; CPU seconds are those of PostgreSQL, too."""

    name: str
    rows: int
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    largest_process: int = 0
    """In bytes; of the processes of a command."""
    outcome: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds


@contextlib.contextmanager
def measured(work: Work) -> Iterator[None]:
    """Measure the time, and the CPU of all processes that this one has started."""
    begin, used = time.monotonic(), _cpu_seconds()
    yield
    work.seconds, work.cpu_seconds = time.monotonic() - begin, _cpu_seconds() - used
    print(f"  {work.name}: {work.seconds:.1f} s", file=sys.stderr, flush=True)


def _cpu_seconds() -> float:
    total = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def command(settings: Settings, work: Work, *arguments: str) -> None:
    """Run a command of satupeta, measured with the memory of its processes."""
    environment = {**os.environ, **parent_environment(settings)}
    with measured(work):
        process = subprocess.Popen(
            [sys.executable, "-m", "satupeta_cli", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
        )
        watcher = threading.Thread(target=_watch, args=(process, work), daemon=True)
        watcher.start()
        output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"satupeta {' '.join(arguments)} ended with {process.returncode}.")
    if output.startswith(b"{"):
        work.outcome = {state: count for state, count in json.loads(output).items() if count}


def _watch(process: "subprocess.Popen[bytes]", work: Work) -> None:
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            top = psutil.Process(process.pid)
            for one in [top, *top.children(recursive=True)]:
                work.largest_process = max(work.largest_process, one.memory_info().rss)
        time.sleep(0.1)


class Bench:
    """Databases of one server, and the work that is done in them."""

    def __init__(self, addresses: Addresses, folder: Path) -> None:
        self.databases = Databases(addresses, folder)
        self.folder = folder
        self.works: list[Work] = []

    def work(self, name: str, rows: int) -> Work:
        """Begin one piece of work."""
        self.works.append(Work(name, rows))
        return self.works[-1]

    def regions(self) -> None:
        """Import the whole region file, and once more."""
        with self.databases.own("regions") as settings:
            for name in ("regions, first", "regions, again"):
                command(settings, self.work(name, 91_220), *_import("regions", REGIONS))

    def mapsets(self, count: int) -> None:
        """Import mapsets, once more, and COPY the same rows into another database."""
        path, copies = self.folder / "mapsets.jsonl", self.folder / "copies"
        copies.mkdir()
        with self.databases.own("origin", count) as settings:
            self._write_mapsets(settings, path, count)
        with self.databases.own("imported") as settings:
            command(settings, self.work("mapsets, first", count), *_import("mapsets", path))
            _copy_out(settings, copies)
            command(settings, self.work("mapsets, again", count), *_import("mapsets", path))
            some = min(count, MOST_CHANGED)
            changed = _changed(path, some)
            command(settings, self.work("mapsets, changed", some), *_import("mapsets", changed))
        with self.databases.own("copied") as settings, measured(self.work("bare COPY", count)):
            _copy_in(settings, copies)

    def _write_mapsets(self, settings: Settings, path: Path, count: int) -> None:
        exported = self.folder / "exported.jsonl"
        command(
            settings, self.work("export", count), "-q", "export", "mapsets", "-o", str(exported)
        )
        with exported.open(encoding="utf-8") as file, path.open("w", encoding="utf-8") as target:
            for line in file:
                row = json.loads(line)
                # Known again by producer and name, as somebody's own file has it.
                del row["id"]
                row["metadata_url"] = row["metadata_url"] or "https://example.org/metadata"
                target.write(json.dumps(row, ensure_ascii=False) + "\n")
        exported.unlink()


def _changed(path: Path, count: int) -> Path:
    """Write the first rows anew, each with another version of its data."""
    target = path.with_name("changed.jsonl")
    with path.open(encoding="utf-8") as file, target.open("w", encoding="utf-8") as output:
        for line in itertools.islice(file, count):
            row = json.loads(line)
            output.write(json.dumps({**row, "data_version": "baru"}, ensure_ascii=False) + "\n")
    return target


def _import(kind: str, path: Path) -> tuple[str, ...]:
    return "-q", "import", kind, str(path), "--json"


def _copy_out(settings: Settings, folder: Path) -> None:
    with contextlib.closing(psycopg2.connect(url_of(settings))) as connection:
        for table in TABLES:
            with (folder / table).open("wb") as file, connection.cursor() as cursor:
                cursor.copy_expert(f"COPY {table} TO STDOUT", file)


def _copy_in(settings: Settings, folder: Path) -> None:
    with contextlib.closing(psycopg2.connect(url_of(settings))) as connection:
        for table in TABLES:
            with (folder / table).open("rb") as file, connection.cursor() as cursor:
                cursor.copy_expert(f"COPY {table} FROM STDIN", file)
        connection.commit()


def table(works: list[Work]) -> str:
    """The figures as a table in Markdown."""
    lines = [
        "| Work | Rows | Seconds | Rows a second | CPU seconds | Largest process |",
        "|---|---|---|---|---|---|",
    ]
    for one in works:
        memory = f"{one.largest_process / _MEGABYTE:.0f} MB" if one.largest_process else ""
        lines.append(
            f"| {one.name} | {one.rows:,} | {one.seconds:.1f} | {one.rate:,.0f} "
            f"| {one.cpu_seconds:.1f} | {memory} |"
        )
    rates = {one.name: one.rate for one in works}
    if "bare COPY" in rates:
        ratio = rates["mapsets, first"] / rates["bare COPY"]
        lines.append(f"\nMapsets are imported at {ratio:.0%} of the rate of a bare COPY.")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mapsets", type=int, default=100_000)
    parser.add_argument("--no-regions", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="satupeta-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        servers = EmbeddedServers(folder / "servers")
        try:
            bench = Bench(servers.start(), folder)
            if not options.no_regions:
                bench.regions()
            if options.mapsets:
                bench.mapsets(options.mapsets)
        finally:
            servers.stop()
    print(table(bench.works))
    print(*(f"{one.name}: {one.outcome}" for one in bench.works if one.outcome), sep="\n")


if __name__ == "__main__":
    main()
