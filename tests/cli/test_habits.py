"""What every command has in common."""

import contextlib
import csv
import io
import json
import os
import pty
import re
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
import psycopg2
import pytest

from satupeta_cli.__main__ import cli
from satupeta_server.routes import ROUTES
from satupeta_server.security.permissions import CALLERS, GRANTS
from satupeta_server.settings import Settings
from tests.cli.program import (
    CONFIGURATION,
    DONE,
    INTERRUPTED,
    ROOT,
    SATUPETA,
    UNAVAILABLE,
    WRONG_USE,
    Program,
)
from tests.docs_cli import commands

HEAVY = {"tornado", "peewee", "peewee_async", "psycopg2", "minio", "rich", "pydantic", "PIL"}
# Reads only, and may be run at any time.
READING = {
    "audit export", "audit list", "bucket lifecycle show", "bucket ls", "bucket policy show",
    "bucket status", "bucket usage",
    "bucket verify", "bucket versioning show", "completion", "credential list", "credential show",
    "db backup", "db check", "db count-ahead", "db status", "dev", "doctor", "export", "jobs list",
    "jobs status", "openapi",
    "organization list", "organization show", "outbox list", "permissions",
    "role list", "role show", "routes",
    "serve", "shell", "token list", "trash list", "trash show", "user export-data",
    "user list", "user show", "user sessions list", "version", "worker",
}  # fmt: skip


@pytest.fixture
def program(settings: Settings, tmp_path: Path) -> Program:
    return Program(settings, tmp_path)


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A program without servers."""
    return Program(Settings(_env_file=None), tmp_path_factory.mktemp("plain"))  # type: ignore[call-arg]


def on_a_terminal(
    program: Program,
    *arguments: str,
    typed: Sequence[bytes] = (),
    prompt: bytes = b": ",
    **more: str,
) -> str:
    """What a command writes on a terminal; each line is typed when there is a new prompt."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*SATUPETA, *arguments],
        cwd=program.folder,
        env={**program.environment, "TERM": "xterm-256color", **more},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written, lines = b"", list(typed)
    try:
        with contextlib.suppress(OSError):
            # Reading ends in an error once nobody has the terminal open any longer.
            while True:
                ready, _, _ = select.select([ours], [], [], 30)
                assert ready, written
                written += os.read(ours, 65536)
                # The space comes once the terminal is ready for an answer, hidden or not.
                if lines and written.endswith(prompt):
                    os.write(ours, lines.pop(0) + b"\n")
        process.wait(timeout=10)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return f"{written.decode()}\nexit code {process.returncode}"


# --- Help -----------------------------------------------------------------------------------------


