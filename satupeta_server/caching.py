"""Keeping what is the same for everybody, until something changes."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from satupeta_server.changes import Changes
from satupeta_server.tasks import spawn

LARGEST_PART = 8
"""No single entry takes more than this part of the room: one over it."""


class Sized(Protocol):
    """What can be kept."""

    @property
    def size(self) -> int:
        """The bytes of memory that it takes; may grow as it is used."""


@dataclass
class _Shared:
    """Work that is done once, and how many wait for it."""

    task: asyncio.Task[Any]
    waiting: int = 0


Entry = TypeVar("Entry", bound=Sized)
Result = TypeVar("Result")


class Cache(Generic[Entry]):
    """Entries by their keys within a number of bytes; what was not used for longest goes first.

    Without room, or while changes would not be heard of, nothing is kept or shared.
    """

    def __init__(self, room: int, changes: Changes) -> None:
        self.room = room
        """The bytes that the entries may take."""
        self._changes = changes
        self._version = changes.version
        self._entries: OrderedDict[str, tuple[Entry, int]] = OrderedDict()
        self._under_way: dict[tuple[str, int], _Shared] = {}
        self.size = 0
        """The bytes that the entries take."""

    @property
    def is_on(self) -> bool:
        """Whether anything may be kept and shared now."""
        return self.room > 0 and self._changes.is_known

    def get(self, key: str) -> Entry | None:
        """Give what is kept under a key, if it is sure to be up to date."""
        if self._version != self._changes.version:
            self._forget_all()
            return None
        found = self._entries.get(key)
        if found is None or not self._changes.is_known:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def has_room(self, key: str, size: int, version: int | None) -> bool:
        """Tell whether an answer that was begun at a version could still be kept."""
        if version != self._changes.version or not self.is_on:
            return False
        return key not in self._entries and size * LARGEST_PART <= self.room

    def keep(self, key: str, entry: Entry) -> None:
        """Keep an entry; the same again after it has grown."""
        if self._version != self._changes.version:
            self._forget_all()
        if key in self._entries:
            self.size -= self._entries.pop(key)[1]
        size = entry.size + len(key)
        self._entries[key] = entry, size
        self.size += size
        while self.size > self.room:
            self.size -= self._entries.popitem(last=False)[1][1]

    async def once(
        self, key: str, work: Callable[[], Coroutine[Any, Any, Result]]
    ) -> tuple[Result, int | None]:
        """Do some work once for all who ask for it at the same moment.

        Gives its result, and the version at which it was begun (None: do not keep it). It is
        stopped only once nobody waits for it any more; what it raises is raised to all.
        """
        if not self.is_on:
            return await work(), None
        version = self._changes.version
        shared = self._under_way.get((key, version))
        if shared is None:
            shared = self._under_way[key, version] = _Shared(spawn(work()))
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task), version
        finally:
            shared.waiting -= 1
            if not shared.waiting:
                del self._under_way[key, version]
                shared.task.cancel()

    def _forget_all(self) -> None:
        self._entries.clear()
        self.size = 0
        self._version = self._changes.version
