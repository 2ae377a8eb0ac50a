"""A database without any row for each test of the seed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from satupeta_server import migrating
from satupeta_server.database import Database, connect, synchronous
from satupeta_server.embedded import Addresses
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.conftest import address_of, execute, make_settings, own_database

EMPTY = "satupeta_empty"


@pytest.fixture(scope="session")
def empty_template(addresses: Addresses) -> str:
    """The name of a database that has all tables and no rows."""
    execute(addresses.database_url or "", f"CREATE DATABASE {EMPTY}")
    migrating.upgrade(address_of(addresses, EMPTY))
    return EMPTY


@pytest.fixture
def settings(
    request: pytest.FixtureRequest, addresses: Addresses, empty_template: str, tmp_path: Path
) -> Iterator[Settings]:
    """Settings with a new database; ``@pytest.mark.settings(...)`` changes some."""
    mark = request.node.get_closest_marker("settings")
    changes = mark.kwargs if mark else {}
    with own_database(addresses, "seed", empty_template) as name:
        yield make_settings(addresses, name, data_dir=tmp_path / "var", **changes)


@pytest.fixture
def migrated_database(settings: Settings) -> Iterator[Database]:
    """The process's Database, pointed at the new one and usable without an event loop."""
    connect(settings)
    with synchronous() as database:
        yield database


@pytest.fixture
def store(settings: Settings) -> Iterator[ObjectStore]:
    """The object store, with the bucket made."""
    objects = ObjectStore(settings)
    objects.ensure_bucket()
    yield objects
    objects.close()
