"""Creations that are sent again until they are answered, while PostgreSQL dies or cuts them off."""

from tests.faults.portal import Portal
from tests.faults.test_processes import AFTER, BEFORE, wait_for
from tests.faults.writers import writing


def test_what_is_sent_again_over_a_killed_postgresql_is_created_once(portal: Portal) -> None:
    fault = "PostgreSQL killed, creations sent again"
    with writing(fault, portal.settings, portal.served.port) as writers:
        for _ in range(2):
            wait_for(writers, BEFORE)
            portal.servers.kill_database()
            portal.servers.start_database()
            writers.fault_is_over()
        wait_for(writers, AFTER)
    assert set(writers.statuses) <= {201, 503}


def test_what_is_sent_again_over_cut_connections_is_created_once(portal: Portal) -> None:
    fault = "connections cut, creations sent again"
    cut = 0
    with writing(fault, portal.settings, portal.served.port) as writers:
        while cut < 40:
            wait_for(writers, 3)
            cut += portal.servers.cut_connections()
            writers.fault_is_over()
        wait_for(writers, AFTER)
    assert set(writers.statuses) <= {201, 503}
    assert writers.statuses[503] > 0
