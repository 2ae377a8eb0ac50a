"""What is given out, its version, and the rules of the repository."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from satupeta_server import __version__
from tests.running import ROOT, ask, free_port, running

SEMANTIC = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?")
OF_MAKE_TEST = {"ruff", "format", "types", "floors"}
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]


def build(source: Path, folder: Path, *options: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", *options, "-o", str(folder), str(source)],
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution, made of the tracked files."""
    copy, folder = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    archive = subprocess.run(
        ["git", "stash", "create"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if archive.returncode:
        pytest.skip("this is no checkout")
    tree = subprocess.run(
        ["git", "archive", archive.stdout.strip() or "HEAD"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    subprocess.run(["tar", "-x", "-C", str(copy)], input=tree.stdout, check=True)
    build(copy, folder)
    return folder


def wheel_of(folder: Path) -> Path:
    (wheel,) = folder.glob("*.whl")
    return wheel


def names_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as opened:
        return set(opened.namelist())


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an environment that has the wheel, and what it needs from this one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    python = str(folder / "bin" / "python")
    options = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", *options, wheel_of(built)],
        check=True,
    )
    places = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    # The path file in there that leads to the checkout is read in a site folder only.
    Path(places.stdout.strip(), "needed.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def test_the_wheel_installs_and_runs_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    program = [str(installed / "bin" / "satupeta")]
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    where = subprocess.run(
        [str(installed / "bin" / "python"), "-c", "import satupeta_server as s; print(s.__file__)"],
        cwd=tmp_path,
        env=bare,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(installed)), where.stdout
    told = subprocess.run(
        [*program, "version"], cwd=tmp_path, env=bare, capture_output=True, text=True, check=True
    )
    assert __version__ in told.stdout
    port = free_port()
    with running(tmp_path / "var", port, program=program, PYTHONPATH=""):
        assert ask(port, "/mapsets?limit=1")["total"]
        assert ask(port, "/openapi.json")["info"]["version"] == __version__  # type: ignore[index]


def test_the_source_distribution_makes_the_same_wheel(built: Path, tmp_path: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as opened:
        opened.extractall(tmp_path, filter="data")
    (folder,) = (one for one in tmp_path.iterdir() if one.is_dir())
    assert (folder / "docs" / "index.md").is_file()
    assert (folder / "LICENSE").is_file()
    build(folder, tmp_path / "again", "--wheel")
    assert names_of(wheel_of(tmp_path / "again")) == names_of(wheel_of(built))


def test_the_wheel_holds_the_program_and_nothing_else(built: Path) -> None:
    names = names_of(wheel_of(built))
    packages = ("satupeta_server/", "satupeta_cli/", "migrations/", "satupeta-")
    assert [name for name in names if not name.startswith(packages)] == []
    listed = subprocess.run(
        ["git", "ls-files", "satupeta_server", "satupeta_cli", "migrations"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [one for one in listed.stdout.split() if one not in names] == []
    assert {"satupeta_server/py.typed", "satupeta_cli/py.typed"} <= names


def test_versions_are_semantic_and_the_change_log_tells_each() -> None:
    assert SEMANTIC.fullmatch(__version__)
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    released = [re.fullmatch(r"(\S+) - \d{4}-\d{2}-\d{2}", one) for one in headings[1:]]
    assert all(one and SEMANTIC.fullmatch(one[1]) for one in released), headings
    numbers = [tuple(int(part) for part in one[1].split(".")) for one in released if one]
    assert numbers == sorted(numbers, reverse=True)


def test_the_checks_before_a_commit_exist(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-config"],
        cwd=ROOT,
        check=True,
        env={**os.environ, "PRE_COMMIT_HOME": str(tmp_path)},
    )
    assert OF_MAKE_TEST | {"secrets"} <= {one["id"] for one in HOOKS}
    tools = Path(sys.executable).parent
    missing = [
        one["id"] for one in HOOKS if not (tools / Path(one["entry"].split()[0]).name).is_file()
    ]
    assert missing == []


@pytest.mark.parametrize(
    "hook",
    [one for one in HOOKS if one["id"] not in OF_MAKE_TEST],
    ids=lambda one: str(one["id"]),
)
def test_this_tree_passes_the_checks_before_a_commit(hook: dict[str, str]) -> None:
    program, *arguments = hook["entry"].split()
    subprocess.run(
        [Path(sys.executable).parent / Path(program).name, *arguments], cwd=ROOT, check=True
    )


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda one: one.name
)
def test_forms_of_issues_can_be_read(form: Path) -> None:
    read = yaml.safe_load(form.read_text())
    if form.name == "config.yml":
        return
    assert {"name", "description", "body"} <= set(read)
    questions = [one for one in read["body"] if one["type"] != "markdown"]
    assert len({one["id"] for one in questions}) == len(questions)
    assert all(one["attributes"]["label"] for one in questions)
