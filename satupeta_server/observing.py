"""What a request cost: told to the log and to the figures once it is answered."""

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple

keeps_parts = False
"""Whether somebody wants to know of each statement and storage call, and not only of their sums."""


class Part(NamedTuple):
    """Something that a request waited for: a statement, without its values, or a storage call."""

    kind: str
    name: str
    begin: int
    """In nanoseconds since 1970."""
    seconds: float


@dataclass(slots=True)
class Spent:
    """What one request has spent on the database so far."""

    request_id: str
    statements: int = 0
    seconds: float = 0.0
    """Of all its statements together."""
    parts: list[Part] = field(default_factory=list)

    def add(self, seconds: float, statement: str) -> None:
        """Note a statement."""
        self.statements += 1
        self.seconds += seconds
        if keeps_parts:
            self.keep("statement", statement, seconds)

    def keep(self, kind: str, name: str, seconds: float) -> None:
        """Keep a part that has just ended."""
        self.parts.append(Part(kind, name, time.time_ns() - int(seconds * 1e9), seconds))


spent: ContextVar[Spent | None] = ContextVar("spent", default=None)
"""Of the request that the current task works for, if it works for one."""


class Finished(NamedTuple):
    """A request that was answered."""

    method: str
    route: str
    """The pattern of its path, such as ``/api/mapsets/{mapset_id}``; ``-`` for an unknown one."""
    path: str
    status: int
    seconds: float
    request_id: str
    user_id: str | None = None
    address: str | None = None
    spent: Spent | None = None
    is_kept: bool = False
    """Whether the answer was kept from an earlier request."""
    agent: str = ""
    """What the client says it is."""
    traceparent: str = ""
    """The trace that the caller works in (W3C Trace Context), if it says so."""
