"""Secrets where none may stand: in logs, in what commands say, in arguments, in files.

The record factory and the hook below look at all that a run of the tests logs, in this process
and in those that it starts; the test during which a secret appears fails.
"""

import contextlib
import logging
import math
import re
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from satupeta_server.settings import Settings
from tests.world import CREDENTIAL_SECRET, PASSWORD

SHORTEST = 8
"""Shorter ones stand in ordinary text by chance."""

SHAPES = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}"),
    "a hash of a password": re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}"),
    "a login in an address": re.compile(
        # The one that says how an address looks is none.
        r"\b[a-z][a-z0-9+]*://(?!user:password@)[^\s:/@'\"{}<>$]*:[^\s/@'\"{}<>$]+@"
    ),
    "a key of Amazon": re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a key of Google": re.compile(r"\bAIza[\w-]{35}\b"),
    "a token of GitHub": re.compile(r"\b(gh[pousr]_\w{36}|github_pat_\w{22,})"),
    "a token of GitLab": re.compile(r"\bglpat-[\w-]{20}"),
    "a token of Slack": re.compile(r"\bxox[abprs]-[\w-]{10,}"),
    "a token of a package index": re.compile(r"\bpypi-[\w-]{50,}"),
    "a key of a payment service": re.compile(r"\b[sr]k_live_\w{20,}"),
}
"""What is a secret by its form alone."""

known: dict[str, str] = {
    PASSWORD: "a password",
    CREDENTIAL_SECRET["password"]: "a stored credential",
}
found: list[str] = []


def learn(settings: Settings) -> None:
    """From now on, the secrets of these settings are looked for."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if hasattr(value, "get_secret_value"):
            text = value.get_secret_value()
            # Of an address only the password is secret.
            secret = (urlsplit(text).password or "") if "://" in text else text
            if len(secret) >= SHORTEST:
                known[secret] = name.upper()


def secrets_in(text: str) -> list[str]:
    """What kinds of secrets a text holds."""
    named = [kind for secret, kind in known.items() if secret in text]
    return named + [kind for kind, shape in SHAPES.items() if shape.search(text)]


def look(text: str, where: str) -> None:
    """Remember the secrets that were logged."""
    found.extend(f"{kind} stands in {where}" for kind in secrets_in(text))


def taken() -> list[str]:
    """What was found since this was last asked."""
    seen = list(found)
    found.clear()
    return seen


def entropy(text: str) -> float:
    """Bits of information in each letter, by their frequency (Shannon)."""
    shares = (number / len(text) for number in Counter(text).values())
    return -sum(share * math.log2(share) for share in shares)


_make_record = logging.getLogRecordFactory()


def _looked_at(*arguments: Any, **named: Any) -> logging.LogRecord:
    record = _make_record(*arguments, **named)
    with contextlib.suppress(TypeError, ValueError):
        look(record.getMessage(), f"the log of {record.name}")
    if record.exc_info and record.exc_info[0]:
        look("".join(traceback.format_exception(*record.exc_info)), f"the log of {record.name}")
    return record


def watch() -> None:
    """Look at each record of the log from now on, whatever becomes of the handlers."""
    logging.setLogRecordFactory(_looked_at)
    for name in ("satupeta_server", "satupeta_cli"):
        logging.getLogger(name).setLevel(logging.INFO)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Fail the test during which a secret was logged."""
    report: Any = yield
    for title, text in report.sections:
        if "stderr" in title:
            look(text, title)
    if (seen := taken()) and report.passed:
        report.outcome = "failed"
        report.longrepr = "\n".join(seen)
    return report
