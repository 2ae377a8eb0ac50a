"""supervisord keeps the API, by the file that administrators use, while people write."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from satupeta_server.server import parent_environment
from satupeta_server.settings import Settings
from tests.faults.test_processes import AFTER, BEFORE, stop_seconds, wait_for
from tests.faults.writers import stored_news, writing
from tests.running import ROOT, ask, free_port
from tests.serving import is_taken, wait_until

HANGING_SECONDS = 120
"""20 seconds without an answer, an end of 10, and a probe that may meet another process before."""


class Supervised:
    """A running supervisord and what it keeps."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path, port: int) -> None:
        self.process, self.folder, self.port = process, folder, port

    def all(self) -> list[psutil.Process]:
        """Everything that it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def api(self) -> list[psutil.Process]:
        """The API's processes, their parent first."""
        parent = self._running("serve")
        return [parent, *parent.children()]

    def worker(self) -> psutil.Process:
        """What does the background work."""
        return self._running("worker")

    def _running(self, command: str) -> psutil.Process:
        def is_it(process: psutil.Process) -> bool:
            with contextlib.suppress(psutil.NoSuchProcess):
                return process.cmdline()[-1:] == [command]
            return False

        # A child that has not begun its own program yet goes by its parent's command.
        return next(filter(is_it, self.all()))

    def said(self) -> str:
        """What all of it wrote."""
        logs = sorted((self.folder / "var/log").iterdir())
        return "\n".join(f"{one.name}: {one.read_text()}" for one in logs)

    def is_ready(self) -> bool:
        """Whether the API may be asked."""
        assert self.process.poll() is None, self.said()
        with contextlib.suppress(OSError):
            return ask(self.port, "/health/ready")["status"] == "ok"
        return False

    def control(self, *arguments: str) -> str:
        """What supervisorctl answers."""
        command = [sys.executable, "-m", "supervisor.supervisorctl"]
        return subprocess.run(
            [*command, "-c", ROOT / "supervisord.conf", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        ).stdout


@pytest.fixture
def supervised(settings: Settings, tmp_path: Path) -> Iterator[Callable[[], Supervised]]:
    started: list[Supervised] = []

    def start() -> Supervised:
        (tmp_path / "var/log").mkdir(parents=True, exist_ok=True)
        port = started[-1].port if started else free_port()
        environment = parent_environment(settings) | {"PORT": str(port), "WORKERS": "2"}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", ROOT / "supervisord.conf"],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
        )
        started.append(Supervised(process, tmp_path, port))
        wait_until(started[-1].is_ready, 60)
        wait_until(lambda: len(started[-1].api()) == 3)
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            for process in [psutil.Process(one.process.pid), *one.all()]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        one.process.wait()


@pytest.mark.long
def test_supervisord_serves_ends_and_starts_again_without_losing_a_write(
    supervised: Callable[[], Supervised], settings: Settings
) -> None:
    running = supervised()
    wait_until(lambda: "EXITED" in running.control("status", "migrate"), 30)
    assert "RUNNING" in running.control("status", "health")
    worker = running.worker()
    worker.kill()
    wait_until(lambda: "RUNNING" in running.control("status", "worker"), 30)
    assert running.worker() != worker
    with writing("API under supervisord killed and ended", settings, running.port) as writers:
        wait_for(writers, BEFORE)
        dead = running.api()[1]
        dead.kill()
        writers.fault_is_over()
        wait_for(writers, AFTER)
        wait_until(lambda: len(running.api()) == 3 and dead not in running.api())

        parent = running.api()[0]
        orphans = running.api()[1:]
        parent.kill()
        assert not psutil.wait_procs(orphans, timeout=stop_seconds())[1]
        wait_until(running.is_ready, 30)
        writers.fault_is_over()
        wait_for(writers, AFTER)

        watched = running.all()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(3 * stop_seconds()) == 0
        assert not psutil.wait_procs(watched, timeout=2)[1]
        assert not is_taken(running.port)
        writes = stored_news(settings).keys()
        running = supervised()
        writers.fault_is_over()
        wait_for(writers, AFTER)
        assert writes <= writers.acknowledged.keys()
    assert set(writers.statuses) == {201}
    assert "Traceback" not in running.said()


@pytest.mark.long
def test_supervisord_restarts_an_api_that_hangs(
    supervised: Callable[[], Supervised], settings: Settings
) -> None:
    running = supervised()
    with writing("API under supervisord hangs", settings, running.port) as writers:
        wait_for(writers, BEFORE)
        stuck = running.api()[1]
        stuck.suspend()
        wait_until(lambda: not stuck.is_running(), HANGING_SECONDS)
        wait_until(running.is_ready, 30)
        writers.fault_is_over()
        wait_for(writers, AFTER)
    # Who asks again while the process that hangs still holds the first attempt is told so.
    assert set(writers.statuses) <= {201, 409}
    wait_until(lambda: "api restarted" in running.said())
