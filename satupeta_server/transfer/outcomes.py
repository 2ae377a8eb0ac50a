"""What became of each row, and of all of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """How a row ended."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one row ended; ``errors`` says by field why it failed."""

    line: int
    state: State
    errors: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Rules:
    """How rows meet what is stored."""

    may_create: bool = True
    may_update: bool = True

    def state(self, *, is_known: bool, differs: bool) -> State:
        """Say what becomes of a row that can be stored."""
        if not is_known:
            return State.CREATED if self.may_create else State.SKIPPED
        if not self.may_update:
            return State.SKIPPED
        return State.UPDATED if differs else State.UNCHANGED


@dataclass
class Totals:
    """How many rows ended how."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count one row."""
        self.counts[outcome.state] += 1

    @property
    def failed(self) -> int:
        """How many rows failed."""
        return self.counts[State.FAILED]

    def as_dict(self) -> dict[str, int]:
        """Give the number of rows of every state."""
        return {state.value: self.counts[state] for state in State}
