"""No secret stands in the repository, in arguments, in names, or in what is logged."""

import json
import logging
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from satupeta_server.openapi import make_document
from satupeta_server.settings import Settings
from tests import leaks
from tests.cli.program import Program
from tests.conftest import SECRET_KEY, Api
from tests.running import ROOT, SATUPETA
from tests.serving import Start
from tests.world import PASSWORD

# In a file: a name that says so, and beside it a text.
ASSIGNED = re.compile(
    r"""(?i)\b[\w-]*(?:password|passwd|secret|token|api_?key|credential)\w*["']?\s*[:=]\s*"""
    r"""["']([^"'\s{}$<>]{8,})["']"""
)
RANDOM = re.compile(r"\b[A-Za-z0-9+/_-]{32,}={0,2}")
MOST_BITS = 4.6
"""Of a letter, in a token of 32 letters; words and paths have less."""

ALLOWED = {
    "postgresql://satupeta:PASSWORD@",
    "postgresql://satupeta_api:PASSWORD@",
    "scram-sha-256",
    # Of the accounts of the tutorial, which its reader makes.
    "Bendungan-Biru-88!",
    # The example of a cursor, which is no secret.
    "1NaKsVsiY3JlYXRlZF9hdDpkZXNjIixbIjIwMjYtMDEtMzFUMDg6MDA6MDAuMTIzNDU2KzA3OjAwIiwi",
}
MADE_UP = ("tests/", "benchmarks/")
"""Where secrets are made up, for servers that live as long as a test."""
UNREAD = (".lock", ".gz", "swagger-ui-bundle.js", "swagger-ui.css")
FORMS_OF_TESTS = {
    "a token",
    "a hash of a password",
    "a login in an address",
    "a private key",
}


