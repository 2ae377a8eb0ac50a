"""The documentation says what is true."""

import asyncio
import json
import re
import subprocess
from pathlib import Path

import pytest

from satupeta_server.models.base import BaseModel
from satupeta_server.routes import ROUTES
from satupeta_server.settings import Settings
from tests.conftest import Api
from tests.docs_tables import DOCS, PAGES
from tests.world import PASSWORD

ROOT = DOCS.parent
FOREIGN = ("/work" + "/", "bash_" + "jobs", "pypi.org" + "/simple", "registry.npmjs" + ".org")


@pytest.mark.parametrize("name", PAGES)
def test_the_generated_pages_are_current(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name]()


def test_every_endpoint_stands_in_the_docs() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    for route in ROUTES:
        for method in route.operations:
            assert f"`{method} {route.path}`" in text


def test_every_setting_stands_in_the_example() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^# ([A-Z_]+)=", text, re.MULTILINE))
    assert named == {name.upper() for name in Settings.model_fields}


def test_every_table_stands_in_the_docs() -> None:
    text = (DOCS / "data-model.md").read_text(encoding="utf-8")
    kinds = list(BaseModel.__subclasses__())
    tables = {kind._meta.table_name for base in kinds for kind in (base, *base.__subclasses__())}
    for table in tables - {"record"}:
        assert f"`{table}`" in text


def test_every_command_stands_in_the_docs() -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    for path in (ROOT / "satupeta_cli" / "commands").glob("[a-z]*.py"):
        assert f"## satupeta {path.stem.rstrip('_').replace('_', '-')}\n" in text


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_no_file_names_a_machine_or_an_index() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.suffix not in (".gz", ".js") and path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not [word for word in FOREIGN if word in text], name


async def test_the_first_look_of_the_readme_works(api: Api, tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    script = next(block for block in blocks if block.startswith("API="))
    accounts = [{"username": name, "password": PASSWORD} for name in ("pengelola", "walidata")]
    (tmp_path / "var").mkdir(exist_ok=True)
    (tmp_path / "var" / "accounts.json").write_text(json.dumps(accounts), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euc",
        script.replace("http://127.0.0.1:5000/api", api.base),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert json.loads(output)["status_validation"] == "approved"
