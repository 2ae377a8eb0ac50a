"""The object store dies, freezes, crawls, is full, refuses the keys or breaks off, under load."""

import pytest

from tests.faults.faults import injected
from tests.faults.gate import Gate
from tests.faults.portal import Portal

DOWN = frozenset({"storage"})
CUT = frozenset({"download"})
RECORDS = frozenset({"read", "write"})
ALL_BUT_UPLOADS = frozenset({"read", "write", "download", "ready"})
# The store's own times: two tries of 10 s each, which do not hold up anything else.
STORE_DEADLINE_SECONDS = 30


def gate_of(portal: Portal) -> Gate:
    assert portal.gates is not None
    return portal.gates.store


def test_a_dead_object_store(portal: Portal) -> None:
    with (
        injected("object store down", portal, down=DOWN, goes_on=RECORDS, may_cut=CUT) as fault,
        fault.lasting(),
    ):
        portal.servers.kill_store()
        fault.stay(2.5)
        portal.servers.start_store()


def test_an_object_store_with_other_keys(portal: Portal) -> None:
    with (
        injected(
            "object store with other keys", portal, down=DOWN, goes_on=RECORDS, may_cut=CUT
        ) as fault,
        fault.lasting(),
    ):
        portal.servers.kill_store()
        portal.servers.start_store("another-secret-key-of-the-tests")
        fault.is_complete()
        fault.stay(2.5)
        portal.servers.kill_store()
        portal.servers.start_store()


@pytest.mark.long
def test_a_slow_object_store(gated: Portal) -> None:
    with injected("object store slow", gated, goes_on=RECORDS) as fault, fault.lasting():
        gate_of(gated).delay = 0.4
        fault.stay(3)
        gate_of(gated).delay = 0


def test_a_full_object_store(gated: Portal) -> None:
    with injected("object store full", gated, goes_on=ALL_BUT_UPLOADS) as fault, fault.lasting():
        gate_of(gated).is_full = True
        fault.stay(2.5)
        gate_of(gated).is_full = False


def test_an_object_store_that_dies_in_mid_upload(gated: Portal) -> None:
    with (
        injected("object store gone in mid-upload", gated, goes_on=ALL_BUT_UPLOADS) as fault,
        fault.lasting(),
    ):
        # Small files still go through: the large ones break off in their middle.
        gate_of(gated).cut_upload = 100_000
        fault.stay(2.5)
        gate_of(gated).heal()


def test_an_object_store_that_dies_in_mid_download(gated: Portal) -> None:
    cut = injected("object store gone in mid-download", gated, goes_on=RECORDS, may_cut=CUT)
    with cut as fault, fault.lasting():
        gate_of(gated).cut_download = 60_000
        fault.stay(2.5)
        gate_of(gated).heal()


@pytest.mark.long
def test_a_frozen_object_store(portal: Portal) -> None:
    frozen = portal.servers.frozen("object store")
    with (
        injected(
            "object store frozen",
            portal,
            down=DOWN,
            goes_on=RECORDS,
            may_cut=CUT,
            deadline=STORE_DEADLINE_SECONDS,
        ) as fault,
        fault.lasting(),
        frozen,
    ):
        fault.stay(25)
