"""Turns: nobody who asks much keeps the others from being answered."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Hashable
from dataclasses import dataclass, field

from satupeta_server.errors import UnavailableError
from satupeta_server.metrics import note_refusal

LONGEST_QUEUE = 1000
"""Requests of one caller that may wait; a portal's page sends a few hundred at once."""


@dataclass
class _Line:
    """What one caller has under way, and what waits for that, in order."""

    under_way: int = 0
    waiting: deque["asyncio.Future[None]"] = field(default_factory=deque)


class Turns:
    """Lets each caller do so much at once; the rest of theirs waits in a queue of their own."""

    def __init__(self, at_once: int, longest_queue: int = LONGEST_QUEUE) -> None:
        self._at_once = at_once
        self._longest_queue = longest_queue
        self._lines: dict[Hashable, _Line] = {}

    @property
    def callers(self) -> int:
        """How many callers have anything under way."""
        return len(self._lines)

    @contextlib.asynccontextmanager
    async def take(self, caller: Hashable) -> AsyncIterator[None]:
        """Do what follows once it is this one's turn.

        Raises UnavailableError when too much of the same caller waits already.
        """
        line = self._lines.setdefault(caller, _Line())
        if line.under_way < self._at_once:
            line.under_way += 1
        else:
            await self._wait(caller, line)
        try:
            yield
        finally:
            self._pass_on(caller, line)

    async def _wait(self, caller: Hashable, line: _Line) -> None:
        if len(line.waiting) >= self._longest_queue:
            note_refusal("turn")
            raise UnavailableError
        turn = asyncio.get_running_loop().create_future()
        line.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # It came at the very moment in which it was given up.
                self._pass_on(caller, line)
            elif turn in line.waiting:
                line.waiting.remove(turn)
            raise

    def _pass_on(self, caller: Hashable, line: _Line) -> None:
        """Give the turn to the first who still waits, or back."""
        while line.waiting:
            turn = line.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        line.under_way -= 1
        if not line.under_way:
            del self._lines[caller]
