"""Lifecycle: prospect, new, active, loyal, at risk, churned, reactivated."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.segments.cuts import Cuts
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER, UNKNOWN, after
from segflow.segments.model import NO_LABEL

LABELS: Final = ("prospect", "new", "active", "loyal", "reactivated", "at_risk", "churned")
PROSPECT, NEW, ACTIVE, LOYAL, REACTIVATED, AT_RISK, CHURNED = range(len(LABELS))


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifecycle:
    """Where a customer stands between the first purchase and the last. Rows of the table are tried in order."""

    at_risk_after_us: int
    churned_after_us: int
    loyal_orders: int
    reactivated_for_us: int
    name: str = "lifecycle"
    labels: tuple[str, ...] = LABELS
    start: int = NO_LABEL

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into LABELS, shape (n,)."""
        orders = facts.orders
        idle_us = facts.idle_us(at_us)
        code = np.where(orders >= 2, ACTIVE, NEW)
        code = np.where(orders >= self.loyal_orders, LOYAL, code)
        code = np.where((idle_us < self.reactivated_for_us) & self._came_back(facts), REACTIVATED, code)
        code = np.where(idle_us >= self.at_risk_after_us, AT_RISK, code)
        code = np.where(idle_us >= self.churned_after_us, CHURNED, code)
        return np.where(orders == 0, PROSPECT, code).astype(np.uint8)

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:  # noqa: ARG002 - the Model's signature
        """The next of: the end of `reactivated`, at risk, churned."""
        own = labels[self.name]
        settled = (own == PROSPECT) | (own == CHURNED)
        due = np.where(own == AT_RISK, after(facts.last_us, self.churned_after_us), NEVER)
        fresh = ~settled & (own != AT_RISK)
        due = np.where(fresh, after(facts.last_us, min(self.at_risk_after_us, self.churned_after_us)), due)
        ends = np.minimum(due, after(facts.last_us, self.reactivated_for_us))
        return np.where(own == REACTIVATED, ends, due)

    def _came_back(self, facts: Facts) -> npt.NDArray[np.bool_]:
        """Whether the latest purchase came `at_risk_after` or more after the one before it."""
        has_two = facts.before_last_us != UNKNOWN
        gap_us = np.where(has_two, facts.last_us, 0) - np.where(has_two, facts.before_last_us, 0)
        came_back: npt.NDArray[np.bool_] = has_two & (gap_us >= self.at_risk_after_us)
        return came_back
