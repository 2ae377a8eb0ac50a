"""Servers of a killed run that no record names: found by the folder that they work in."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

from satupeta_server.embedded.processes import Steps, Target, end_all

_PROGRAMS = frozenset({"postgres", "initdb", "weed"})
# A backend whose postmaster died ends by itself within moments; one busy with a query may not.
_KILL: Steps = ((0, signal.SIGKILL),)
_SHUT_DOWN: Steps = ((0, signal.SIGINT), (10, signal.SIGKILL))
_KILL_AFTER_GRACE: Steps = ((0.5, signal.SIGKILL),)


def end_strays(home: Path, postmaster: int | None) -> int:
    """End every server that works in `home`, and say how many there were.

    `postmaster` is the number in the file `postmaster.pid`, which is believed only when that
    process is such a server. To be called by the holder of the lock alone, whose servers do not
    run yet.
    """
    strays = list(_working_in(home))
    backends = [process for process in strays if process.info["name"] == "postgres"]
    parents = [process for process in backends if process.pid == postmaster]
    others = [process for process in strays if process not in backends]
    end_all(
        [Target.of(process, _SHUT_DOWN) for process in parents]
        + [Target.of(process, _KILL) for process in others]
    )
    # Backends end with their postmaster; a signal to them before that would disturb it.
    end_all([Target.of(process, _KILL_AFTER_GRACE) for process in backends])
    return len(strays)


def _working_in(home: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["name"]):
        if process.info["name"] not in _PROGRAMS:
            continue
        try:
            folder = Path(process.cwd())
        except (psutil.Error, OSError):
            continue
        if folder.is_relative_to(home):
            yield process
