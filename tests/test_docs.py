"""The documentation says what is true."""

import asyncio
import configparser
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from satupeta_cli.__main__ import cli
from satupeta_cli.commands.import_ import KINDS as IMPORTED
from satupeta_cli.options import PASSWORD_VARIABLE
from satupeta_server import errors, models, worker
from satupeta_server.models.base import BaseModel
from satupeta_server.routes import PREFIX, ROUTES
from satupeta_server.server import GRACE_SECONDS, parent_environment
from satupeta_server.settings import Settings
from satupeta_server.transfer.kinds import KINDS
from tests.conftest import Api
from tests.docs_tables import DOCS, PAGES, ROOT
from tests.world import PASSWORD, USERS

BINARIES = Path(sys.executable).parent
TEXTS = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
FOREIGN = ("/wo" + "rk/", "bash_" + "jobs", "py" + "pi.org/simple", "registry.npm" + "js.org")


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_generated_pages_are_current(path: Path) -> None:
    assert read(path) == PAGES[path]()


def test_every_endpoint_stands_in_the_docs() -> None:
    rows = set(re.findall(r"^\| `([A-Z]+ /\S*)` \|", read(DOCS / "api.md"), re.MULTILINE))
    assert rows == {f"{method} {route.path}" for route in ROUTES for method in route.operations}


def test_every_setting_that_the_docs_name_exists() -> None:
    known = {name.upper() for name in Settings.model_fields}
    known |= {
        PASSWORD_VARIABLE,
        "FILE_ID",
        "LC_ALL",
        "LC_MESSAGES",
        "NO_COLOR",
        "OTEL_EXPORTER_OTLP_HEADERS",
    }
    for place in ("Dockerfile", "deploy/deploy.sh", ".github/workflows/deploy.yml"):
        known |= set(re.findall(r"\b(?:DEPLOY|BASE)_[A-Z_]+\b", read(ROOT / place)))
    for page in TEXTS:
        named = set(re.findall(r"\b[A-Z]{2,}(?:_[A-Z]+)+\b", prose(page)))
        assert named <= known, page.name


def test_every_table_stands_in_the_docs() -> None:
    for module in pkgutil.iter_modules(models.__path__):
        importlib.import_module(f"{models.__name__}.{module.name}")
    kinds = list(BaseModel.__subclasses__())
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    tables = {kind._meta.table_name for kind in kinds}
    rows = re.findall(r"^\| `(\w+)` \|", read(DOCS / "data-model.md"), re.MULTILINE)
    assert sorted(rows) == sorted(tables - {"record"})


def test_the_diagram_shows_the_foreign_keys() -> None:
    text = read(DOCS / "data-model.md")
    drawn = re.findall(r'^ +(\w+) [|}]\S+ (\w+) : "(.+)"$', text, re.MULTILINE)
    shown = {
        (table, column, target)
        for target, table, columns in drawn
        for column in columns.split(", ")
    }
    assert shown == set(foreign_keys())


def foreign_keys() -> Iterator[tuple[str, str, str]]:
    """Table, column and target of each foreign key that the migrations make."""
    for path in sorted((ROOT / "migrations").glob("*.sql")):
        for statement in re.split(r";\s*\n", read(path)):
            table = re.search(r"(?:CREATE|ALTER) TABLE (\w+)", statement)
            column = r"^ +(\w+) uuid.* REFERENCES (\w+)|FOREIGN KEY \((\w+)\) REFERENCES (\w+)"
            for found in re.findall(column, statement, re.MULTILINE):
                assert table is not None
                name, target = filter(None, found)
                yield table[1], name, target


def test_every_error_stands_in_the_docs() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (`.+?) \|", read(DOCS / "api.md"), re.MULTILINE)
    documented = {code for _, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    assert documented == set(error_codes())
    assert {int(status) for status, _ in rows} == set(errors.STATUS.values())


def error_codes() -> Iterator[str]:
    """The codes that an answer can have: the defaults, and what is raised by name."""
    yield from (kind.default_key for kind in errors.STATUS)
    raised = re.compile(r'(?<!Start)(?:Error|_refused)\(\s*(?:Message\(\s*)?"(\w+)"')
    named = re.compile(r'Message\("(unsupported_type)"')
    for path in (ROOT / "satupeta_server").rglob("*.py"):
        if path.name in ("accounts.py", "finding.py"):
            continue  # what only commands call: no answer can have these
        yield from raised.findall(read(path))
        yield from named.findall(read(path))


def test_every_dependency_stands_in_the_docs() -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    extras = project["optional-dependencies"].values()
    required = [one for group in (project["dependencies"], *extras) for one in group]
    names = {re.split(r"[<>=!~\[; ]", one)[0].lower() for one in required}
    rows = re.findall(r"^\| (`.+?) \|", read(DOCS / "dependencies.md"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == names


def test_every_kind_of_import_stands_in_the_docs_with_its_columns() -> None:
    rows = re.findall(
        r"^\| `([a-z-]+)` \| (.+?) \| (.+) \|$", read(DOCS / "importing.md"), re.MULTILINE
    )
    documented = {kind: (key, set(re.findall(r"\w+", columns))) for kind, key, columns in rows}
    assert {kind: key for kind, (key, _) in documented.items()} == IMPORTED
    for kind, (_, words) in documented.items():
        assert set(KINDS[kind].columns) <= words, kind
        assert KINDS[kind].extra_columns <= words, kind


def test_every_command_stands_in_the_docs() -> None:
    text = read(DOCS / "cli.md")
    for command in commands():
        assert f"satupeta {command}" in text


