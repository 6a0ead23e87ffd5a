"""CLV, the worth of a customer in the future: expected purchases within a horizon times the expected money of each.

Purchases are by MBG/NBD (segments/mbg_nbd.py), money is by Gamma-Gamma (segments/gamma_gamma.py). In silence the worth
only falls, so under fixed cuts each class has an end. The end is computed; the worth is never evaluated for a label.
Terciles compare everybody at the moment of the cut. There the worth is evaluated, and silence ends no class.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from segflow.schemas.section import Money, Section, Wait
from segflow.segments.cuts import Cuts, crossed
from segflow.segments.declaration import Common, Declaration
from segflow.segments.explain import Case
from segflow.segments.facts import Facts, Labels, Rows, Times
from segflow.segments.gamma_gamma import expected_money
from segflow.segments.instant import NEVER, SECOND_US, UNKNOWN, duration_us, second_after, to_text
from segflow.segments.mbg_nbd import WEEK_US, History, Values, expected_falls_to_weeks, expected_purchases
from segflow.segments.not_computable import all_computed
from segflow.segments.parameters import Parameters
from segflow.segments.purchase_days import FIRST_DAY_MINOR, first_day_of_both, with_first_day
from segflow.segments.record_section import Happened, Kept, RecordSection

LABELS: Final = ("none", "low", "medium", "high")
NONE, LOW, MEDIUM, HIGH = range(len(LABELS))
WORTH_MOST: Final = 2.0**62
"""The largest worth, minor units: beyond all money there is, and still a whole number of 64 bits."""


class ClvCuts(Section):
    """The worth from which on a customer is in a class, in major units of `currency`. Below both it is low."""

    high_from: Money = Decimal(100)
    medium_from: Money = Decimal(25)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 < self.medium_from < self.high_from:
            raise ValueError("medium_from must be above zero and below high_from")
        return self


class Clv(Section):
    """The clv dimension: the worth of a customer in the future, expected purchases times expected money."""

    horizon: Wait = Field(timedelta(weeks=26), description="span ahead in which purchases are expected")
    cuts: Literal["fixed", "terciles"] = Field(
        "fixed", description="terciles: of the living customers, computed again on the schedule of `recut`"
    )
    fixed: ClvCuts = ClvCuts()


@dataclass(frozen=True, kw_only=True, slots=True)
class ClvModel:
    """The model: by the highest cut that the worth has not yet fallen below.

    Under fixed cuts a class holds until the first whole second at which the worth is below its cut; under terciles
    until the next cut or event. `none` (neutral) is a customer without an order that counts.
    """

    horizon_weeks: float
    minor_per_major: int
    name: str = "clv"
    labels: tuple[str, ...] = LABELS
    start: int = NONE

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into LABELS, shape (n,): by the number of cuts still ahead."""
        if cuts.clv_at_us is None:
            code = LOW + (at_us[:, None] < self._ends_us(facts, cuts)).sum(axis=1)
        else:
            code = LOW + crossed(self._compared_minor(facts, at_us, cuts), cuts.clv_minor)
        return np.where(facts.orders == 0, NONE, code).astype(np.uint8)

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:
        """The time at which the worth falls below the cut of the present class, shape (n,).

        Never under cuts of the population, which look at the worth as of their own moment.
        """
        if cuts.clv_at_us is not None:
            return np.full(len(at_us), NEVER, dtype=np.int64)
        own = labels[self.name].astype(np.intp)
        ends_us = self._ends_us(facts, cuts)[np.arange(len(at_us)), HIGH - np.maximum(own, MEDIUM)]
        return np.where(own <= LOW, NEVER, ends_us)

    def explain(self, case: Case) -> list[str]:
        """The reasons of the label, in sentences that end in it."""
        lines = [case.orders_said()]
        if case.label == "none":
            return [*lines, "Without an order that counts: none."]
        history, parameters = History.of(case.facts), case.cuts.parameters
        at_us = int(case.facts.compared_us(np.array([case.at_us]), case.cuts.clv_at_us)[0])
        age_weeks = np.maximum(np.array([(at_us - case.fact("first_us")) / WEEK_US]), history.recency_weeks)
        purchases = float(expected_purchases(parameters.mbg_nbd, history, age_weeks, self.horizon_weeks)[0])
        money = float(self.money(case.facts, history, parameters)[0])
        medium, high = map(case.money, case.cuts.clv_minor)
        worth = f"That is worth {case.money(int(self.worth_minor(case.facts, at_us, parameters)[0]))}"
        since, ends = "", ", held to the whole second after"
        if case.cuts.clv_at_us is not None:
            since, ends = f" after {to_text(at_us)}", f" (cuts version {case.cuts.version})"
        return [
            *lines,
            f"Expected within {self.horizon_weeks:g} weeks{since}: {purchases:.3f} purchases (MBG/NBD).",
            f"Expected a purchase: {money:,.2f} {case.currency} (Gamma-Gamma).",
            f"{worth}; medium from {medium}, high from {high}{ends}: {case.label}.",
        ]

    def worth_minor(self, facts: Facts, at_us: Times | int, parameters: Parameters) -> Times:
        """Worth at `at_us` of n customers with a purchase, shape (n,), whole minor units; at most WORTH_MOST.

        Raises:
            NotComputableError: the parameters give no number for one of them.
        """
        history = History.of(facts)
        first_us = np.where(facts.first_us == UNKNOWN, at_us, facts.first_us)
        age_weeks = np.maximum((at_us - first_us) / WEEK_US, history.recency_weeks)
        purchases = expected_purchases(parameters.mbg_nbd, history, age_weeks, self.horizon_weeks)
        worth = purchases * self.money(facts, history, parameters) * self.minor_per_major
        all_computed(worth, self.name, parameters)
        return np.floor(np.minimum(worth, WORTH_MOST)).astype(np.int64)

    def money(self, facts: Facts, history: History, parameters: Parameters) -> Values:
        """The expected money of a purchase of each customer, major units, shape (n,).

        Refunds belong to no day. They come off the repeat days, whatever was returned.
        """
        # As floats: what is left may be beyond 64 bits.
        repeat_minor = np.subtract(facts.net_minor, facts[FIRST_DAY_MINOR], dtype=np.float64)
        repeat_money = repeat_minor / self.minor_per_major
        return expected_money(parameters.gamma_gamma, history.repeats, repeat_money)

    def _compared_minor(self, facts: Facts, at_us: Times, cuts: Cuts) -> Times:
        """The worth at the moment of the terciles or at the latest purchase after it, shape (n,), computed once."""
        moments_us = facts.compared_us(at_us, cuts.clv_at_us)
        what = (self, cuts.clv_at_us, cuts.parameters)
        return facts.once(what, lambda: self.worth_minor(facts, moments_us, cuts.parameters))

    def _ends_us(self, facts: Facts, cuts: Cuts) -> Times:
        """The result of `_search`, computed once for the same facts."""
        return facts.once((self, cuts.clv_minor, cuts.parameters), lambda: self._search(facts, cuts))

    def _search(self, facts: Facts, cuts: Cuts) -> Times:
        """The ends of high and medium of each customer, shape (n, 2), ascending.

        UNKNOWN, before all times, where the worth is below at the latest purchase already.

        Raises:
            NotComputableError: there is no telling.
        """
        history = History.of(facts)
        money = self.money(facts, history, cuts.parameters)
        high_first = np.array(cuts.clv_minor[::-1], dtype=np.float64) / self.minor_per_major
        purchases = high_first / money[:, None]
        weeks = expected_falls_to_weeks(cuts.parameters.mbg_nbd, history, purchases, self.horizon_weeks)
        all_computed(weeks, self.name, cuts.parameters)
        first_s = np.where(facts.first_us == UNKNOWN, 0, facts.first_us) / SECOND_US
        passed = np.isneginf(weeks)
        ends_us = second_after(first_s[:, None] + np.where(passed, 0, weeks) * (WEEK_US / SECOND_US))
        return np.maximum.accumulate(np.where(passed, UNKNOWN, ends_us), axis=1)


def build_clv(own: Clv, common: Common) -> ClvModel:
    """The model of the settings."""
    return ClvModel(horizon_weeks=duration_us(own.horizon) / WEEK_US, minor_per_major=common.minor_per_major)


def _apply(kept: Kept, happened: Happened, _slot_us: int) -> None:
    bought = happened.purchases
    paid, rows = kept[FIRST_DAY_MINOR], bought.rows
    paid[rows] = with_first_day(paid[rows], kept.first_us[rows], bought.occurred_us, bought.amounts_minor)


def _merge(kept: Kept, rows: Rows, other: Kept) -> None:
    paid = kept[FIRST_DAY_MINOR]
    paid[rows] = first_day_of_both(paid[rows], kept.first_us[rows], other[FIRST_DAY_MINOR], other.first_us)


CLV: Final = Declaration(
    name="clv",
    settings=Clv,
    labels=LABELS[::-1],
    build=build_clv,
    cuts=("clv_minor", "clv_at_us", "parameters"),
    needs=("churn",),
    section=RecordSection(bit=6, facts=(FIRST_DAY_MINOR,), apply=_apply, merge=_merge),
)
