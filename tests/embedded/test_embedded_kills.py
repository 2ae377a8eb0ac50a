"""kill -9, and what the next start makes of what it finds."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from satupeta_server.embedded import DataFolderLock, EmbeddedServers
from satupeta_server.embedded.account import choose_account
from satupeta_server.embedded.lock import LOCK_FILE_NAME

MakeServers = Callable[..., EmbeddedServers]


def test_kill_of_everything_loses_no_row_and_no_object(
    run: MakeServers, parent: Callable[..., Any], tools: Any, data_dir: Path
) -> None:
    first = parent()
    tools.query(first.addresses.database_url, "CREATE TABLE t AS SELECT 'peta' AS name")
    tools.store(first.addresses).make_bucket("files")
    tools.store(first.addresses).put_object("files", "key", io.BytesIO(b"isi"), 3)
    everything = psutil.Process(first.process.pid).children(recursive=True)
    # All at one instant: a stopped parent cannot tidy up.
    for process in everything:
        process.send_signal(signal.SIGSTOP)
    for process in everything:
        process.kill()
    first.kill()
    assert not tools.wait_ended(everything)

    second = run().start()
    assert tools.query(second.database_url, "SELECT name FROM t") == [("peta",)]
    with tools.store(second).get_object("files", "key") as response:
        assert response.read() == b"isi"


@pytest.mark.parametrize("record", ["kept", "lost"])
def test_orphans_of_a_killed_parent_are_ended_by_the_next_start(
    run: MakeServers, parent: Callable[..., Any], tools: Any, data_dir: Path, record: str
) -> None:
    first = parent(without_death_signal=True)
    tools.query(first.addresses.database_url, "CREATE TABLE t AS SELECT 1 AS one")
    orphans = [psutil.Process(pid) for pid in first.children.values()]
    assert len(orphans) == 2
    first.kill()
    assert all(orphan.is_running() for orphan in orphans)
    if record == "lost":
        (data_dir / LOCK_FILE_NAME).write_text("damaged")

    second = run().start()
    assert not tools.wait_ended(orphans)
    assert tools.query(second.database_url, "SELECT one FROM t") == [(1,)]


def test_servers_end_with_a_killed_parent_where_the_kernel_helps(
    run: MakeServers, parent: Callable[..., Any], tools: Any, data_dir: Path
) -> None:
    first = parent()
    children = tools.running_in(data_dir)
    assert len(children) > 2
    first.kill()
    if sys.platform == "linux":
        assert not tools.wait_ended(children)
    run(object_store=False).start()
    assert not tools.wait_ended(children)


@pytest.mark.parametrize("moment", ["initdb", "PostgreSQL"])
def test_a_kill_in_the_middle_of_the_first_start_leaves_nothing_half_made(
    run: MakeServers, parent: Callable[..., Any], tools: Any, data_dir: Path, moment: str
) -> None:
    assert parent(die_in=moment) is None
    addresses = run(object_store=False).start()
    assert tools.query(addresses.database_url, "SELECT 1") == [(1,)]
    names = [entry.name for entry in (data_dir / "embedded" / "database").iterdir()]
    assert names == ["cluster"]


def test_a_stale_postmaster_file_that_names_another_process_confuses_nobody(
    run: MakeServers, tools: Any, data_dir: Path
) -> None:
    servers = run(object_store=False)
    servers.start()
    cluster = data_dir / "embedded" / "database" / "cluster"
    lines = (cluster / "postmaster.pid").read_text().splitlines()
    servers.stop()
    account = choose_account(cluster)
    bystander = subprocess.Popen(
        ["/bin/sleep", "60"],
        user=account.user,
        group=account.group,
        extra_groups=account.extra_groups,
        cwd="/",
    )
    try:
        (cluster / "postmaster.pid").write_text("\n".join([str(bystander.pid), *lines[1:], ""]))
        addresses = run(object_store=False).start()
        assert tools.query(addresses.database_url, "SELECT 1") == [(1,)]
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_reused_process_number_is_never_killed(data_dir: Path) -> None:
    bystander = subprocess.Popen(["/bin/sleep", "60"])
    try:
        with DataFolderLock(data_dir) as lock:
            lock.register_child("worker", bystander.pid)
            record = json.loads((data_dir / LOCK_FILE_NAME).read_text())
        record["children"][0]["created"] -= 3600
        (data_dir / LOCK_FILE_NAME).write_text(json.dumps(record))
        with DataFolderLock(data_dir) as lock:
            assert lock.unclean
            assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_worker_that_a_killed_parent_left_is_ended_though_it_inherited_the_lock(
    data_dir: Path, tools: Any
) -> None:
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        lock = DataFolderLock(data_dir)
        lock.acquire()
        worker = os.fork()
        if worker == 0:
            signal.pause()
        lock.register_child("API worker", worker)
        os.write(writing, str(worker).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(writing)
    os.waitpid(parent, 0)
    worker = psutil.Process(int(os.read(reading, 20)))
    os.close(reading)
    assert worker.is_running()

    said: list[str] = []
    with DataFolderLock(data_dir, say=said.append):
        assert not tools.wait_ended([worker])
    assert any("API worker" in sentence for sentence in said)


def test_a_clean_release_leaves_nothing_to_end(data_dir: Path) -> None:
    lock = DataFolderLock(data_dir)
    lock.acquire()
    lock.register_child("worker", os.getpid())
    lock.forget_child(os.getpid())
    lock.release()
    lock.release()
    with DataFolderLock(data_dir) as again:
        assert not again.unclean
