"""Scans of all shards for one re-cut, gathered from the control topic."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from segflow.engine.columns.messages import Message
from segflow.segments.histogram import Histogram
from segflow.segments.instant import UNKNOWN
from segflow.segments.recut import PopulationHistograms

FINE_WORTH: Final = "fine_worth"
"""In bins of FINE_RATIO; `worth` of earlier versions had those of RATIO."""


def message(scan: PopulationHistograms, boundary_us: int, partition: int) -> Message:
    """One shard's scan as a control record."""
    value = {"kind": "histogram", "at_us": boundary_us, "partition": partition}
    value |= {"living": scan.living}
    value |= {name: sorted(getattr(scan, name).items()) for name in ("recency", "frequency", "monetary", "money")}
    value |= {FINE_WORTH: sorted(scan.worth.items())}
    return Message(key=f"histogram-{partition}".encode(), value=json.dumps(value).encode(), headers=[])


@dataclass(slots=True)
class ShardScans:
    """The latest boundaries' scans by shard. Only boundaries after the last answered one are kept."""

    _scans: dict[int, dict[int, PopulationHistograms]] = field(default_factory=dict)
    answered_us: int = UNKNOWN  # the latest boundary that cuts were decided for

    def add(self, content: dict[str, Any]) -> None:
        """Take a control record of kind histogram.

        Not one of an earlier version with clv's worth in bins ten times as wide. Its shard scans again.
        """
        at_us = content["at_us"]
        if at_us > self.answered_us and not content.get("worth"):
            self._scans.setdefault(at_us, {})[content["partition"]] = PopulationHistograms(
                recency=_histogram(content["recency"]),
                frequency=_histogram(content["frequency"]),
                monetary=_histogram(content["monetary"]),
                living=content.get(
                    "living", sum(count for _, count in content["frequency"])
                ),  # before windows: the same
                worth=_histogram(content.get(FINE_WORTH, [])),  # likewise without those of clv
                money=_histogram(content.get("money", [])),  # a worker without cuts of value did not write it
            )

    def answered(self, at_us: int) -> None:
        """Cuts were decided for a boundary: its scans and all before it are done with."""
        self.answered_us = max(at_us, self.answered_us)
        self._scans = {each: scans for each, scans in self._scans.items() if each > self.answered_us}

    def begin_anew(self) -> None:
        """Customers are divided in another way: each shard has to be scanned again."""
        self._scans = {}

    @property
    def asked_us(self) -> int:
        """The latest boundary any shard has scanned for, UNKNOWN where all are answered."""
        return max(self._scans, default=UNKNOWN)

    def complete(self, shards: int) -> tuple[int, PopulationHistograms] | None:
        """The latest boundary for which every shard has been scanned, with the whole population's scan."""
        for at_us in sorted(self._scans, reverse=True):
            scans = self._scans[at_us]
            if len(scans) == shards:
                return at_us, sum(scans.values(), start=PopulationHistograms())
        return None


def _histogram(pairs: list[list[int]]) -> Histogram:
    return Counter({each[0]: each[1] for each in pairs})
