"""Engagement: browsing and buying together, fading by half in every half-life.

S(t) = sum of w_i * 2^-((t - t_i) / half_life). Kept as one number, L = log2 of the sum of w_i * 2^(t_i / half_life),
the times counted from the Unix epoch: then S(t) = 2^(L - t / half_life), a late event adds like any other, and S falls
below a threshold at the time half_life * (L - log2 threshold).
"""

from dataclasses import dataclass
from math import log2
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.segments.cuts import Cuts
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER, SECOND_US, second_after

LABELS: Final = ("dormant", "visitor", "active", "core")
DORMANT, VISITOR, ACTIVE, CORE = range(len(LABELS))
NOTHING: Final = float("-inf")
"""The level of a customer without an event: log2 of zero."""

Level = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Engagement:
    """By what S(t) has not yet fallen below. `dormant` (neutral) is the last.

    A label holds until the first whole second after S falls below its threshold.
    """

    half_life_us: int
    visitor_from: float
    active_from: float
    core_from: float
    name: str = "engagement"
    labels: tuple[str, ...] = LABELS
    start: int = DORMANT

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into LABELS, shape (n,): how many thresholds are still ahead."""
        code: Labels = (at_us[:, None] < self._ends_us(facts)).sum(axis=1).astype(np.uint8)
        return code

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:  # noqa: ARG002 - the Model's signature
        """When S falls below the threshold of the present label."""
        own = labels[self.name].astype(np.intp)
        ends_us = self._ends_us(facts)[np.arange(len(at_us)), np.maximum(own, VISITOR) - 1]
        return np.where(own == DORMANT, NEVER, ends_us)

    def _ends_us(self, facts: Facts) -> Times:
        """As `_crossings` gives them, once for the same facts."""
        return facts.once(self, lambda: self._crossings(facts))

    def _crossings(self, facts: Facts) -> Times:
        """Until when each customer is visitor, active and core, shape (n, 3); never later than the one before."""
        thresholds = np.array([log2(each) for each in (self.visitor_from, self.active_from, self.core_from)])
        ends_s = (facts.level_log2[:, None] - thresholds) * (self.half_life_us / SECOND_US)
        return second_after(ends_s)


def weight_log2(weight: float) -> float:
    """log2 of a weight, NOTHING of zero."""
    return log2(weight) if weight > 0 else NOTHING


def level_of(weights_log2: Level, times_us: Times, half_life_us: int) -> Level:
    """The level that each of n events would give alone."""
    level: Level = weights_log2 + times_us / half_life_us
    return level


def with_event(held: Level, level: Level) -> Level:
    """The level of n customers after an event of each."""
    total: Level = np.logaddexp2(held, level)
    return total
