"""The installed ``satupeta``, run as a process in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from satupeta_server.embedded import Addresses
from satupeta_server.server import parent_environment
from satupeta_server.settings import Settings
from tests.conftest import address_of, own_database

PROGRAM = str(Path(sys.executable).with_name("satupeta"))
USAGE, CONFIGURATION, UNAVAILABLE, ABORTED = 2, 3, 4, 130


@dataclass
class Satupeta:
    """Runs commands without any setting from outside."""

    folder: Path
    environment: dict[str, str]

    def __call__(
        self, *arguments: str, typed: str = "", **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command; ``typed`` is its standard input."""
        return subprocess.run(
            [PROGRAM, *arguments],
            cwd=self.folder,
            env={**self.environment, **settings},
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def refusal(self, *arguments: str, code: int = CONFIGURATION, **settings: str) -> str:
        """What a command says that cannot do what it is asked for, in one line."""
        ended = self(*arguments, **settings)
        assert ended.returncode == code, ended
        assert ended.stdout == ""
        assert ended.stderr.startswith("satupeta: ")
        assert ended.stderr.endswith(".\n")
        assert len(ended.stderr.splitlines()) == 1
        return ended.stderr


@pytest.fixture
def satupeta(tmp_path: Path) -> Satupeta:
    """The command line, in an empty folder."""
    known = {name.upper() for name in Settings.model_fields}
    environment = {name: value for name, value in os.environ.items() if name not in known}
    return Satupeta(tmp_path, {**environment, "DATA_DIR": str(tmp_path / "var")})


@pytest.fixture
def empty(addresses: Addresses) -> Iterator[str]:
    """The address of an empty database."""
    with own_database(addresses, "cli") as name:
        yield address_of(addresses, name)


@pytest.fixture
def configured(satupeta: Satupeta, settings: Settings) -> Satupeta:
    """The command line with the settings of the test, its seeded database among them."""
    names = {name.upper() for name in Settings.model_fields}
    chosen = {name: value for name, value in parent_environment(settings).items() if name in names}
    return Satupeta(satupeta.folder, {**satupeta.environment, **chosen})
