"""The figures of the suite, and the table of them in docs/reliability.md."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: written by make faults -->", "<!-- end of the figures -->"


@dataclass(frozen=True)
class Figure:
    """What came of one kind of fault; times in seconds."""

    name: str
    faults: int
    requests: int
    acknowledged: int
    lost: int
    recovery: float | None


figures: list[Figure] = []
"""Those of this run."""


def table() -> str:
    """Write the figures as a table, the sums at its end."""
    lines = [
        "| Fault | Injected | Requests | Writes acknowledged | Writes lost | Longest recovery |",
        "|---|---:|---:|---:|---:|---:|",
        *(_line(one) for one in figures),
    ]
    times = [one.recovery for one in figures if one.recovery is not None]
    total = Figure(
        "**all**",
        sum(one.faults for one in figures),
        sum(one.requests for one in figures),
        sum(one.acknowledged for one in figures),
        sum(one.lost for one in figures),
        max(times, default=None),
    )
    return "\n".join([*lines, _line(total)])


def _line(one: Figure) -> str:
    recovery = "–" if one.recovery is None else f"{one.recovery:.1f} s"
    counts = (one.faults, one.requests, one.acknowledged, one.lost)
    return f"| {one.name} | {' | '.join(f'{count:,}' for count in counts)} | {recovery} |"


def write() -> None:
    """Put the table between the marks."""
    text = PAGE.read_text(encoding="utf-8")
    between = re.compile(f"(?<={re.escape(BEGIN)}\n).*(?={re.escape(END)})", re.DOTALL)
    PAGE.write_text(between.sub(lambda _: table() + "\n", text), encoding="utf-8")
