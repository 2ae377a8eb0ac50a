"""Flat in size: the same requests on few and on many mapsets, cold and warm."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import orjson

from benchmarks.serving import paths
from benchmarks.serving.load import Figures, Plan, Request, load
from benchmarks.serving.options import Options
from benchmarks.serving.paths import PAGE, Paths, Rows
from benchmarks.serving.report import Section
from benchmarks.serving.stage import Server, Stage

COLD = 20
"""Requests after a restart."""
WARM = 300
_CURSORS = 30
COLUMNS = ("Times in ms", "State", "Mapsets", "p50", "p95", "Worst", "Requests", "Errors")


@dataclass(frozen=True)
class Kind:
    """A kind of request with its bars; times in milliseconds, at the largest size."""

    name: str
    make: Paths | None
    """None for a keyset page, whose paths the server gives."""
    ratio: float | None = None
    """Of p95 at the largest size to p95 at the smallest."""
    p95: float | None = None
    slowest: float | None = None
    hits: range | None = None
    """Leave out what finds fewer or more."""


KINDS = (
    Kind("list of 20", paths.pages, 1.5),
    Kind("detail", paths.details, 1.5),
    Kind("keyset page", None, 1.5),
    Kind("selective search", paths.selective_searches, 1.5, hits=range(100, 1001)),
    Kind("the same two words", paths.pairs_of_words, hits=range(1, 1001)),
    Kind("common filters with totals", paths.totals, 5),
    Kind("facets", paths.facets, 5),
    Kind("facets beside a filter", paths.filtered_facets, 5),
    Kind("common word", paths.common_words, 10, slowest=300),
    Kind("two common words", paths.common_pairs),
    Kind("a past year", paths.past_years),
    Kind("rare combination of filters", paths.rare_filters, 10, slowest=300),
    Kind("the same without a producer or category", paths.rare_by_size, 10, slowest=300),
    Kind("any rare combination", paths.any_filters, 10, slowest=300, hits=range(1001)),
    Kind("suggestions", paths.suggestions, p95=10),
    Kind("suggestions for mistyped words", paths.mistyped, p95=10),
)


@dataclass(frozen=True)
class Found:
    """What one kind took at one size."""

    cold: Figures
    warm: Figures


def measure(stage: Stage, options: Options) -> list[Section]:
    """Measure each kind at each size, by one client, without the cache."""
    section = Section(
        f"Flat in size, from {options.sizes[0]:,} to {options.sizes[-1]:,} mapsets",
        f"One client, without any result cache, exact totals included; p95 of {COLD} requests "
        f"right after a restart of PostgreSQL and of the server (cold; the system's own file "
        f"cache remains) and of {WARM} further ones (warm), the median of the rounds.",
        columns=COLUMNS,
    )
    for kind in KINDS:
        found = {size: _at_size(stage, options, size, kind) for size in options.sizes}
        for state in ("cold", "warm"):
            figures = {size: getattr(one, state) for size, one in found.items()}
            _judge(section, kind, state, list(figures.values()))
            section.figures += [
                _cells(kind.name, state, size, one) for size, one in figures.items()
            ]
        options.say(f"{kind.name}: {[round(one.warm.p95, 2) for one in found.values()]} ms")
    return [section]


def _judge(section: Section, kind: Kind, state: str, figures: Sequence[Figures]) -> None:
    first, last = figures[0], figures[-1]
    errors = sum(one.errors for one in figures)
    for what, bar, value, unit in (
        ("p95, largest / smallest", kind.ratio, last.p95 / first.p95, ""),
        ("p95 of the largest", kind.p95, last.p95, " ms"),
        ("slowest of the largest", kind.slowest, last.worst, " ms"),
    ):
        if bar is not None:
            name = f"{kind.name}, {state}: {what}"
            section.at_most(name, bar, value, unit, errors=errors)


def _cells(name: str, state: str, size: int, one: Figures) -> list[str]:
    times = (f"{value:.2f}" for value in (one.p50, one.p95, one.worst))
    return [name, state, f"{size:,}", *times, str(one.count), str(one.errors)]


def _at_size(stage: Stage, options: Options, size: int, kind: Kind) -> Found:
    rows = Rows.read(stage.settings(size))
    with stage.ours(size) as server:
        asked = _keyset_pages(server) if kind.make is None else kind.make(rows)
        if kind.hits is not None:
            asked = [path for path in asked if _total(server, path) in kind.hits]
    requests = [Request(path) for path in asked]
    rounds = [_from_cold(stage, options, size, requests) for _ in range(options.rounds)]
    return Found(*(_middle(figures) for figures in zip(*rounds, strict=True)))


def _from_cold(
    stage: Stage, options: Options, size: int, requests: Sequence[Request]
) -> tuple[Figures, Figures]:
    stage.restart()
    with stage.ours(size) as server:
        cold = load(Plan(server.port, 1, options.longest, requests, most=COLD))
        following = [*requests[COLD:], *requests[:COLD]]
        warm = load(Plan(server.port, 1, options.longest, following, most=WARM))
    return cold.of(), warm.of()


def _middle(rounds: Sequence[Figures]) -> Figures:
    """The round whose p95 is the median; one with an error stands for all."""
    wrong = [figures for figures in rounds if figures.errors]
    if wrong:
        return wrong[0]
    return sorted(rounds, key=lambda figures: figures.p95)[len(rounds) // 2]


def _total(server: Server, path: str) -> int:
    total: int = orjson.loads(server.ask(path)[0])["total"]
    return total


def _keyset_pages(server: Server) -> list[str]:
    """Pages after the cursors of one walk, which begins somewhere inside the list."""
    found, path = [], paths.mapsets(limit=PAGE, offset=1_000)
    for _ in range(_CURSORS):
        cursor = orjson.loads(server.ask(path)[0])["next_cursor"]
        if cursor is None:
            break
        path = f"{paths.mapsets(limit=PAGE)}&cursor={quote(cursor)}"
        found.append(path)
    return found or [paths.mapsets(limit=PAGE)]
