"""PostgreSQL dies, freezes, fills up, cuts connections or refuses them, under load."""

import signal

import pytest

from tests.faults.faults import injected
from tests.faults.portal import Portal

DOWN = frozenset({"database", "migrations"})


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


@pytest.mark.long
def test_a_postgresql_that_is_killed_again_and_again(portal: Portal) -> None:
    with injected("PostgreSQL killed again and again", portal) as fault:
        for _ in range(10):
            with fault.lasting():
                portal.servers.kill_database()
                portal.servers.start_database()
            fault.stay(0.7)
