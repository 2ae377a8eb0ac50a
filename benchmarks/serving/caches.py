"""With caches: public pages that are read again and again, beside a bare Tornado handler."""

import statistics
from collections.abc import Sequence

from benchmarks.serving import paths
from benchmarks.serving.load import Plan, Request, load
from benchmarks.serving.options import Options
from benchmarks.serving.paths import Paths, Rows
from benchmarks.serving.report import Section
from benchmarks.serving.stage import SAMPLE, Server, Stage

CLIENTS = 16
FULL_BAR = 0.6
UNCHANGED_BAR = 0.8

KINDS: Sequence[tuple[str, Paths]] = (
    ("landing", paths.landing),
    ("the landing's statistic", paths.statistic),
    ("catalogue groups", paths.groups),
)


def measure(stage: Stage, options: Options) -> list[Section]:
    """Measure whole answers and answers that say that nothing changed."""
    section = Section(
        "Public pages read again and again, with caches",
        f"The sample of {SAMPLE} mapsets, one process each, {CLIENTS} clients. The bare handler "
        "returns the same bytes and type; it makes no entity tag and writes no log.",
        columns=("Requests/s", "Bare handler", "Ours", "Ours, If-None-Match", "kB"),
    )
    rows = Rows.read(stage.settings(SAMPLE))
    for name, make in KINDS:
        asked = make(rows)
        with stage.ours(SAMPLE, cache=True) as ours:
            answers = {path: ours.ask(path) for path in asked}
            pages = {path: (body, head["Content-Type"]) for path, (body, head) in answers.items()}
            whole = [Request(path) for path in asked]
            unchanged = [
                Request(path, 304, headers={"If-None-Match": head["ETag"]})
                for path, (_, head) in answers.items()
            ]
            with stage.bare(pages) as bare:
                plans = ((bare, whole), (ours, whole), (ours, unchanged))
                full, mine, tags = _rates(options, plans)
        section.at_least(f"{name}: ours / bare handler", FULL_BAR, mine / full)
        section.at_least(f"{name}: If-None-Match / bare handler", UNCHANGED_BAR, tags / full)
        size = statistics.mean(len(body) for body, _ in answers.values()) / 1000
        rates = (f"{rate:,.0f}" for rate in (full, mine, tags))
        section.figures.append([name, *rates, f"{size:.1f}"])
    return [section]


def _rates(
    options: Options, plans: Sequence[tuple[Server, Sequence[Request]]]
) -> tuple[float, ...]:
    """Requests a second of each plan, the median of rounds in turns; raises on any error."""
    rates: list[list[float]] = [[] for _ in plans]
    for _ in range(options.rounds):
        for found, (server, requests) in zip(rates, plans, strict=True):
            load(Plan(server.port, CLIENTS, options.warmup, requests))
            report = load(Plan(server.port, CLIENTS, options.seconds, requests))
            if report.errors:
                raise AssertionError(report.statuses)
            found.append(report.rate())
    return tuple(statistics.median(found) for found in rates)
