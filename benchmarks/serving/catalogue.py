"""Opening the portal's catalogue: all its groups are asked for at once (contract, 6.1)."""

import statistics
from collections.abc import Sequence
from itertools import cycle, islice

from benchmarks.serving import paths
from benchmarks.serving.load import Plan, Request, load
from benchmarks.serving.options import Options
from benchmarks.serving.paths import Rows
from benchmarks.serving.report import Section
from benchmarks.serving.stage import SAMPLE, Server, Stage

AT_ONCE = 200
BAR_MILLISECONDS = 300
_ROUNDS = 5


def measure(stage: Stage, options: Options) -> list[Section]:
    """Measure the time until the last group is there, connections included."""
    section = Section(
        "Opening the catalogue",
        f"The sample of {SAMPLE} mapsets, one process; from the first connection to the last "
        f"answer, the median and the worst of {_ROUNDS} rounds. Cold is a server that has just "
        "been started.",
        columns=("ms", "Requests at once", "Median", "Worst", "Errors"),
    )
    asked = paths.groups(Rows.read(stage.settings(SAMPLE)))
    for amount in (2 * len(asked), AT_ONCE):
        requests = [Request(path) for path in islice(cycle(asked), amount)]
        for state, rounds in (
            ("cold, with caches", _cold(stage, requests)),
            ("warm, with caches", _warm(stage, requests, cache=True)),
            ("warm, without a cache", _warm(stage, requests, cache=False)),
        ):
            _add(section, state, amount, rounds)
            options.say(f"{amount} at once, {state}: {statistics.median(rounds[0]):.0f} ms")
    return [section]


Rounds = tuple[list[float], int]
"""Milliseconds of each, and how many errors there were in all."""


def _add(section: Section, state: str, amount: int, rounds: Rounds) -> None:
    times, errors = rounds
    middle, worst = statistics.median(times), max(times)
    name = f"{amount} at once, {state}"
    section.at_most(f"{name}: median", BAR_MILLISECONDS, middle, " ms", errors=errors)
    section.at_most(f"{name}: worst", BAR_MILLISECONDS, worst, " ms", errors=errors)
    section.figures.append([state, str(amount), f"{middle:.0f}", f"{worst:.0f}", str(errors)])


def _cold(stage: Stage, requests: Sequence[Request]) -> Rounds:
    times, errors = [], 0
    for _ in range(_ROUNDS):
        with stage.ours(SAMPLE, cache=True) as server:
            taken, wrong = _open(server, requests)
        times.append(taken)
        errors += wrong
    return times, errors


def _warm(stage: Stage, requests: Sequence[Request], *, cache: bool) -> Rounds:
    with stage.ours(SAMPLE, cache=cache) as server:
        _open(server, requests)
        opened = [_open(server, requests) for _ in range(_ROUNDS)]
    return [taken for taken, _ in opened], sum(wrong for _, wrong in opened)


def _open(server: Server, requests: Sequence[Request]) -> tuple[float, int]:
    amount = len(requests)
    report = load(Plan(server.port, amount, 30, requests, most=amount))
    return 1000 * report.seconds, report.errors
