"""Churn: how likely it is that we lost this customer, judged by the customer's own rhythm.

The chance to be still a customer is that of the MBG/NBD model (segments/mbg_nbd.py), which makes an alarm of a weekly
buyer's silence after weeks and of a yearly buyer's after years.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from segflow.segments.cuts import Cuts
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER, SECOND_US, UNKNOWN, second_after
from segflow.segments.mbg_nbd import WEEK_US, History, falls_to_weeks

LABELS: Final = ("none", "lost", "high", "medium", "low")
NONE, LOST, HIGH, MEDIUM, LOW = range(len(LABELS))

Thresholds = tuple[float, float, float]
"""From which chance on, above zero and below one, the risk is low, medium, high; descending."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Churn:
    """By what the chance to be still a customer has not yet fallen to. `none` (neutral): no order that counts.

    A label holds until the first whole second after the chance falls to its threshold.
    """

    thresholds: Thresholds
    one_time: Thresholds  # of customers of a single purchase day
    name: str = "churn"
    labels: tuple[str, ...] = LABELS
    start: int = NONE

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into LABELS, shape (n,): how many thresholds are still ahead."""
        code = LOST + (at_us[:, None] < self._ends_us(facts, cuts)).sum(axis=1)
        return np.where(facts.orders == 0, NONE, code).astype(np.uint8)

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:
        """When the chance falls to the threshold of the present label."""
        own = labels[self.name].astype(np.intp)
        ends_us = self._ends_us(facts, cuts)[np.arange(len(at_us)), LOW - np.maximum(own, HIGH)]
        return np.where(own <= LOST, NEVER, ends_us)

    def _ends_us(self, facts: Facts, cuts: Cuts) -> Times:
        """As `_crossings` finds them, once for the same facts."""
        return facts.once((self, cuts.parameters), lambda: self._crossings(facts, cuts))

    def _crossings(self, facts: Facts, cuts: Cuts) -> Times:
        """Until when each customer's risk is low, medium and high, shape (n, 3); never earlier than the one before."""
        history = History.of(facts)
        once = (history.repeats == 0)[:, None]
        chance = np.where(once, self.one_time, self.thresholds)
        weeks = falls_to_weeks(cuts.parameters.mbg_nbd, history, chance)
        first_s = np.where(facts.first_us == UNKNOWN, 0, facts.first_us) / SECOND_US
        ends_us = second_after(first_s[:, None] + weeks * (WEEK_US / SECOND_US))
        return np.maximum.accumulate(ends_us, axis=1)
