"""A backup that is made while all write, after which everything is destroyed, restores it all."""

import copy
import secrets
import time
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.cli.test_db_backup import NAME, destroy, objects, rows
from tests.faults.figures import Figure, figures
from tests.faults.load import Load
from tests.faults.portal import fault_settings, serving
from tests.faults.servers import Breakable
from tests.faults.stored import Acknowledged, Known, half_written, lost
from tests.world import World

ONLY_ADDED = ("categories", "files", "mapset_histories", "mapset_revisions", "mapset_sources")
"""Tables whose rows the load adds and never changes."""


@pytest.mark.long
def test_all_that_was_acknowledged_is_restored_elsewhere(
    servers: Breakable, fault_world: World, tmp_path: Path
) -> None:
    place = f"elsewhere_{secrets.token_hex(4)}"
    with serving(servers, fault_world, tmp_path) as portal:
        program = Program(portal.settings, tmp_path)
        with portal.load() as load:
            assert load.wait_for_full_service(time.monotonic(), 20)
            time.sleep(3)
            acknowledged, before = copy.deepcopy(load.acknowledged), rows(portal.settings)
            program("db", "backup", NAME)
            assert load.acknowledged.writes > acknowledged.writes
        after, stored = rows(portal.settings), objects(portal.settings)
        destroy(portal.settings)
        assert rows(portal.settings) == {}
        servers.command(f"CREATE DATABASE {place} OWNER satupeta")
        elsewhere = fault_settings(servers, place, place.replace("_", "-"))
        Program(elsewhere, tmp_path)("db", "restore", NAME)
        found, kept = rows(elsewhere), objects(elsewhere)
        follow(acknowledged, load)
        gone = lost(elsewhere, acknowledged)
        broken = half_written(elsewhere)
    servers.command(f"DROP DATABASE {place} WITH (FORCE)")
    figures.append(
        Figure(
            "all destroyed, restored from a backup made under load",
            1,
            len(load.requests),
            acknowledged.writes,
            len(gone),
            None,
        )
    )
    assert not gone
    assert not broken
    assert not load.wrong
    for table in ONLY_ADDED:
        assert set(before[table]) <= set(found[table]) <= set(after[table]), table
    assert all(kept[name] == stored[name] for name in kept)
    assert len(kept) == len(found["files"])


def follow(acknowledged: Acknowledged, load: Load) -> None:
    """Allow for what became of the records while the backup was made."""
    later = {one.id: one for one in (*load.acknowledged.mapsets, *load.acknowledged.categories)}
    known: Known
    for known in acknowledged.mapsets:
        now = later[known.id]
        known.names |= now.names
        known.may_be_deleted |= now.may_be_deleted or now.is_deleted
