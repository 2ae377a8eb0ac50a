"""Progress of long work: a bar on standard error, where that is a terminal."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress(
    description: str, total: float | None = None, *, is_quiet: bool = False, unit: str = "rows"
) -> Iterator[Callable[[float], None]]:
    """Show a bar and give the function that advances it; ``total`` None is an unknown end.

    ``unit`` is ``rows``, ``objects`` and the like, or ``bytes``, which are shown as sizes.
    """
    if is_quiet or not sys.stderr.isatty():
        yield lambda _amount: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    count: tuple[ProgressColumn, ...] = (MofNCompleteColumn(), TextColumn(unit))
    if unit == "bytes":
        count = (DownloadColumn(),)
    columns = (TextColumn("{task.description}"), BarColumn(), *count, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda amount: bar.advance(task, amount)
