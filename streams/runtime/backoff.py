"""Backoff: pauses between tries, growing to a bound, with jitter so that clients that wait together spread out."""

import random
from dataclasses import dataclass, field
from math import inf


@dataclass(slots=True)
class Backoff:
    """Exponential backoff with jitter.

    Each pause may be twice as long as the one before, up to `longest_s`; up to half of it is left out at random. After
    more than `steady_s` without a failure the next pause is the first again.
    """

    first_s: float
    longest_s: float
    steady_s: float = inf
    _next_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """It went well: begin with the first again."""
        self._next_s = self.first_s

    def next_s(self, after_s: float = 0.0) -> float:
        """The next pause, seconds; `after_s`: for how long things went well before."""
        if after_s > self.steady_s:
            self.reset()
        pause_s, self._next_s = self._next_s, min(self.longest_s, self._next_s * 2)
        return pause_s * random.uniform(0.5, 1)  # noqa: S311 - it spreads tries, it keeps no secret