def test_help_of_every_command_loads_nothing_heavy() -> None:
    code = """
import sys, click
from satupeta_cli.__main__ import cli
def walk(command, context):
    command.get_help(context)
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        walk(command.get_command(context, name), click.Context(command, context, name))
walk(cli, click.Context(cli))
print(" ".join({name.partition(".")[0] for name in sys.modules}))
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(ended.stdout.split())
    assert {"click", "satupeta_cli"} <= loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("name", ["", "user", "user create", "doctor", "dev"])
def test_help_comes_at_once(plain: Program, name: str) -> None:
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert plain(*name.split(), "--help").stdout.startswith("Usage: satupeta")
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The time of the processor, since the machine may be busy with other things.
    assert end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime < 0.3


def test_no_option_takes_a_secret() -> None:
    for command in commands():
        for parameter in command.click_command.params:
            names = " ".join(parameter.opts)
            if re.search(r"password|secret|token", names):
                # A descriptor or a file may be named; what they hold nobody else can read.
                assert re.fullmatch(r"--[a-z-]+-(fd|file)", names), command.name


def test_what_writes_can_be_tried_and_what_lists_has_every_form() -> None:
    for command in commands():
        if command.is_group:
            continue
        options = {name for one in command.click_command.params for name in one.opts}
        assert ("--dry-run" in options) == (command.name not in READING), command.name
        if command.words[-1] in (
            "list",
            "show",
            "routes",
            "permissions",
            "doctor",
            "version",
            "status",
        ):
            assert {"--json", "--jsonl", "--csv"} <= options, command.name
        if command.words[-1] == "delete":
            assert "--yes" in options


# --- Exit codes and sentences ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [["antah"], ["user", "antah"], ["--antah"], ["user", "show"], ["role", "show", "x", "y"]],
)
def test_wrong_use(plain: Program, words: list[str]) -> None:
    ended = plain.inside(*words, code=WRONG_USE)
    assert "Usage: satupeta" in ended.stderr
    assert ended.stdout == ""


def test_settings_that_are_missing_or_impossible(plain: Program) -> None:
    assert "DATABASE_URL is not set" in plain("user", "list", code=CONFIGURATION).stderr
    wrong = plain.inside("user", "list", code=CONFIGURATION, DATABASE_URL="mysql://x/y")
    assert wrong.stderr.startswith("satupeta: DATABASE_URL")
    assert len(wrong.stderr.splitlines()) == 1


def test_a_database_without_tables(program: Program) -> None:
    program.rows("DROP TABLE users CASCADE")
    ended = program("user", "list", code=CONFIGURATION)
    assert ended.stderr == (
        "satupeta: DATABASE_URL has no tables of this version; run satupeta db upgrade.\n"
    )


def test_a_database_that_does_not_answer(plain: Program) -> None:
    url = "postgresql://budi:geheim@127.0.0.1:9/x"
    ended = plain("user", "list", code=UNAVAILABLE, DATABASE_URL=url)
    assert ended.stderr == (
        "satupeta: The database or the object store does not answer. Try satupeta doctor.\n"
    )
    told = subprocess.run(
        [*SATUPETA, "--traceback", "user", "list"],
        env={**plain.environment, "DATABASE_URL": url},
        cwd=plain.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == UNAVAILABLE
    assert "Traceback" in told.stderr
    assert "geheim" not in told.stderr
    more = plain("--verbose", "user", "list", code=UNAVAILABLE, DATABASE_URL=url)
    assert more.stderr.endswith("Try satupeta doctor.\n")


def test_what_one_database_was_reached_by_is_not_kept_for_another(program: Program) -> None:
    url = "postgresql://budi:geheim@127.0.0.1:9/x"
    program.inside("user", "list", code=UNAVAILABLE, DATABASE_URL=url)
    assert "walidata" in program.inside("user", "list").stdout


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"LANG": "id_ID.UTF-8"}, "Tidak ada pengguna “x”."),
        ({"LC_ALL": "id_ID", "LANG": "en_US.UTF-8"}, "Tidak ada pengguna “x”."),
        ({"LANG": "en_US.UTF-8"}, "There is no user “x”."),
        ({"LC_ALL": "", "LANG": "C"}, "There is no user “x”."),
    ],
)
def test_refusals_are_in_the_language_of_the_terminal(
    program: Program, variables: dict[str, str], words: str
) -> None:
    ended = program.inside("user", "show", "x", code=WRONG_USE, **variables)
    assert ended.stderr == f"satupeta: {words}\n"


def test_ctrl_c_is_said_and_has_its_code(program: Program) -> None:
    holder = psycopg2.connect(program.environment["DATABASE_URL"])
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE users")
    process = subprocess.Popen(
        [*SATUPETA, "user", "deactivate", "viewer"],
        cwd=program.folder,
        env=program.environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    waiting = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    deadline = time.monotonic() + 20
    while program.rows(waiting) == [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, said = process.communicate(timeout=20)
    holder.rollback()
    holder.close()
    assert process.returncode == INTERRUPTED
    assert said.strip() == "Interrupted."
    assert output == ""
    assert program.rows("SELECT is_active FROM users WHERE username = 'viewer'") == [(True,)]


def test_a_no_changes_nothing(program: Program) -> None:
    written = on_a_terminal(program, "user", "delete", "viewer", typed=[b"n"])
    assert "Delete the user viewer? [y/N]:" in written
    assert "Stopped; nothing was changed." in written
    assert written.endswith(f"exit code {INTERRUPTED}")
    assert program.rows("SELECT deleted_at FROM users WHERE username = 'viewer'") == [(None,)]
    assert on_a_terminal(program, "user", "delete", "viewer", typed=[b"y"]).endswith("code 0")


def test_a_password_is_asked_for_and_not_shown(program: Program) -> None:
    written = on_a_terminal(program, "user", "password", "viewer", typed=[b"Sandi-Baru-1!"] * 2)
    assert written.endswith("exit code 0"), written
    assert "Repeat for confirmation" in written
    assert "Sandi" not in written


# --- Output ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["routes", "routes --json", "--help", "user --help"])
def test_a_pipe_that_is_closed_is_no_error(plain: Program, words: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [*SATUPETA, *words.split()],
        env=plain.environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (DONE, "")


def test_colours_and_widths_are_for_terminals(program: Program) -> None:
    assert "\x1b[" in on_a_terminal(program, "user", "list")
    assert not re.search(r"\x1b\[\d*;?3\dm", on_a_terminal(program, "user", "list", NO_COLOR="1"))
    piped = program.inside("user", "list").stdout
    assert "\x1b" not in piped
    assert not [line for line in piped.splitlines() if line != line.rstrip()]
    doctor = ("doctor",)
    assert "\x1b[32m" in on_a_terminal(program, *doctor)
    assert "\x1b[3" not in on_a_terminal(program, *doctor, NO_COLOR="1")


def test_quiet_says_only_results(program: Program) -> None:
    said = program.inside("doctor", code=None).stderr
    assert "warning" in said
    assert program.inside("--quiet", "doctor", code=None).stderr == ""


def test_every_form_says_the_same(plain: Program) -> None:
    whole = json.loads(plain.inside("routes", "--json").stdout)
    lines = [json.loads(line) for line in plain.inside("routes", "--jsonl").stdout.splitlines()]
    cells = list(csv.DictReader(io.StringIO(plain.inside("routes", "--csv").stdout)))
    table = [line.split() for line in plain.inside("routes").stdout.splitlines()]
    assert whole == lines == cells == [dict(zip(table[0], row, strict=True)) for row in table[1:]]
    assert len(whole) == sum(len(route.operations) for route in ROUTES)


def test_permissions_are_the_table(plain: Program) -> None:
    rows = json.loads(plain.inside("permissions", "--json").stdout)
    assert rows == [
        {"permission": name, **{caller: granted.get(caller) for caller in CALLERS}}
        for name, granted in GRANTS.items()
    ]
    head, first, *_ = plain.inside("permissions").stdout.splitlines()
    assert head.split() == ["permission", *CALLERS]
    assert first.startswith("mapsets:read")


# --- Settings -------------------------------------------------------------------------------------


def test_the_environment_goes_before_the_file(program: Program, plain: Program) -> None:
    path = plain.folder / "one.env"
    url = program.environment["DATABASE_URL"]
    path.write_text(f"DATABASE_URL={url}\nSECRET_KEY=short\n", encoding="utf-8")
    wrong = plain.inside("--env-file", str(path), "user", "list", code=CONFIGURATION)
    assert "SECRET_KEY" in wrong.stderr
    key = {"SECRET_KEY": program.environment["SECRET_KEY"]}
    listed = plain("--env-file", str(path), "user", "list", "--csv", **key)
    assert "walidata" in listed.stdout
    missing = plain.inside("--env-file", "nowhere.env", "user", "list", code=WRONG_USE)
    assert "nowhere.env does not exist" in missing.stderr


# --- What else is here ----------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes(plain: Program, shell: str) -> None:
    script = plain.inside("completion", shell).stdout
    assert f"_SATUPETA_COMPLETE={shell}_complete" in script
    words = {"COMP_WORDS": "satupeta user role viewer data_m", "COMP_CWORD": "4"}
    if shell == "fish":
        words["COMP_CWORD"] = "data_m"
    found = plain("", code=None, _SATUPETA_COMPLETE=f"{shell}_complete", **words)
    assert "data_manager" in found.stdout
    assert "administrator" not in found.stdout


def test_bash_reads_its_completion(plain: Program) -> None:
    script = plain.inside("completion", "bash").stdout
    subprocess.run(["bash", "-euc", script], check=True, capture_output=True)


def test_the_shell_has_models_services_and_run(program: Program) -> None:
    code = (
        "print(User.select().count(), run(services.users.list(caller, "
        "ListRequest(search='walidata'))).total, settings.environment)"
    )
    assert program("shell", "-c", code).stdout == "6 1 development\n"
    assert program.inside("shell", typed="print(1 + 1)\n").stdout == "2\n"
    assert program.audit() == [("open_shell", "database", "satupeta shell")] * 2
    failed = program.inside("shell", "-c", "1/0", code=1)
    assert "Unexpected ZeroDivisionError" in failed.stderr
    refused = "run(services.users.delete(caller, User.get(User.username=='administrator').id))"
    assert (
        "last active administrator" in program.inside("shell", "-c", refused, code=WRONG_USE).stderr
    )


def test_the_shell_greets_on_a_terminal(program: Program) -> None:
    written = on_a_terminal(program, "shell", typed=[b"print(6 * 7)", b"exit()"], prompt=b">>> ")
    assert "Ctrl-D ends" in written
    assert "42" in written


def test_version_knows_the_database_where_it_answers(program: Program, plain: Program) -> None:
    versions = program.json("version")
    assert versions["database"].startswith("PostgreSQL ")
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert plain("version").stdout.split()[:2] == ["satupeta", versions["satupeta"]]
    assert json.loads(plain.inside("version", "--json").stdout)["database"] is None


def test_the_document_is_printed_or_written(plain: Program) -> None:
    printed = json.loads(plain.inside("openapi").stdout)
    assert printed["openapi"] == "3.1.0"
    plain.inside("openapi", "-o", "document.json")
    written = (plain.folder / "document.json").read_text(encoding="utf-8")
    assert json.loads(written) == printed
    refused = plain.inside("openapi", "-o", "/nowhere/document.json", code=WRONG_USE)
    assert "cannot be written" in refused.stderr


def test_every_file_of_commands_is_one() -> None:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        assert isinstance(cli.get_command(context, name), click.Command)
