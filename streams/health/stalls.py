"""Partitions that are not read although there is something to read: pure bookkeeping for the watchdog."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Reach(NamedTuple):
    """The progress of one partition on its way into a shard."""

    position: int  # the consumer's
    arrived: int  # the shard's input buffer's


@dataclass(slots=True)
class Stalls:
    """Since when each partition that is behind has not moved."""

    _since: dict[tuple[str, int], tuple[Reach, float]] = field(default_factory=dict)

    def look(self, behind: Mapping[tuple[str, int], Reach], now_s: float) -> dict[tuple[str, int], float]:
        """For how many seconds each partition (topic, number) has stood still.

        Args:
            behind: those with something to read that nothing holds back. The time of any other partition
                starts at zero when it is among them again.
            now_s: a monotonic clock.
        """
        kept = {}
        for place, reach in behind.items():
            before = self._since.get(place)
            kept[place] = before if before is not None and before[0] == reach else (reach, now_s)
        self._since = kept
        return {place: now_s - since_s for place, (_, since_s) in kept.items()}
