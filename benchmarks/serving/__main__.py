"""``python -m benchmarks.serving``: measure what is asked for and write the table."""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.serving import against_reference, caches, catalogue, crowds, sizes
from benchmarks.serving.load import processors
from benchmarks.serving.options import Options
from benchmarks.serving.report import Row, Section, document
from benchmarks.serving.stage import ROOT, SAMPLE, Stage

RESULTS = ROOT / "benchmarks" / "RESULTS.md"

Measure = Callable[[Stage, Options], list[Section]]

MEASUREMENTS: dict[str, Measure] = {
    "reference": against_reference.measure,
    "caches": caches.measure,
    "catalogue": catalogue.measure,
    "clients": crowds.measure_clients,
    "writes": crowds.measure_writes,
    "workers": crowds.measure_workers,
    "sizes": sizes.measure,
    "memory": crowds.measure_memory,
}
MILLION = 1_000_000
ON_THE_SAMPLE = {"caches", "catalogue"}
ON_ALL_SIZES = {"sizes", "memory"}


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks.serving", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(MEASUREMENTS), help="only this, printed, not kept"
    )
    parser.add_argument("--mapsets", type=int, default=10_000, help="rows of the usual database")
    parser.add_argument("--million", action="store_true", help="measure a million mapsets, too")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--seconds", type=float, default=4, help="of one round")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep the databases there for repeated runs"
    )
    chosen = parser.parse_args()
    sizes_compared = (chosen.mapsets, 10 * chosen.mapsets, *([MILLION] if chosen.million else []))
    options = Options(chosen.mapsets, sizes_compared, chosen.rounds, chosen.seconds)
    names = chosen.only or list(MEASUREMENTS)
    text = document(_run(names, options, chosen.keep), _facts(options))
    if chosen.only:
        print(text)
    else:
        RESULTS.write_text(text, encoding="utf-8")


def _run(names: list[str], options: Options, keep: Path | None) -> list[Section]:
    with _folder(keep) as folder:
        stage = Stage(folder)
        try:
            stage.prepare(_databases(names, options))
            return [section for name in names for section in _measured(name, stage, options)]
        finally:
            stage.stop()


def _measured(name: str, stage: Stage, options: Options) -> list[Section]:
    """Measure one thing; where that fails, the table says so, and the others are measured."""
    print(name, file=sys.stderr, flush=True)
    try:
        return MEASUREMENTS[name](stage, options)
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        print(f"  {error}", file=sys.stderr, flush=True)
        return [Section(name, rows=[Row("could not be measured", "", str(error), is_met=False)])]


def _databases(names: list[str], options: Options) -> list[int]:
    """The sizes of the databases that are needed."""
    needed = {options.mapsets}
    if ON_THE_SAMPLE.intersection(names):
        needed.add(SAMPLE)
    if ON_ALL_SIZES.intersection(names):
        needed.update(options.sizes)
    return sorted(needed)


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="satupeta-bench-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _facts(options: Options) -> list[str]:
    servers, load = processors()
    apart = "apart from each other" if servers != load else "on the same one"
    return [
        f"Rounds: {options.rounds} of {options.seconds:g} s, of which the median counts",
        f"API servers on processors {servers}, the load on {load}: {apart}; "
        "PostgreSQL on all of them, so it shares one with the load",
    ]


if __name__ == "__main__":
    main()
