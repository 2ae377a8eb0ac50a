"""The command line as a process, on the servers of the tests."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg2

from satupeta_cli.__main__ import main
from satupeta_server.server import parent_environment
from satupeta_server.settings import Settings
from tests import leaks

ROOT = Path(__file__).resolve().parent.parent.parent
SATUPETA = [sys.executable, "-m", "satupeta_cli"]
DONE, SOME_FAILED, WRONG_USE, CONFIGURATION, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130

Ended = subprocess.CompletedProcess[str]


@dataclass
class Program:
    """Runs commands with the settings of a test."""

    settings: Settings
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the machine's own locale and settings, and those of the test."""
        known = {name.upper() for name in Settings.model_fields}
        chosen = {
            name: value
            for name, value in parent_environment(self.settings).items()
            if name in known
        }
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **chosen}

    def __call__(
        self, *arguments: str, code: int | None = DONE, typed: str = "", **variables: str
    ) -> Ended:
        """Run one command; ``code`` is the exit code that it must have."""
        ended = subprocess.run(
            [*SATUPETA, *arguments],
            cwd=self.folder,
            env={**self.environment, **variables},
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        leaks.look(ended.stderr, f"what satupeta {arguments[:2]} said")
        assert code is None or ended.returncode == code, ended
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended

    def inside(
        self, *arguments: str, code: int | None = DONE, typed: str = "", **variables: str
    ) -> Ended:
        """Run one command in the process of the tests: what differs little from another run."""
        output, errors, ended = io.StringIO(), io.StringIO(), 0
        with (
            mock.patch.dict(os.environ, {**self.environment, **variables}, clear=True),
            mock.patch.object(sys, "argv", ["satupeta", *arguments]),
            mock.patch.object(sys, "stdin", io.StringIO(typed)),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
        ):
            try:
                main()
            except SystemExit as end:
                ended = int(end.code or 0)
        leaks.look(errors.getvalue(), f"what satupeta {arguments[:2]} said")
        assert code is None or ended == code, errors.getvalue()
        return Ended(arguments, ended, output.getvalue(), errors.getvalue())

    def json(self, *arguments: str, code: int | None = DONE, **variables: str) -> Any:
        """What a command gives with ``--json``."""
        return json.loads(self.inside(*arguments, "--json", code=code, **variables).stdout)

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement in the test's database, and give its rows."""
        url = self.settings.database_url
        connection = psycopg2.connect(url.get_secret_value() if url else "")
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            rows: list[tuple[Any, ...]] = cursor.fetchall() if cursor.description else []
        connection.close()
        return rows

    def audit(self) -> list[tuple[Any, ...]]:
        """Action, subject and command of all audit records, in their order."""
        return self.rows("SELECT action, subject, command FROM audit_log ORDER BY id")
