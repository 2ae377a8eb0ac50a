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

    @property
    def warmup(self) -> float:
        """Seconds before a round, which do not count."""
        return self.seconds / 4

    @property
    def longest(self) -> float:
        """Seconds after which no more requests of a fixed number are sent."""
        return 4 * self.seconds

    @staticmethod
    def say(text: str) -> None:
        """Tell how far it is."""
        print(f"  {text}", file=sys.stderr, flush=True)
