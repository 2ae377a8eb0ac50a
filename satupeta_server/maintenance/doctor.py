"""Examining an installation: every check is a line that says what is wrong and what to do.

Checks run side by side, each in a thread of its own and within a time limit, and never raise: a
database that is dead is a finding, and what needs it is skipped.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psycopg2

from satupeta_server.errors import AppError
from satupeta_server.settings import Settings

State = Literal["ok", "warning", "problem", "skipped"]

PATIENCE_SECONDS = 8.0
"""How long the checks of one round may take."""


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do about it."""

    state: State
    text: str
    advice: str = ""


@dataclass(frozen=True)
class Patient:
    """What is examined; without settings there is only the reason why."""

    settings: Settings | None
    env_file: Path
    refusal: str = ""

    @property
    def known_settings(self) -> Settings:
        """The settings, for checks that need the one of the configuration."""
        if self.settings is None:
            raise AppError
        return self.settings


@dataclass(frozen=True)
class Check:
    """One thing to look at, once those that it needs are well."""

    name: str
    look: Callable[[Patient], Finding]
    needs: tuple[str, ...] = ("configuration",)


@dataclass
class _Round:
    """Checks that run at the same time."""

    patient: Patient
    findings: dict[str, Finding] = field(default_factory=dict)

    def run(self, checks: Sequence[Check], seconds: float) -> Mapping[str, Finding]:
        # Daemons: one that hangs in a driver must not keep the process from ending.
        threads = [
            threading.Thread(target=self._look, args=(check,), daemon=True) for check in checks
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + seconds
        for thread in threads:
            thread.join(max(0, deadline - time.monotonic()))
        late = Finding("problem", f"gave no answer within {seconds:g} seconds")
        return {check.name: self.findings.get(check.name, late) for check in checks}

    def _look(self, check: Check) -> None:
        try:
            finding = check.look(self.patient)
        except (psycopg2.Error, OSError) as error:
            finding = Finding("problem", _first_line(error))
        except Exception as error:  # noqa: BLE001  a check that fails is a finding, too
            finding = Finding("problem", f"the check ended with {type(error).__name__}")
        self.findings[check.name] = finding


def examine(
    patient: Patient, checks: Sequence[Check], seconds: float = PATIENCE_SECONDS
) -> dict[str, Finding]:
    """Run all checks, those that need others after them; gives what each found, in order."""
    found: dict[str, Finding] = {}
    waiting = list(checks)
    while waiting:
        for check in [one for one in waiting if _missing(one, found)]:
            found[check.name] = Finding("skipped", f"needs {_missing(check, found)}")
            waiting.remove(check)
        ready = [check for check in waiting if found.keys() >= set(check.needs)]
        found |= _Round(patient).run(ready, seconds)
        waiting = [check for check in waiting if check not in ready]
    return {check.name: found[check.name] for check in checks}


def _missing(check: Check, found: Mapping[str, Finding]) -> str:
    """Name the first check that this one needs and that did not go well."""
    ill = [name for name in check.needs if name in found and not _allows(found[name])]
    return ill[0] if ill else ""


def _allows(finding: Finding) -> bool:
    return finding.state in ("ok", "warning")


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def worst(findings: Sequence[Finding], well: str) -> Finding:
    """Put findings into one line, in the state of the worst; ``well`` where there are none."""
    if not findings:
        return Finding("ok", well)
    state: State = "problem" if any(one.state == "problem" for one in findings) else "warning"
    texts = "; ".join(one.text for one in findings)
    advice = "; ".join(dict.fromkeys(one.advice for one in findings if one.advice))
    return Finding(state, texts, advice)
