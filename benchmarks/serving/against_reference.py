"""One process each without any cache: ours beside the reference, with the same JSON."""

import datetime
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from benchmarks.serving import paths
from benchmarks.serving.load import Plan, Report, Request, load
from benchmarks.serving.options import Options
from benchmarks.serving.paths import Paths, Rows
from benchmarks.serving.report import Section
from benchmarks.serving.stage import Server, Stage

CLIENTS = 8
COMPARED = 15
"""Pages of each kind that are compared before they are measured."""

KINDS: Sequence[tuple[str, Paths, float, float]] = (
    ("list of 20", paths.pages, 3, 5),
    ("detail", paths.details, 2.5, 4),
    ("filtered by producer", paths.filtered_by_producer, 2.5, 4),
    ("filtered by category and state", paths.filtered_by_category, 2.5, 4),
    ("filtered by JSON, as the catalogue does", paths.filtered_by_json, 2.5, 4),
    ("search for two words", paths.pairs_of_words, 2.5, 4),
)
"""Name, paths, bar and aim."""

COLUMNS = (
    "", "", "Requests/s", "p50 ms", "p95 ms", "Server CPU ms", "PostgreSQL CPU ms", "kB", "Errors",
)  # fmt: skip


@dataclass
class Rounds:
    """The rounds of one server: rates, and CPU milliseconds a request."""

    reports: list[Report] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    postgres: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests a second, the median of the rounds."""
        return statistics.median(report.rate() for report in self.reports)

    @property
    def cpu(self) -> float:
        """CPU milliseconds a request, of the server and of PostgreSQL together."""
        return statistics.median(self.server) + statistics.median(self.postgres)

    @property
    def errors(self) -> int:
        """Of all rounds."""
        return sum(report.errors for report in self.reports)

    def cells(self) -> list[str]:
        """The figures of the round in the middle."""
        figures = sorted(self.reports, key=Report.rate)[len(self.reports) // 2].of()
        times = [figures.p50, figures.p95]
        used = [statistics.median(self.server), statistics.median(self.postgres)]
        size = f"{figures.octets / max(figures.count, 1) / 1000:.1f}"
        return [
            f"{self.rate:,.0f}",
            *(f"{value:.2f}" for value in times + used),
            size,
            str(self.errors),
        ]


def measure(stage: Stage, options: Options) -> list[Section]:
    """Measure all kinds of reads, in turns."""
    size = options.mapsets
    section = Section(
        "Beside the reference, without any cache",
        f"{size:,} mapsets, one process each, {CLIENTS} clients, in turns; CPU is that of one "
        "request.",
        columns=COLUMNS,
    )
    stage.make_reference(size)
    rows = Rows.read(stage.settings(size))
    with stage.ours(size) as ours, stage.reference(size) as reference:
        for name, make, bar, aim in KINDS:
            asked = make(rows)
            for path in asked[:COMPARED]:
                compare(ours, reference, path)
            mine, theirs = Rounds(), Rounds()
            for _ in range(options.rounds):
                for server, rounds in ((reference, theirs), (ours, mine)):
                    one_round(stage, options, server, asked, rounds)
            section.at_least(
                f"{name}: requests a second, ours / reference",
                bar,
                mine.rate / theirs.rate,
                aim=aim,
                errors=mine.errors + theirs.errors,
            )
            section.shown(f"{name}: CPU of both, ours / reference", mine.cpu / theirs.cpu)
            section.figures += [[name, "ours", *mine.cells()], ["", "reference", *theirs.cells()]]
            options.say(f"{name}: {mine.rate:,.0f} / {theirs.rate:,.0f}")
    return [section]


def one_round(
    stage: Stage, options: Options, server: Server, asked: list[str], rounds: Rounds
) -> None:
    """Warm up, if it is the first round, and measure one server."""
    requests = [Request(path) for path in asked]
    if not rounds.reports:
        load(Plan(server.port, CLIENTS, options.warmup, requests))
    used, used_there = server.cpu_seconds(), stage.postgres_cpu_seconds()
    report = load(Plan(server.port, CLIENTS, options.seconds, requests))
    count = max(report.of().count, 1)
    rounds.reports.append(report)
    rounds.server.append(1000 * (server.cpu_seconds() - used) / count)
    rounds.postgres.append(1000 * (stage.postgres_cpu_seconds() - used_there) / count)


def compare(ours: Server, reference: Server, path: str) -> None:
    """Raise AssertionError unless both give the same JSON, times as moments."""
    mine, theirs = (_normal(orjson.loads(one.ask(path)[0])) for one in (ours, reference))
    if mine != theirs:
        raise AssertionError(f"{path} differs: {_difference(mine, theirs, '')}")


def _normal(value: Any) -> Any:
    """Times as moments, and of a cursor, whose content is each server's own, only that it is."""
    if isinstance(value, dict):
        return {
            name: one is not None if name == "next_cursor" else _normal(one)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [_normal(one) for one in value]
    if isinstance(value, str) and len(value) > 19 and value[4] == "-" and value[10] == "T":
        return datetime.datetime.fromisoformat(value).timestamp()
    return value


def _difference(mine: Any, theirs: Any, place: str) -> str:
    if isinstance(mine, dict) and isinstance(theirs, dict) and mine.keys() == theirs.keys():
        pairs = [(f"{place}.{name}", mine[name], theirs[name]) for name in mine]
    elif isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        pairs = [
            (f"{place}[{number}]", *both)
            for number, both in enumerate(zip(mine, theirs, strict=True))
        ]
    else:
        return f"{place}: {mine!r} and {theirs!r}"[:500]
    return next(_difference(one, two, where) for where, one, two in pairs if one != two)
