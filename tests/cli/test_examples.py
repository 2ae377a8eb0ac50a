"""Every command's example, run as it stands, on real servers."""

import contextlib
import gzip
import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from satupeta_cli.commands import import_
from satupeta_cli.options import PASSWORD_VARIABLE
from satupeta_server.embedded import Addresses
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.cli.program import DONE, ROOT, Program
from tests.conftest import make_settings, own_database
from tests.docs_cli import commands
from tests.portals import served
from tests.world import PASSWORD

EXAMPLES = [
    (command.name, example)
    for command in commands()
    if not command.is_group
    for example in command.examples
]


@dataclass(frozen=True)
class Preparation:
    """What an example needs besides the records of the tests."""

    before: str = ""
    """Commands of the shell that go before it."""
    serves: bool = False
    """It serves until it is told to end."""
    code: int = DONE
    portal: bool = False
    """A portal answers at $OLD_PORTAL."""
    around: str = "{}"
    """The command of the shell in which it stands."""


_DELETED = Preparation(
    "satupeta shell -c \"run(News.insert(id='01968b53-a910-7e00-8000-000000000001', "
    "name='Berita', deleted_at='2026-01-31').aio_execute())\""
)

CHECKOUT = ("satupeta_server", "satupeta_cli", "migrations", "tests", "docs")


def _jobs(status: str) -> Preparation:
    values = ", ".join(f"({number}, 'default', 'x', '{status}')" for number in (118, 120))
    statement = (
        f"INSERT INTO procrastinate_jobs (id, queue_name, task_name, status) VALUES {values}"
    )
    program = (
        "import os, psycopg2; c = psycopg2.connect(os.environ['DATABASE_URL']); "
        f"c.cursor().execute({statement!r}); c.commit()"
    )
    return Preparation(f"{sys.executable} -c {shlex.quote(program)}")


PREPARED = {
    "trash show": _DELETED,
    "trash restore": _DELETED,
    "import portal": Preparation(portal=True),
    "bucket presign": Preparation(
        "satupeta shell -c \"run(File.insert(id='01968b53-a910-7f00-8000-000000000001', "
        "object_name='files/a.txt', name='a.txt', content_type='text/plain', size=1, "
        "checksum='0' * 64, uploaded_by=caller.user_id).aio_execute())\""
    ),
    "token revoke": Preparation(
        "satupeta shell -c \"ApiToken.insert(id='01968b53-a910-7f00-8000-000000000002', "
        "user_id=caller.user_id, name='a', token_hash='a', permissions=[], "
        "expires_at='2999-01-01T00:00:00Z').execute()\""
    ),
    "bucket move": Preparation(
        "MINIO_BUCKET_NAME=satupeta-tests-old satupeta bucket create; "
        "echo MINIO_FALLBACK_BUCKET_NAME=satupeta-tests-old > .env"
    ),
    "jobs retry": _jobs("failed"),
    "jobs cancel": _jobs("todo"),
    # Nobody takes mails here, which it says.
    "outbox test-mail": Preparation(code=1),
    "scaffold": Preparation("cp -r " + " ".join(f"{ROOT}/{name}" for name in CHECKOUT) + " ."),
    "worker": Preparation(around="timeout --signal=TERM --preserve-status 8 {}"),
    "serve": Preparation(serves=True),
    "dev": Preparation(serves=True),
    **{
        f"import {kind}": Preparation(f"satupeta export {kind} -o {kind}.csv")
        for kind in import_.KINDS
    },
    "db restore": Preparation("satupeta db backup satupeta-2026-01-31.satupeta.tar"),
    "user password": Preparation("printf 'Sawah-Hijau-2026!' > password.txt"),
}


@pytest.fixture
def program(settings: Settings, tmp_path: Path, store: ObjectStore) -> Program:
    return installed(settings, tmp_path)


def installed(settings: Settings, folder: Path) -> Program:
    """The program, with a script ``satupeta`` that :func:`run_script` finds."""
    script = folder / "bin" / "satupeta"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m satupeta_cli "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return Program(settings, folder)


def run_script(program: Program, text: str, code: int = DONE, **variables: str) -> None:
    path = f"{program.folder / 'bin'}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=program.folder,
        env={**program.environment, "PATH": path, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == code, ended
    assert "Traceback" not in ended.stderr, ended.stderr


def serve_and_end(program: Program, example: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = f"{program.folder / 'bin'}:{os.environ['PATH']}"
    process = subprocess.Popen(
        ["bash", "-c", f"exec {example}"],
        cwd=program.folder,
        env={**program.environment, "PATH": path, "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(URLError, OSError):
                urlopen(f"http://127.0.0.1:{port}/api/health/ready", timeout=5).close()
                break
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_the_example_works(program: Program, name: str, example: str) -> None:
    prepared = PREPARED.get(name, Preparation())
    if prepared.serves:
        serve_and_end(program, example)
        return
    if prepared.before:
        run_script(program, prepared.before)
    if prepared.portal:
        with served(program.settings, program.folder) as address:
            login = {"OLD_PORTAL": address, PASSWORD_VARIABLE: PASSWORD}
            run_script(program, example, prepared.code, **login)
        return
    run_script(program, prepared.around.format(example), prepared.code)


def test_the_first_day_of_the_readme_works_as_it_stands(
    addresses: Addresses, tmp_path: Path
) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    chapter = readme.partition("## An administrator's first day")[2]
    script = chapter.partition("```sh\n")[2].partition("```")[0]
    assert len(re.findall(r"^satupeta ", script, re.MULTILINE)) == 10
    with gzip.open(tmp_path / "wilayah.csv.gz", "wt") as file:
        file.write("35.78.99,UJI\n35.78.99.1001,UJI\n")
    (tmp_path / "dinas.csv").write_text("name,email\nDinas Satu,satu@example.org\n")
    with own_database(addresses, "readme") as name:
        bucket = f"satupeta-readme-{secrets.token_hex(4)}"
        settings = make_settings(addresses, name, minio_bucket_name=bucket)
        program = installed(settings, tmp_path)
        run_script(program, script)
        assert program.rows("SELECT count(*) FROM regionals WHERE code LIKE '35.78.99%'") == [(2,)]
        assert program.rows("SELECT name FROM organizations") == [("Dinas Satu",)]


def test_everything_prepared_is_a_command() -> None:
    assert set(PREPARED) <= {name for name, _ in EXAMPLES}