def tracked() -> Iterator[tuple[str, str]]:
    """Each file of the repository with its text."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("this is no checkout")
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if not name.endswith(UNREAD) and path.is_file():
            yield name, path.read_text(encoding="utf-8", errors="replace")


def problems(name: str, text: str) -> Iterator[str]:
    """What looks like a secret in a file."""
    is_test = name.startswith(MADE_UP)
    for kind, shape in leaks.SHAPES.items():
        for match in shape.finditer(text):
            if not (is_test and kind in FORMS_OF_TESTS) and match[0] not in ALLOWED:
                yield f"{name}: {kind}: {match[0][:12]}…"
    if is_test:
        return
    candidates = [match[1] for match in ASSIGNED.finditer(text)]
    candidates = [one for one in candidates if is_random(one)]
    candidates += [one for one in RANDOM.findall(text) if leaks.entropy(one) > MOST_BITS]
    for candidate in candidates:
        if candidate not in ALLOWED:
            yield f"{name}: looks random: {candidate[:12]}…"


def is_random(text: str) -> bool:
    """No word: digits and letters, hardly any of them twice."""
    has_both = bool(re.search(r"\d", text)) and bool(re.search(r"[A-Za-z]", text))
    return has_both and leaks.entropy(text) > 3


def test_the_repository_holds_no_secret() -> None:
    assert [one for name, text in tracked() for one in problems(name, text)] == []


@pytest.mark.parametrize(
    "planted",
    [
        "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
        "key = 'AKIA" + "Z7QX3L5MNB2KDT4V'",
        "ghp_" + "a1B2c3D4" * 4 + "e5F6",
        "url = 'postgresql://satupeta:" + "Ieth3aif-oo7@db.example.org/satupeta'",
        "SECRET_KEY = '" + "q8Zt1LxW0cVb7nMk" + "3JhGfDsA9pOiUyTr'",
        '"minio_root_password": "' + 'Eew2ooph-ai0"',
        "eyJhbGciOiJIUzI1NiJ9."
        + "eyJzdWIiOiIxMjM0NTY3ODkwIn0."
        + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
        "$2b$12$" + "R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
    ],
)
def test_a_secret_would_be_seen(planted: str) -> None:
    assert list(problems("satupeta_server/example.py", planted))


def test_no_file_of_settings_or_keys_is_in_the_repository() -> None:
    names = {name for name, _ in tracked()}
    bad = re.compile(
        r"(^|/)\.env$|\.pem$|\.key$|\.p12$|\.pfx$|id_rsa|secrets\.json$|accounts\.json$"
    )
    assert [name for name in names if bad.search(name)] == []


def test_what_is_logged_is_looked_at(settings: Settings) -> None:
    logger = logging.getLogger("satupeta_server.example")
    error = ValueError(f"cannot use {SECRET_KEY}")
    logger.error("failed", exc_info=error)
    logger.warning("login of %s with %s", "walidata", PASSWORD)
    logger.info("postgresql://satupeta:" + "geheim@127.0.0.1/x")  # noqa: G003
    assert leaks.taken() == [
        "SECRET_KEY stands in the log of satupeta_server.example",
        "a password stands in the log of satupeta_server.example",
        "a login in an address stands in the log of satupeta_server.example",
    ]


def arguments(processes: list[psutil.Process]) -> str:
    told: list[str] = []
    for one in processes:
        try:
            told += one.cmdline()
        except psutil.Error:
            continue
    return "\n".join(told)


def test_no_process_that_serves_has_a_secret_among_its_arguments(
    start: Start, settings: Settings
) -> None:
    served = start(settings, WORKERS="2")
    mine = psutil.Process().children(recursive=True)
    said = arguments(mine)
    # The servers of the tests, which are those of `satupeta dev`, and this one with its workers.
    assert {one.pid for one in served.all()} <= {one.pid for one in mine}
    assert "postgres" in said
    assert "weed" in said
    assert len(served.all()) == 3
    assert leaks.secrets_in(said) == []


@pytest.mark.parametrize(
    "words",
    [
        ("user", "list"),
        ("credential", "list"),
        ("db", "backup", "copy.backup"),
        ("doctor",),
        ("bucket", "verify"),
    ],
    ids=" ".join,
)
def test_no_command_has_a_secret_among_the_arguments_of_what_it_starts(
    program: Program, words: tuple[str, ...]
) -> None:
    process = subprocess.Popen(
        [*SATUPETA, *words],
        cwd=program.folder,
        env=program.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen = ""
    while process.poll() is None:
        seen += arguments([psutil.Process(process.pid), *psutil.Process().children(recursive=True)])
        time.sleep(0.02)
    assert words[0] in seen
    assert leaks.secrets_in(seen) == []
    assert leaks.secrets_in(process.communicate()[1]) == []


@pytest.fixture
def program(settings: Settings, tmp_path: Path) -> Program:
    return Program(settings, tmp_path)


def test_the_document_shows_no_secret_as_an_example() -> None:
    document = make_document("Satu Peta")
    text = json.dumps(document)
    assert leaks.secrets_in(text) == []

    def examples(value: object, name: str = "") -> Iterator[tuple[str, object]]:
        if isinstance(value, dict):
            for key, one in value.items():
                if key in ("example", "examples", "default"):
                    yield name, one
                yield from examples(one, key if key != "properties" else name)
        elif isinstance(value, list):
            for one in value:
                yield from examples(one, name)

    secret = re.compile(r"password|secret|token|decrypted|sensitive")
    shown = [name for name, one in examples(document) if isinstance(one, str)]
    assert [name for name in shown if secret.search(name)] == []


def test_a_backup_tells_no_secret_by_its_name_or_beside_it(program: Program) -> None:
    program("db", "backup", "copy.backup")
    assert [one.name for one in program.folder.iterdir() if "var" not in one.name] == [
        "copy.backup"
    ]
    content = (program.folder / "copy.backup").read_bytes().decode("latin-1")
    settings = [name for name in leaks.known.values() if name.isupper()]
    assert not set(leaks.secrets_in(content)) & set(settings)


async def test_no_error_tells_a_secret(api: Api) -> None:
    token = await api.token("administrator")
    for method, path, sent in (
        ("POST", "/categories", b'{"name": "%s", "x": "%s"' % (PASSWORD.encode(), token.encode())),
        ("POST", "/users", json.dumps({"username": "x y", "password": PASSWORD}).encode()),
        ("POST", "/auth/password-reset", json.dumps({"token": token, "password": "x"}).encode()),
        ("POST", "/auth/login", json.dumps({"username": PASSWORD, "password": PASSWORD}).encode()),
        ("GET", f"/mapsets?filter={token}", None),
    ):
        answer = await api.request(method, path, user="administrator", body=sent)
        assert answer.status >= 400
        assert leaks.secrets_in(answer.body.decode()) == [], path
        assert leaks.secrets_in(str(answer.headers)) == [], path
