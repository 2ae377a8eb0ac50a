"""Which theme, place, year and edition the mapset of each number has.

Every number has its own, without an end and without a list of them in memory: even numbers are of
East Java, odd ones of all Indonesia; the themes take turns; each theme walks through all its pairs
of place and year by a step that shares no divisor with their count, so that it meets each of them
once, and then begins the next edition.
"""

import functools
from dataclasses import dataclass
from math import gcd

from satupeta_server.seed.sample.places import Place, read_places
from satupeta_server.seed.sample.themes import Theme, read_themes

YEARS = tuple(range(2019, 2027))

_GOLDEN = 0.618
_SHIFT = 7919


@dataclass(frozen=True, slots=True)
class Subject:
    """What one mapset is about; no other one has the same four."""

    theme: Theme
    place: Place
    year: int
    edition: int

    @property
    def is_local(self) -> bool:
        """Tell whether an agency of East Java made it."""
        return self.place.is_in_east_java

    @property
    def producer(self) -> str:
        """The key of the agency that made it."""
        theme = self.theme
        return theme.local_producer if self.is_local else theme.national_producer


class Subjects:
    """All subjects, by number from 0."""

    def __init__(self) -> None:
        places = read_places()
        self._themes = read_themes()
        local = [place for place in places if place.is_in_east_java]
        others = [place for place in places if not place.is_in_east_java]
        self._pools = tuple(
            (pool, [place for place in pool if place.is_coastal]) for pool in (local, others)
        )

    def __getitem__(self, index: int) -> Subject:
        ordinal, pool = divmod(index, 2)
        turn, number = divmod(ordinal, len(self._themes))
        theme = self._themes[number]
        places = self._pools[pool][theme.is_coastal]
        size = len(places) * len(YEARS)
        edition, step = divmod(turn, size)
        place, year = divmod((step * _stride(size) + number * _SHIFT) % size, len(YEARS))
        return Subject(theme, places[place], YEARS[year], edition + 1)


@functools.cache
def _stride(size: int) -> int:
    return next(step for step in range(int(size * _GOLDEN), 2 * size) if gcd(step, size) == 1)
