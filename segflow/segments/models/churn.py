"""Churn, the risk that a customer is lost, judged by the customer's own rhythm of buying.

P(alive), the chance to be still a customer, is that of the MBG/NBD model (segments/mbg_nbd.py). A weekly buyer's
silence becomes an alarm after weeks, a yearly buyer's after years.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Self

import numpy as np
from pydantic import Field, model_validator

from segflow.schemas.section import Chance, Section
from segflow.segments.cuts import Cuts
from segflow.segments.declaration import Common, Declaration
from segflow.segments.explain import Case, span
from segflow.segments.facts import Facts, Labels, Rows, Times
from segflow.segments.instant import NEVER, SECOND_US, UNKNOWN, second_after
from segflow.segments.mbg_nbd import WEEK_US, History, falls_to_weeks, p_alive
from segflow.segments.not_computable import all_computed
from segflow.segments.purchase_days import DAY_MASK, LATEST_DAY, PURCHASE_DAYS, with_purchase
from segflow.segments.record_section import Happened, Kept, RecordSection
from segflow.segments.slots import united

LABELS: Final = ("none", "lost", "high", "medium", "low")
NONE, LOST, HIGH, MEDIUM, LOW = range(len(LABELS))

Thresholds = tuple[float, float, float]
"""P(alive) from which on the risk is low, medium and high: between zero and one, descending."""


class ChurnThresholds(Section):
    """The chance to be still a customer from which on the risk is low, medium, high. Below, the customer is lost."""

    low_from: Chance = Decimal("0.7")
    medium_from: Chance = Decimal("0.4")
    high_from: Chance = Decimal("0.1")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.high_from < self.medium_from < self.low_from:
            raise ValueError("high_from must be below medium_from, and that below low_from")
        return self


class Churn(ChurnThresholds):
    """The churn dimension: the chance to be still a customer, by each customer's own rhythm of buying."""

    one_time: ChurnThresholds | None = Field(
        None, description="thresholds of customers with a single purchase day, a special case; null: as above"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ChurnModel:
    """The model: by the highest threshold that P(alive) has not yet fallen to.

    A label holds until the first whole second after P(alive) falls to its threshold. `none` (neutral) is a customer
    without an order that counts.
    """

    thresholds: Thresholds
    one_time: Thresholds  # of customers of a single purchase day
    name: str = "churn"
    labels: tuple[str, ...] = LABELS
    start: int = NONE

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into LABELS, shape (n,): by the number of thresholds still ahead."""
        code = LOST + (at_us[:, None] < self._ends_us(facts, cuts)).sum(axis=1)
        return np.where(facts.orders == 0, NONE, code).astype(np.uint8)

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:
        """The time at which P(alive) falls to the threshold of the present label, shape (n,)."""
        own = labels[self.name].astype(np.intp)
        ends_us = self._ends_us(facts, cuts)[np.arange(len(at_us)), LOW - np.maximum(own, HIGH)]
        return np.where(own <= LOST, NEVER, ends_us)

    def explain(self, case: Case) -> list[str]:
        """The reasons of the label, in sentences that end in it."""
        lines = [case.orders_said()]
        if case.label == "none":
            return [*lines, "Without an order that counts: none."]
        history, parameters = History.of(case.facts), case.cuts.parameters.mbg_nbd
        age_us = max(case.at_us - case.fact("first_us"), 0)
        chance = float(p_alive(parameters, history, np.array([age_us / WEEK_US]))[0])
        days = int(history.repeats[0]) + 1
        low, medium, high = self.one_time if days == 1 else self.thresholds
        bought = f"{days} purchase day{'s' * (days != 1)}"
        begins = f"low from {low:g}, medium from {medium:g}, high from {high:g}"
        lasted = span(case.fact("last_us") - case.fact("first_us"))
        fitted = f"r {parameters.r:g}, alpha {parameters.alpha_weeks:g} weeks, a {parameters.a:g}, b {parameters.b:g}"
        return [
            *lines,
            f"{bought}; the first to the latest {lasted}, the first to now {span(age_us)}.",
            f"MBG/NBD with {fitted} gives a chance of {chance:.3f} that this is still a customer.",
            f"{begins}, held to the whole second after: {case.label}.",
        ]

    def _ends_us(self, facts: Facts, cuts: Cuts) -> Times:
        """The result of `_crossings`, computed once for the same facts."""
        return facts.once((self, cuts.parameters), lambda: self._crossings(facts, cuts))

    def _crossings(self, facts: Facts, cuts: Cuts) -> Times:
        """Until when each customer's risk is low, medium and high, shape (n, 3); never earlier than the one before.

        Raises:
            NotComputableError: there is no telling.
        """
        history = History.of(facts)
        once = (history.repeats == 0)[:, None]
        chance = np.where(once, self.one_time, self.thresholds)
        weeks = all_computed(falls_to_weeks(cuts.parameters.mbg_nbd, history, chance), self.name, cuts.parameters)
        first_s = np.where(facts.first_us == UNKNOWN, 0, facts.first_us) / SECOND_US
        ends_us = second_after(first_s[:, None] + weeks * (WEEK_US / SECOND_US))
        return np.maximum.accumulate(ends_us, axis=1)


def _build(own: Churn, _common: Common) -> ChurnModel:
    return ChurnModel(thresholds=_chances(own), one_time=_chances(own.one_time or own))


def _chances(thresholds: ChurnThresholds) -> Thresholds:
    return float(thresholds.low_from), float(thresholds.medium_from), float(thresholds.high_from)


def _apply(kept: Kept, happened: Happened, _slot_us: int) -> None:
    bought = happened.purchases
    latest, mask, days = kept[LATEST_DAY], kept[DAY_MASK], kept[PURCHASE_DAYS]
    rows = bought.rows
    latest[rows], mask[rows], days[rows] = with_purchase(latest[rows], mask[rows], days[rows], bought.occurred_us)


def _merge(kept: Kept, rows: Rows, other: Kept) -> None:
    """Merge the purchase days of two customers. A day in both masks counts once; older days count for both."""
    latest, mask, days = kept[LATEST_DAY], kept[DAY_MASK], kept[PURCHASE_DAYS]
    latest[rows], mask[rows], shared = united(latest[rows], mask[rows], other[LATEST_DAY], other[DAY_MASK])
    days[rows] += other[PURCHASE_DAYS] - shared


CHURN: Final = Declaration(
    name="churn",
    settings=Churn,
    labels=LABELS[::-1],
    build=_build,
    cuts=("parameters",),
    section=RecordSection(bit=5, facts=(LATEST_DAY, DAY_MASK, PURCHASE_DAYS), apply=_apply, merge=_merge),
)
