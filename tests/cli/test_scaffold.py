"""``satupeta scaffold``: a resource that works at once, or nothing at all."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from satupeta_cli import scaffolding
from satupeta_server.errors import InputError
from tests.docs_guide import COMMAND
from tests.running import ROOT

LEFT_OUT = shutil.ignore_patterns(
    ".venv", ".git", "var", "build", "*.egg-info", ".*cache", ".hypo*"
)
FIELDS = "note:text,order:number,is_new:boolean,end:day"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project."""
    shutil.copytree(ROOT, tmp_path / "copy", ignore=LEFT_OUT)
    return tmp_path / "copy"


def run(copy: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a module in the copy, on the code that stands there."""
    # A run of tests inside a test is one of its own.
    outside = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=copy,
        env={**outside, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )


def scaffold(copy: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return run(copy, "satupeta_cli", "scaffold", *arguments)


def state(copy: Path) -> dict[str, str]:
    """All texts of the copy."""
    return {
        str(path.relative_to(copy)): path.read_text("utf-8")
        for folder in ("migrations", "satupeta_server", "satupeta_cli", "tests", "docs")
        for path in (copy / folder).rglob("*")
        if path.suffix in (".py", ".sql", ".md", ".txt")
    }


def test_a_resource_passes_lint_and_its_tests_at_once(copy: Path) -> None:
    made = scaffold(copy, "items", "--fields", FIELDS, "--json")
    assert made.returncode == 0, made.stderr
    assert "satupeta_server/services/items.py" in {one["file"] for one in json.loads(made.stdout)}
    run(copy, "ruff", "check", "--fix", ".")
    run(copy, "ruff", "format", ".")
    for command in (
        ("ruff", "check", "."),
        ("tests.docs_tables",),
        ("pytest", "-q", "tests/handlers/test_items.py"),
    ):
        ended = run(copy, *command)
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.long
def test_a_resource_passes_types_and_every_test_that_lists_resources(copy: Path) -> None:
    scaffold(copy, "items", "--fields", FIELDS)
    scaffold(copy, "survey_entries", "--singular", "survey_entry")
    run(copy, "ruff", "check", "--fix", ".")
    run(copy, "ruff", "format", ".")
    listing = ("test_permissions", "test_ownership", "test_docs", "test_audit", "test_migrating")
    for command in (
        ("tests.docs_tables",),
        ("mypy",),
        ("pytest", "-q", "-k", "not machine_or_an_index", "tests/handlers/test_resources.py"),
        ("pytest", "-q", "-k", "not index", *(f"tests/{name}.py" for name in listing)),
    ):
        ended = run(copy, *command)
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("1x",), "'1x' is no name"),
        (("Items",), "'Items' is no name"),
        (("class",), "word of Python"),
        (("fish",), "give --singular"),
        (("categories",), "there already"),
        (("items", "--fields", "size:big"), "the kind 'big' is none of"),
        (("items", "--fields", "update:text"), "'update' means something else"),
        (("items", "--fields", "created_by:text"), "every record has it"),
        (("items", "--fields", "a:text,a:text"), "named twice"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "satupeta_cli", "scaffold", *arguments, "--dry-run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert said in ended.stderr


def test_a_dry_run_and_a_second_time_change_nothing(copy: Path) -> None:
    before = state(copy)
    assert scaffold(copy, "items", "--dry-run").returncode == 0
    assert state(copy) == before
    assert scaffold(copy, "items").returncode == 0
    made = state(copy)
    assert scaffold(copy, "items").returncode == 2
    assert state(copy) == made


def test_outside_a_checkout_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkout"):
        scaffolding.planned(tmp_path, scaffolding.read_resource("items", None, ""))
    assert list(tmp_path.iterdir()) == []


def test_a_shared_file_that_has_changed_stops_it_before_anything_is_written(copy: Path) -> None:
    routes = copy / "satupeta_server" / "routes.py"
    routes.write_text(routes.read_text().replace('*_read_only("roles",', '*_readable("roles",'))
    before = state(copy)
    ended = scaffold(copy, "items")
    assert ended.returncode == 2
    assert "Add by hand" in ended.stderr
    assert state(copy) == before


def test_what_was_half_written_is_taken_back(copy: Path) -> None:
    files = scaffolding.planned(copy, scaffolding.read_resource("items", None, ""))
    before = state(copy)
    last = list(files)[-1]
    files[last.parent / "missing" / "folder.md"] = "x"
    with pytest.raises(InputError, match="cannot be written"):
        scaffolding.write(files)
    assert state(copy) == before


def test_the_guide_names_the_command_that_its_example_was_made_by() -> None:
    guide = (ROOT / "docs" / "create-an-endpoint.md").read_text("utf-8")
    assert COMMAND in guide
    assert len(re.findall(r"^```(?:python|sql)$", guide, re.MULTILINE)) == 7
