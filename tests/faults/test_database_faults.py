"""PostgreSQL dies, freezes, fills up, cuts connections or refuses them, under load."""

import contextlib
import signal
from pathlib import Path

import pytest

from tests.faults.faults import injected
from tests.faults.portal import Portal, serving
from tests.faults.servers import Breakable
from tests.world import World

DOWN = frozenset({"database", "migrations"})
READS = frozenset({"read", "download", "ready"})


def test_a_killed_postgresql(portal: Portal) -> None:
    with injected("PostgreSQL killed", portal, down=DOWN) as fault, fault.lasting():
        portal.servers.kill_database()
        fault.stay(2.5)
        portal.servers.start_database()


def test_a_restarted_postgresql(portal: Portal) -> None:
    with injected("PostgreSQL restarted", portal) as fault, fault.lasting():
        portal.servers.end("PostgreSQL", signal.SIGINT)
        portal.servers.start_database()


def test_a_frozen_postgresql(portal: Portal) -> None:
    frozen = portal.servers.frozen("PostgreSQL")
    with injected("PostgreSQL frozen", portal, down=DOWN) as fault, fault.lasting(), frozen:
        fault.stay(3)


def test_connections_cut_in_mid_transaction(portal: Portal) -> None:
    cut = 0
    with injected("connections cut by PostgreSQL", portal) as fault:
        with fault.lasting(0):
            for _ in range(60):
                cut += portal.servers.cut_connections()
                fault.stay(0.03)
        fault.count = cut
    assert cut > 10


def test_connections_reset_on_the_way(gated: Portal) -> None:
    assert gated.gates is not None
    with injected("connections reset on the way", gated) as fault, fault.lasting(10):
        for _ in range(10):
            gated.gates.database.reset()
            fault.stay(0.2)


def test_no_connection_is_free(portal: Portal) -> None:
    used_up = portal.servers.no_free_connection()
    with injected("out of connections", portal, down=DOWN) as fault, fault.lasting(), used_up:
        fault.is_complete()
        fault.stay(2.5)


def test_a_read_only_postgresql(portal: Portal) -> None:
    read_only = portal.servers.read_only()
    with (
        injected("PostgreSQL read-only", portal, goes_on=READS) as fault,
        fault.lasting(),
        read_only,
    ):
        fault.stay(2)
    assert fault.refused("write") > 0


def test_a_full_disk(servers: Breakable, fault_world: World, tmp_path: Path) -> None:
    with (
        servers.small_disk(48, tmp_path / "small") as small,
        serving(servers, fault_world, tmp_path, tablespace="small") as portal,
    ):
        with injected("disk of PostgreSQL full", portal, goes_on=READS) as fault, fault.lasting():
            ballast = fill(small)
            fault.stay(3)
            ballast.unlink()
        assert fault.refused("write") > 0


def fill(folder: Path) -> Path:
    """Leave no room in a file system."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast


@pytest.mark.long
def test_a_postgresql_that_is_killed_again_and_again(portal: Portal) -> None:
    with injected("PostgreSQL killed again and again", portal) as fault:
        for _ in range(10):
            with fault.lasting():
                portal.servers.kill_database()
                portal.servers.start_database()
            fault.stay(0.7)
