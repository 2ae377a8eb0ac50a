"""What became of each record of the other portal, and of all of them."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Fate(StrEnum):
    """How a record ended."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    MAPPED = "mapped"
    """A record here has another id and the same name or code, and stands for it."""
    SKIPPED = "skipped"
    FAILED = "failed"


CHANGES = (Fate.CREATED, Fate.UPDATED)

Reasons = Mapping[str, Sequence[str]]
"""Sentences by field; under no field what concerns the record as a whole."""


@dataclass(frozen=True, slots=True)
class Entry:
    """How one record ended, and why; ``is_incomplete`` says that a value of it did not come."""

    resource: str
    id: uuid.UUID | str | int | None
    name: str | None
    fate: Fate
    reasons: Reasons = field(default_factory=dict)
    is_incomplete: bool = False

    @property
    def reason(self) -> str:
        """The reasons as one text."""
        parts = [
            f"{name}: {' '.join(texts)}" if name else " ".join(texts)
            for name, texts in self.reasons.items()
        ]
        return " ".join(parts)

    def as_row(self) -> dict[str, Any]:
        """Give the line of a report."""
        return {
            "resource": self.resource,
            "id": _writable(self.id),
            "name": _writable(self.name),
            "outcome": self.fate.value,
            "reason": _writable(self.reason or None),
        }


def _writable(value: object) -> str | None:
    """Give a text without the halves of letters that no file can hold."""
    return None if value is None else str(value).encode("utf-8", "replace").decode()


REPORT_COLUMNS = ("resource", "id", "name", "outcome", "reason")
TOTAL_COLUMNS = ("resource", *(fate.value for fate in Fate), "incomplete")


@dataclass
class Tally:
    """How many records of each resource ended how."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Count one record."""
        counter = self.counts.setdefault(entry.resource, Counter())
        counter[entry.fate.value] += 1
        counter["incomplete"] += entry.is_incomplete

    @property
    def is_whole(self) -> bool:
        """Whether everything came, with all its values."""
        lacking = (Fate.FAILED.value, "incomplete")
        return not any(counter[name] for counter in self.counts.values() for name in lacking)

    def rows(self) -> list[dict[str, Any]]:
        """Give a line for each resource."""
        return [
            {"resource": resource, **{name: counter[name] for name in TOTAL_COLUMNS[1:]}}
            for resource, counter in self.counts.items()
        ]
