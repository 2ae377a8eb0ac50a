"""What a request cost: told to the log and to the figures once it is answered."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(slots=True)
class Spent:
    """What one request has spent on the database so far."""

    request_id: str
    statements: int = 0
    seconds: float = 0.0
    """Of all its statements together."""

    def add(self, seconds: float) -> None:
        """Note a statement."""
        self.statements += 1
        self.seconds += seconds


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
