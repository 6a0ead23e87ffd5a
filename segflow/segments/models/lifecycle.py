"""Lifecycle, the stage of a customer: prospect, new, active, loyal, reactivated, at risk, churned."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from segflow.schemas.duration import Duration
from segflow.schemas.section import Count, Section
from segflow.segments.cuts import Cuts
from segflow.segments.declaration import Common, Declaration
from segflow.segments.explain import Case, span
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER, UNKNOWN, after, duration_us
from segflow.segments.model import NO_LABEL

LABELS: Final = ("prospect", "new", "active", "loyal", "reactivated", "at_risk", "churned")
PROSPECT, NEW, ACTIVE, LOYAL, REACTIVATED, AT_RISK, CHURNED = range(len(LABELS))


class Lifecycle(Section):
    """The lifecycle dimension: the thresholds between its stages."""

    at_risk_after: Duration = timedelta(days=60)
    churned_after: Duration = timedelta(days=180)
    loyal_orders: Count = 5
    reactivated_for: Duration = timedelta(days=30)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not timedelta(0) < self.at_risk_after < self.churned_after:
            raise ValueError("at_risk_after must be above zero and below churned_after")
        if self.reactivated_for <= timedelta(0):
            raise ValueError("reactivated_for must be above zero")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class LifecycleModel:
    """The model. The first row of the contract's table that holds gives the label (docs/contract.md#dimensions)."""

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
        """The earliest ahead of: the end of `reactivated`, at risk, churned; shape (n,)."""
        own = labels[self.name]
        settled = (own == PROSPECT) | (own == CHURNED)
        due = np.where(own == AT_RISK, after(facts.last_us, self.churned_after_us), NEVER)
        fresh = ~settled & (own != AT_RISK)
        due = np.where(fresh, after(facts.last_us, min(self.at_risk_after_us, self.churned_after_us)), due)
        ends = np.minimum(due, after(facts.last_us, self.reactivated_for_us))
        return np.where(own == REACTIVATED, ends, due)

    def explain(self, case: Case) -> list[str]:
        """The reasons of the label, in sentences that end in it."""
        at_risk, churned = span(self.at_risk_after_us), span(self.churned_after_us)
        facts = [case.orders_said(), case.idle_said()]
        if case.label == "prospect":
            return [*facts, "Without an order that counts: prospect."]
        idle = span(case.idle_us)
        if case.label == "churned":
            return [*facts, f"{idle} is {churned} (churned_after) or more: churned."]
        if case.label == "at_risk":
            return [
                *facts,
                f"{idle} is {at_risk} (at_risk_after) or more, and less than {churned} (churned_after): at_risk.",
            ]
        facts.append(f"{idle} is less than {at_risk} (at_risk_after).")
        before_us = case.fact("before_last_us")
        if before_us != UNKNOWN:
            gap = span(case.fact("last_us") - before_us)
            back = case.fact("last_us") - before_us >= self.at_risk_after_us
            facts.append(
                f"The purchase before was {gap} earlier, which is {'' if back else 'less than '}{at_risk}"
                f"{' or more' if back else ''}."
            )
            if case.label == "reactivated":
                return [*facts, f"Idle for less than {span(self.reactivated_for_us)} (reactivated_for): reactivated."]
        orders, least = case.fact("orders"), self.loyal_orders
        reason = {
            "loyal": f"{orders} orders are {least} (loyal_orders) or more: loyal.",
            "active": f"{orders} orders are 2 or more, and less than {least} (loyal_orders): active.",
            "new": "One order: new.",
        }
        return [*facts, reason[str(case.label)]]

    def _came_back(self, facts: Facts) -> npt.NDArray[np.bool_]:
        """Whether the latest purchase came `at_risk_after` or more after the one before it, shape (n,)."""
        has_two = facts.before_last_us != UNKNOWN
        gap_us = np.where(has_two, facts.last_us, 0) - np.where(has_two, facts.before_last_us, 0)
        came_back: npt.NDArray[np.bool_] = has_two & (gap_us >= self.at_risk_after_us)
        return came_back


def _build(own: Lifecycle, _common: Common) -> LifecycleModel:
    return LifecycleModel(
        at_risk_after_us=duration_us(own.at_risk_after),
        churned_after_us=duration_us(own.churned_after),
        loyal_orders=own.loyal_orders,
        reactivated_for_us=duration_us(own.reactivated_for),
    )


LIFECYCLE: Final = Declaration(name="lifecycle", settings=Lifecycle, labels=LABELS, build=_build, slot=0)
