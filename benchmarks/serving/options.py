"""What a run is asked to do."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Sizes and times of a run."""

    mapsets: int
    rounds: int
    seconds: float
    warmup: float
    largest: int

    @staticmethod
    def say(text: str) -> None:
        """Tell how far it is."""
        print(f"  {text}", file=sys.stderr, flush=True)
