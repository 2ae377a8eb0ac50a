"""What a run is asked to do."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Sizes and times of a run."""

    mapsets: int
    sizes: tuple[int, ...]
    """From the smallest to the largest database whose times are compared."""
    rounds: int
    seconds: float
    """Of one round."""
    warmup: float
    longest: float
    """Seconds after which no more requests of a fixed number are sent."""

    @classmethod
    def of(cls, mapsets: int, *, million: bool, quick: bool) -> "Options":
        """The times of a short or of a whole run."""
        sizes = (mapsets, 10 * mapsets, *([1_000_000] if million else []))
        if quick:
            return cls(mapsets, sizes, rounds=1, seconds=1, warmup=0.3, longest=3)
        return cls(mapsets, sizes, rounds=3, seconds=4, warmup=1, longest=15)

    @staticmethod
    def say(text: str) -> None:
        """Tell how far it is."""
        print(f"  {text}", file=sys.stderr, flush=True)
