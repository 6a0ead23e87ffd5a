"""Quantile cuts: from a scan of the population to the next version of the cuts."""

from dataclasses import dataclass, field, replace
from typing import Final, Self

import numpy as np

from segments import histogram
from segments.cuts import Cuts
from segments.facts import Facts
from segments.histogram import Histogram

QUINTILES: Final = (0.2, 0.4, 0.6, 0.8)
STEADY: Final = 0.05
"""A cut that would move by less than this share keeps its old value, so that labels do not flap (design section 3)."""

Four = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """The living customers of a population, counted at one event time. Scans of parts add up."""

    recency: Histogram = field(default_factory=Histogram)
    frequency: Histogram = field(default_factory=Histogram)
    monetary: Histogram = field(default_factory=Histogram)

    @classmethod
    def of(cls, facts: Facts, at_us: int, churned_after_us: int) -> Self:
        """Count customers with an order that counts, whose latest purchase is less than `churned_after_us` old."""
        idle_us = facts.idle_us(np.full(len(facts.last_us), at_us))
        living = np.flatnonzero((facts.orders > 0) & (idle_us < churned_after_us))
        lived = facts.take(living)
        return cls(
            recency=histogram.count(np.maximum(idle_us[living], 0)),
            frequency=histogram.count(lived.orders),
            monetary=histogram.count(lived.net_minor),
        )

    @property
    def population(self) -> int:
        """How many customers were counted."""
        return self.frequency.total()

    def __add__(self, other: Self) -> Self:
        return replace(
            self,
            recency=self.recency + other.recency,
            frequency=self.frequency + other.frequency,
            monetary=self.monetary + other.monetary,
        )


def next_cuts(scan: Scan, held: Cuts, fixed: Cuts, min_population: int) -> Cuts | None:
    """The cuts to hold from now on, None where they stay as they are. The version is for the caller to set.

    Below `min_population` quantiles would be noise, and the fixed cuts hold.
    """
    if scan.population < min_population:
        new = fixed
    else:
        new = Cuts(
            version=held.version,
            recency_us=_steady(scan.recency, held.recency_us),
            frequency=_steady(scan.frequency, held.frequency),
            monetary_minor=_steady(scan.monetary, held.monetary_minor),
        )
    same = replace(new, version=held.version) == held
    return None if same else new


def _steady(counts: Histogram, held: Four) -> Four:
    """Quintile thresholds; those that hardly move keep their old value.

    Quantile scores count the cuts strictly below a value: on whole numbers, value >= cut + 1.
    """
    new = [cut + 1 for cut in histogram.quantiles(counts, QUINTILES)]
    kept = [old if abs(cut - old) < STEADY * abs(old) else cut for cut, old in zip(new, held, strict=True)]
    first, second, third, fourth = sorted(kept)  # a kept one may stand beyond a moved neighbour
    return first, second, third, fourth