def test_every_command_and_path_that_the_docs_name_exists() -> None:
    paths = [re.compile(re.sub(r"\{\w+\}", "[^/]+", PREFIX + route.path)) for route in ROUTES]
    named = re.compile(r"(?:`|^ *)satupeta ([a-z][a-z-]*(?: [a-z-]+)*)", re.MULTILINE)
    for page in TEXTS:
        for words in named.findall(read(page)):
            assert leads_to_a_command(words.split()), f"{page.name}: {words}"
        for address in re.findall(r"(?<=[`\d ])/api/[\w./{}-]*", read(page)):
            assert any(path.fullmatch(address) for path in paths), f"{page.name}: {address}"


def test_every_task_of_the_worker_stands_in_the_docs() -> None:
    (table,) = re.findall(r"\| Task \| When .*?\n\n", read(DOCS / "operation.md"), re.DOTALL)
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == worker.TASKS.keys()


def leads_to_a_command(words: list[str]) -> bool:
    """Whether words begin with a command, or are the whole name of a group of them."""
    found: click.Command = cli
    for word in words:
        if not isinstance(found, click.Group):
            return True
        command = found.get_command(click.Context(found), word)
        if command is None:
            return False
        found = command
    return True


def commands() -> Iterator[str]:
    """Every command that does something, such as ``db upgrade``."""
    yield from commands_of(cli, "")


def commands_of(group: click.Group, prefix: str) -> Iterator[str]:
    """The commands of a group and of the groups in it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands_of(command, f"{prefix}{name} ")
        else:
            yield prefix + name


def test_every_page_is_reached_from_the_index() -> None:
    linked = {target.name for target, _ in links(DOCS / "index.md")}
    assert {page.name for page in DOCS.glob("*.md")} - {"index.md"} <= linked
    assert DOCS / "index.md" in {target for target, _ in links(ROOT / "README.md")}


def test_every_test_that_the_page_of_security_names_exists() -> None:
    page = read(DOCS / "security.md")
    named = set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page))
    assert len(named) > 40
    for path, function in named:
        assert (ROOT / path).is_file(), path
        assert not function or f"def {function}(" in read(ROOT / path), function


def test_each_line_of_the_page_of_security_has_a_state_and_what_is_held_a_test() -> None:
    tables = re.findall(r"^\| (?:API\d+|V\d+\.\d+) .*$", read(DOCS / "security.md"), re.MULTILINE)
    assert len(tables) > 70
    for line in tables:
        state = line.split("|")[2].strip()
        assert state in ("held", "partly", "not held", "not applicable"), line
        assert state != "held" or "`tests/" in line or "](" in line, line


def test_every_link_leads_somewhere() -> None:
    for page in TEXTS:
        for target, anchor in links(page):
            assert target.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(target), f"{page.name}: {anchor}"


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The files and the anchors in them that a page links to."""
    for target, anchor in re.findall(r"\]\((?!\w+:)([^)#]*)#?([^)]*)\)", read(page)):
        yield (page.parent / target).resolve() if target else page, anchor


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def prose(page: Path) -> str:
    """The text of a page without its code blocks."""
    return re.sub(r"```.*?```", "", read(page), flags=re.DOTALL)


def test_no_file_names_a_machine_or_an_index() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.suffix not in (".gz", ".js") and path.is_file():
            assert not [word for word in FOREIGN if word in read(path)], name


def test_supervisord_waits_for_the_orderly_end() -> None:
    parser = configparser.ConfigParser(inline_comment_prefixes=(";",))
    parser.read(ROOT / "supervisord.conf")
    api = parser["program:api"]
    assert api["command"].split()[1] in commands()
    assert api.getint("stopwaitsecs") >= GRACE_SECONDS + 3
    background = parser["program:worker"]
    assert background["command"].split()[1] in commands()
    assert background.getint("stopwaitsecs") >= worker.GRACE_SECONDS + 5


async def test_the_first_look_of_the_readme_works(api: Api, tmp_path: Path) -> None:
    script = next(block for block in scripts(ROOT / "README.md") if block.startswith("API="))
    *lines, mapset = (await run(script, api, tmp_path)).splitlines()
    assert lines == ["404", "approved"]
    assert json.loads(mapset)["status_validation"] == "approved"


async def test_the_examples_of_the_api_work(api: Api, tmp_path: Path) -> None:
    # The portal of the examples has mapsets already.
    for name in ("Batas Desa", "Jaringan Jalan", "Sungai"):
        await api.make_public_mapset(name=name)
    script = "".join(scripts(DOCS / "api.md"))
    expected = re.findall(r"# → (.*?)\s*$", script, re.MULTILINE)
    assert len(expected) > 50
    assert (await run(script, api, tmp_path)).splitlines() == expected


async def test_the_tutorial_works_from_its_first_to_its_last_command(
    api: Api, tmp_path: Path
) -> None:
    script = "".join(scripts(DOCS / "tutorial.md"))
    expected = re.findall(r"# → (.*?)\s*$", script, re.MULTILINE)
    assert len(expected) > 15
    output = await run(
        script, api, tmp_path, **parent_environment(api.application.services.settings)
    )
    assert output.splitlines() == expected


def scripts(page: Path) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", read(page), re.DOTALL)


async def run(script: str, api: Api, folder: Path, **environment: str) -> str:
    """Run a script of the docs as it stands, against the API of the test; gives its output."""
    accounts = [{"username": name, "password": PASSWORD} for name in USERS]
    (folder / "var").mkdir(exist_ok=True)
    (folder / "var" / "accounts.json").write_text(json.dumps(accounts), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euc",
        script.replace("http://127.0.0.1:5000/api", api.base),
        cwd=folder,
        env={**os.environ, **environment, "PATH": f"{BINARIES}:{os.environ['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()
