"""The servers that the suite breaks, and the portals on them, for the whole run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import passable_folder
from tests.faults import figures
from tests.faults.portal import Portal, prepare, serving
from tests.faults.servers import Breakable
from tests.world import World


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option with which ``make faults`` writes its figures down."""
    parser.addoption(
        "--figures", action="store_true", help="write the figures into docs/reliability.md"
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the figures, also those of a run that has failed."""
    if session.config.getoption("--figures", default=False) and figures.figures:
        figures.write()


@pytest.fixture(scope="session")
def fault_folder() -> Iterator[Path]:
    """A folder on the disk: what is synced in memory proves nothing."""
    with passable_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def servers(fault_folder: Path) -> Iterator[Breakable]:
    """A PostgreSQL and an object store that may be broken."""
    data = fault_folder / "data"
    data.mkdir(mode=0o755)
    servers = Breakable(data)
    yield servers
    servers.stop()


@pytest.fixture(scope="session")
def fault_world(servers: Breakable) -> World:
    """What stands in the database of each portal at first."""
    return prepare(servers)


@pytest.fixture(scope="session")
def portal(servers: Breakable, fault_world: World, fault_folder: Path) -> Iterator[Portal]:
    """A portal that reaches its servers directly."""
    folder = fault_folder / "direct"
    folder.mkdir()
    with serving(servers, fault_world, folder) as portal:
        yield portal


@pytest.fixture(scope="session")
def shared_gated(servers: Breakable, fault_world: World, fault_folder: Path) -> Iterator[Portal]:
    """A portal that reaches its servers through proxies."""
    folder = fault_folder / "gated"
    folder.mkdir()
    with serving(servers, fault_world, folder, is_gated=True) as portal:
        yield portal


@pytest.fixture
def gated(shared_gated: Portal) -> Iterator[Portal]:
    """That portal, whose proxies only pass bytes on before and after."""
    yield shared_gated
    assert shared_gated.gates is not None
    shared_gated.gates.heal()
