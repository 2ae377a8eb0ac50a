"""The API's processes end and die while people write."""

import configparser
import re
import signal
import time

import psutil
import pytest

from satupeta_server.server import CLOSE_SECONDS, GRACE_SECONDS
from satupeta_server.settings import Settings
from tests.faults.writers import Writers, stored_news, writing
from tests.running import ROOT
from tests.serving import Served, Start, is_taken, wait_until

BEFORE, AFTER = 30, 30
"""Writes before and after the fault."""
BACK_SECONDS = 3


def stop_seconds() -> float:
    """The time that supervisord grants to the end."""
    supervised = configparser.ConfigParser(inline_comment_prefixes=(";",))
    supervised.read(ROOT / "supervisord.conf")
    assert supervised["program:api"]["stopsignal"] == "TERM"
    return supervised.getfloat("program:api", "stopwaitsecs")


def test_the_time_of_grace_is_within_what_supervisord_grants() -> None:
    # A worker needs grace and three parts to close, and its parent at most a watch besides.
    assert stop_seconds() > GRACE_SECONDS + 4 * CLOSE_SECONDS


def wait_for(writers: Writers, count: int, seconds: float = 20) -> None:
    goal = len(writers.acknowledged) + count
    wait_until(lambda: len(writers.acknowledged) >= goal, seconds)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_end_under_load_answers_what_is_under_way_and_refuses_the_rest(
    start: Start, settings: Settings, workers: str
) -> None:
    served = start(settings, WORKERS=workers)
    with writing("API ended by SIGTERM", settings, served.port) as writers:
        wait_for(writers, BEFORE)
        assert served.end() < stop_seconds()
        wait_until(lambda: writers.failures["ConnectionRefusedError"] > 10)
    assert set(writers.statuses) == {201}
    # Whatever was begun was answered.
    assert stored_news(settings).keys() == writers.acknowledged.keys()
    assert not is_taken(served.port)
    assert "Traceback" not in served.said.read_text()


def test_a_worker_that_is_killed_loses_nothing_and_comes_back(
    start: Start, settings: Settings
) -> None:
    served = start(settings, WORKERS="2")
    with writing("API process killed", settings, served.port) as writers:
        wait_for(writers, BEFORE)
        dead = served.all()[1]
        dead.kill()
        writers.fault_is_over()
        wait_for(writers, AFTER)
        wait_until(lambda: len(served.all()) == 3 and dead not in served.all(), BACK_SECONDS)
        wait_for(writers, AFTER)
    assert set(writers.statuses) == {201}
    served.end()


def test_nothing_holds_the_port_when_the_parent_is_killed(start: Start, settings: Settings) -> None:
    served = start(settings, WORKERS="2")
    with writing("API's parent killed", settings, served.port) as writers:
        wait_for(writers, BEFORE)
        left = served.all()
        served.process.kill()
        served.process.wait()
        assert not psutil.wait_procs(left, timeout=stop_seconds())[1]
        assert not is_taken(served.port)
    assert set(writers.statuses) == {201}


def kill_all(served: Served) -> None:
    """Kill the parent first, so that it starts nothing anew."""
    for process in served.all():
        process.send_signal(signal.SIGKILL)
    served.process.wait()


def test_after_all_were_killed_a_new_start_goes_on_where_they_were(
    start: Start, settings: Settings
) -> None:
    served = start(settings, WORKERS="2")
    with writing("all API processes killed", settings, served.port) as writers:
        for _ in range(2):
            wait_for(writers, BEFORE)
            kill_all(served)
            wait_until(lambda: not is_taken(writers.port))
            served = start(settings, WORKERS="2", PORT=str(writers.port))
            writers.fault_is_over()
        wait_for(writers, AFTER)
    assert set(writers.statuses) == {201}
    served.end()


@pytest.mark.long
def test_ends_under_load_one_after_the_other(start: Start, settings: Settings) -> None:
    served = start(settings, WORKERS="2")
    port = served.port
    with writing("API ended and started again", settings, port) as writers:
        for number in range(10):
            wait_for(writers, 10 + number)
            assert served.end() < stop_seconds()
            assert stored_news(settings).keys() == writers.acknowledged.keys()
            served = start(settings, WORKERS="2", PORT=str(port))
            writers.fault_is_over()
        wait_for(writers, AFTER)
    assert set(writers.statuses) == {201}


@pytest.mark.long
def test_workers_that_are_killed_again_and_again_create_nothing_twice(
    start: Start, settings: Settings
) -> None:
    served = start(settings, WORKERS="3")
    with writing("API processes killed again and again", settings, served.port) as writers:
        for number in range(40):
            wait_for(writers, 5)
            workers = [one for one in served.all()[1:] if one.is_running()]
            workers[number % len(workers)].kill()
            writers.fault_is_over()
            time.sleep(0.05)
        wait_for(writers, AFTER)
    assert set(writers.statuses) == {201}
    assert not re.search("Traceback", served.said.read_text())
