"""Help: there for every command, at once, and without loading the server."""

import subprocess
import sys
import time
from collections.abc import Iterator

import click
import pytest

from satupeta_cli.__main__ import cli
from satupeta_server.routes import PREFIX, ROUTES
from satupeta_server.security.permissions import CALLERS, GRANTS
from tests.cli.conftest import PROGRAM, USAGE, Satupeta

INSTANT_SECONDS = 0.3

HEAVY = (
    "tornado",
    "peewee",
    "peewee_async",
    "psycopg2",
    "pydantic",
    "minio",
    "cryptography",
    "PIL",
)


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command and group."""
    yield path
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(commands(cli))


def test_the_commands_are_known() -> None:
    assert {
        ("db", "upgrade"),
        ("db", "downgrade"),
        ("db", "seed"),
        ("user", "reset-link"),
        ("routes",),
        ("permissions",),
        ("serve",),
        ("dev",),
    } <= set(COMMANDS)


@pytest.mark.alone
@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_comes_at_once_says_how_and_loads_nothing_of_the_server(
    satupeta: Satupeta, path: tuple[str, ...]
) -> None:
    # What follows the coverage of a process would load, too, and takes its time.
    alone = {name: one for name, one in satupeta.environment.items() if "COVERAGE" not in name}
    seconds = []
    # A busy machine may be slow once.
    while not seconds or (min(seconds) >= INSTANT_SECONDS and len(seconds) < 4):
        begin = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-X", "importtime", PROGRAM, *path, "--help"],
            cwd=satupeta.folder,
            env=alone,
            capture_output=True,
            text=True,
            check=True,
        )
        seconds.append(time.monotonic() - begin)
    assert min(seconds) < INSTANT_SECONDS
    assert ended.stdout.startswith(f"Usage: {' '.join(['satupeta', *path])}")
    said = ended.stderr.splitlines()
    assert [line for line in said if not line.startswith("import time:")] == []
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in said}
    assert "click" in loaded
    assert not loaded & set(HEAVY)
    is_group = any(other[:-1] == path for other in COMMANDS if other)
    if not is_group:
        assert f"Example: {' '.join(['satupeta', *path])}" in ended.stdout


def test_the_overview_says_what_each_command_is_for(satupeta: Satupeta) -> None:
    overview = satupeta("--help").stdout
    for path in COMMANDS:
        if len(path) == 1:
            (line,) = [one for one in overview.splitlines() if one.startswith(f"  {path[0]} ")]
            assert len(line.split()) > 2


@pytest.mark.parametrize(
    "arguments", [["unheard-of"], ["db", "unheard-of"], ["--unheard-of"], ["user", "reset-link"]]
)
def test_what_is_no_command_is_a_mistake_of_the_caller(
    satupeta: Satupeta, arguments: list[str]
) -> None:
    ended = satupeta(*arguments)
    assert ended.returncode == USAGE
    assert "Usage: satupeta" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_routes_prints_every_method_of_every_path(satupeta: Satupeta) -> None:
    _title, *lines = satupeta("routes").stdout.splitlines()
    printed = {tuple(line.split()) for line in lines}
    assert printed == {
        (method, PREFIX + route.path, operation.permission)
        for route in ROUTES
        for method, operation in route.operations.items()
    }


def test_permissions_prints_the_whole_table(satupeta: Satupeta) -> None:
    head, *lines = satupeta("permissions").stdout.splitlines()
    assert head.split() == ["permission", *CALLERS]
    assert [line.split()[0] for line in lines] == list(GRANTS)
    for line, granted in zip(lines, GRANTS.values(), strict=True):
        assert all(str(scope) in line for scope in granted.values())
        assert line.count("–") == len(CALLERS) - len(granted)
