"""Many clients: errors, spread of times, writes beside reads, memory; and two processes."""

import functools
import statistics
import threading
from collections.abc import Callable, Sequence

from benchmarks.serving import paths
from benchmarks.serving.load import READ, WRITE, Plan, Report, Request, load
from benchmarks.serving.options import Options
from benchmarks.serving.paths import Rows
from benchmarks.serving.report import Section
from benchmarks.serving.stage import Server, Stage

CROWDS = (2, 32, 256)
SPREAD_BAR = 10
WRITERS_CLIENTS = 32
WRITES_BAR = 0.8
READS_OF_A_WRITE = 19
MEMORY_MEGABYTES = 120
WORKERS_BAR = 1.3
_STATES = (("without a cache", False), ("with caches", True))


def measure_clients(stage: Stage, options: Options) -> list[Section]:
    """Measure lists, filtered lists and details under few and many clients."""
    section = Section(
        "Under many clients",
        f"{options.mapsets:,} mapsets, one process, lists, filtered lists and details in turn.",
        columns=("", "Clients", "Requests/s", "p50 ms", "p95 ms", "p99 ms", "Worst ms", "Errors"),
    )
    requests = _reads(stage, options.mapsets)
    for state, cache in _STATES:
        with stage.ours(options.mapsets, cache=cache) as server:
            load(Plan(server.port, 2, options.warmup, requests))
            for clients in CROWDS:
                report = load(Plan(server.port, clients, 2 * options.seconds, requests))
                _judge_crowd(section, f"{clients} clients, {state}", report)
                section.figures.append([state, str(clients), *_cells(report)])
                options.say(f"{clients} clients, {state}: {report.rate():,.0f} requests/s")
    return [section]


def _judge_crowd(section: Section, name: str, report: Report) -> None:
    figures = report.of()
    section.at_most(f"{name}: errors", 0, report.errors)
    section.at_most(f"{name}: p99 / p50", SPREAD_BAR, figures.p99 / figures.p50)


def _cells(report: Report) -> list[str]:
    figures = report.of()
    times = (figures.p50, figures.p95, figures.p99, figures.worst)
    return [f"{report.rate():,.0f}", *(f"{one:.2f}" for one in times), str(report.errors)]


def measure_writes(stage: Stage, options: Options) -> list[Section]:
    """Measure what is read a second with and without writes in between."""
    section = Section(
        "Writes among the reads",
        f"{options.mapsets:,} mapsets, one process, {WRITERS_CLIENTS} clients; one request of "
        f"{READS_OF_A_WRITE + 1} is a PATCH of a mapset by an administrator.",
        columns=("", "Reads/s alone", "Reads/s with writes", "Writes/s", "Errors"),
    )
    rows = Rows.read(stage.settings(options.mapsets))
    reads = [Request(path) for path in paths.mixture(rows)]
    for state, cache in _STATES:
        with stage.ours(options.mapsets, cache=cache) as server:
            token = stage.token(server)
            alone, mixed = [], []
            for number in range(options.rounds):
                plan = _with_writes(reads, rows, token, f"{state} {number}")
                load(Plan(server.port, WRITERS_CLIENTS, options.warmup, reads))
                alone.append(load(Plan(server.port, WRITERS_CLIENTS, options.seconds, reads)))
                mixed.append(load(Plan(server.port, WRITERS_CLIENTS, options.seconds, plan)))
        before = statistics.median(report.rate() for report in alone)
        after = statistics.median(report.rate() for report in mixed)
        writes = statistics.median(report.rate(WRITE) for report in mixed)
        errors = sum(report.errors for report in [*alone, *mixed])
        name = f"{state}: reads with writes / alone"
        section.at_least(name, WRITES_BAR, after / before, errors=errors)
        rates = (f"{rate:,.0f}" for rate in (before, after, writes))
        section.figures.append([state, *rates, str(errors)])
    return [section]


def _with_writes(reads: Sequence[Request], rows: Rows, token: str, mark: str) -> list[Request]:
    """The reads, and after each few of them a change of what no earlier one changed so."""
    headers = {"Authorization": f"Bearer {token}"}
    mixed: list[Request] = []
    for number in range(500):
        start = number * READS_OF_A_WRITE
        mixed += [reads[at % len(reads)] for at in range(start, start + READS_OF_A_WRITE)]
        body = f'{{"data_version":"{mark} {number}"}}'
        path = f"/api/mapsets/{rows.ids[number % len(rows.ids)]}"
        mixed.append(Request(path, kind=WRITE, method="PATCH", headers=headers, body=body))
    return mixed


def measure_memory(stage: Stage, options: Options) -> list[Section]:
    """Measure the memory of a process while it answers many clients on the largest database."""
    size, clients = options.sizes[-1], CROWDS[-1]
    section = Section("Memory of the server", f"{clients} clients, {size:,} mapsets, caches on.")
    rows = Rows.read(stage.settings(size))
    dear = [*paths.common_words(rows), *paths.filtered_facets(rows), *paths.suggestions(rows)]
    section.columns = ("What is asked", "Proportional (PSS), at most, MB")
    for name, requests in (
        ("lists and details", _reads(stage, size)),
        ("these, searches, facets and suggestions", [*_reads(stage, size), *map(Request, dear)]),
    ):
        with stage.ours(size, cache=True) as server:
            plan = Plan(server.port, clients, 2 * options.seconds, requests)
            resident, proportional = most_memory(server, functools.partial(load, plan))
        what = f"{name}, at {size:,} mapsets: resident, at most"
        section.at_most(what, MEMORY_MEGABYTES, resident, " MB")
        section.figures.append([name, f"{proportional:.1f}"])
    return [section]


def most_memory(server: Server, work: Callable[[], object]) -> tuple[float, float]:
    """The most resident and proportional memory that a server has during some work."""
    over, found = threading.Event(), [server.megabytes()]

    def watch() -> None:
        while not over.wait(0.2):
            found.append(server.megabytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        over.set()
        watcher.join()
    return max(one[0] for one in found), max(one[1] for one in found)


def measure_workers(stage: Stage, options: Options) -> list[Section]:
    """Measure two processes beside one, neither kept off any processor.

    The bar is for the server as it is installed. Without a cache PostgreSQL, which writes the
    JSON, leaves little of two processors to be won; how little, is shown beside it.
    """
    section = Section(
        "Two processes beside one",
        f"{options.mapsets:,} mapsets, 16 clients; the servers may use every processor. The "
        "mixture is that of many clients: lists, filtered lists and details in turn.",
        columns=("", "Processes", "Requests/s", "p50 ms", "p95 ms", "p99 ms", "Worst ms", "Errors"),
    )
    rows = Rows.read(stage.settings(options.mapsets))
    for name, asked, cache, bar in (
        ("mixture, with caches", paths.mixture(rows), True, WORKERS_BAR),
        ("details, with caches", paths.details(rows), True, WORKERS_BAR),
        ("mixture, without a cache", paths.mixture(rows), False, None),
        ("lists of 20, without a cache", paths.pages(rows), False, None),
    ):
        reports: list[tuple[Report, Report]] = []
        for _ in range(options.rounds):
            one, two = (_by(stage, options, workers, asked, cache=cache) for workers in (1, 2))
            reports.append((one, two))
        errors = sum(report.errors for both in reports for report in both)
        one, two = (_middle(found) for found in zip(*reports, strict=True))
        ratio = two.rate() / one.rate()
        if bar is None:
            section.shown(f"{name}: two / one", ratio)
        else:
            section.at_least(f"{name}: two / one", bar, ratio, errors=errors)
        section.figures += [[name, "one", *_cells(one)], [name, "two", *_cells(two)]]
    return [section]


def _by(
    stage: Stage, options: Options, workers: int, asked: Sequence[str], *, cache: bool
) -> Report:
    requests = [Request(path) for path in asked]
    with stage.ours(options.mapsets, cache=cache, workers=workers, apart=False) as server:
        load(Plan(server.port, 16, options.warmup, requests))
        return load(Plan(server.port, 16, options.seconds, requests))


def _middle(reports: Sequence[Report]) -> Report:
    return sorted(reports, key=Report.rate)[len(reports) // 2]


def _reads(stage: Stage, size: int) -> list[Request]:
    return [Request(path, kind=READ) for path in paths.mixture(Rows.read(stage.settings(size)))]
