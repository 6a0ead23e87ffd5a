"""Engagement: the weights of interactions and purchases together, each halved with every half-life since.

S(t) = sum of w_i * 2^-((t - t_i) / half_life). The record keeps one number, L = log2 of the sum of
w_i * 2^(t_i / half_life), with times counted from the Unix epoch. Then S(t) = 2^(L - t / half_life). A late event adds
like any other. S falls below a threshold at the time half_life * (L - log2 threshold).
"""

from dataclasses import dataclass
from datetime import timedelta
from math import isinf, log2
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from segflow.schemas.duration import Duration
from segflow.schemas.section import EventName, Section, Threshold, Weight
from segflow.segments.cuts import Cuts
from segflow.segments.declaration import Common, Declaration
from segflow.segments.explain import Case, span
from segflow.segments.facts import Fact, Facts, Labels, Rows, Times
from segflow.segments.instant import NEVER, SECOND_US, duration_us, second_after
from segflow.segments.record_section import Happened, Kept, RecordSection

LABELS: Final = ("dormant", "visitor", "active", "core")
DORMANT, VISITOR, ACTIVE, CORE = range(len(LABELS))
NOTHING: Final = float("-inf")
"""The level of a customer without an event: log2 of zero."""

Level = npt.NDArray[np.float64]


WEIGHTS: Final[dict[str, float]] = {
    "visit": 1.0,
    "view": 1.0,
    "search": 1.0,
    "click": 1.0,
    "open": 0.5,
    "cart": 3.0,
    "wishlist": 3.0,
    "share": 4.0,
    "review": 5.0,
    "purchase": 10.0,
}


LEVEL_LOG2: Final = Fact("level_log2", np.float64, NOTHING)  # L above


class Engagement(Section):
    """The engagement dimension: weights of interactions and purchases, halved with each half-life."""

    core_from: Threshold = 20.0
    active_from: Threshold = 5.0
    visitor_from: Threshold = 0.5
    half_life: Duration = Field(
        timedelta(days=14), description="time in which a weight halves. A fact setting: it cannot change in place"
    )
    weights: dict[EventName, Weight] = Field(
        WEIGHTS, description="weight by the interaction's kind, and of a purchase. A fact setting"
    )
    other_weight: Weight = Field(1.0, description="weight of kinds without one of their own. A fact setting")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.visitor_from < self.active_from < self.core_from:
            raise ValueError("visitor_from must be below active_from, and that below core_from")
        if self.half_life < timedelta(seconds=1):
            raise ValueError("half_life must be a second or more")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class EngagementModel:
    """The model: by the highest threshold that S(t) has not yet fallen below; `dormant` (neutral) is below all.

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
        """Codes into LABELS, shape (n,): the number of thresholds still ahead."""
        code: Labels = (at_us[:, None] < self._ends_us(facts)).sum(axis=1).astype(np.uint8)
        return code

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:  # noqa: ARG002 - the Model's signature
        """The time at which S falls below the threshold of the present label, shape (n,)."""
        own = labels[self.name].astype(np.intp)
        ends_us = self._ends_us(facts)[np.arange(len(at_us)), np.maximum(own, VISITOR) - 1]
        return np.where(own == DORMANT, NEVER, ends_us)

    def explain(self, case: Case) -> list[str]:
        """The reasons of the label, in sentences that end in it."""
        level = float(case.facts[LEVEL_LOG2][0])
        if isinf(level):
            return ["Nothing that weighs was ever seen: dormant."]
        score = 2 ** min(level - case.at_us / self.half_life_us, 1000.0)
        return [
            f"What was done, weighed and halved every {span(self.half_life_us)} since, adds up to S = {score:.4g} now.",
            (
                f"core from {self.core_from:g}, active from {self.active_from:g}, visitor from {self.visitor_from:g}, "
                f"held to the whole second after S falls below: {case.label}."
            ),
        ]

    def _ends_us(self, facts: Facts) -> Times:
        """The result of `_crossings`, computed once for the same facts."""
        return facts.once(self, lambda: self._crossings(facts))

    def _crossings(self, facts: Facts) -> Times:
        """The ends of visitor, active and core of each customer, shape (n, 3), descending."""
        thresholds = np.array([log2(each) for each in (self.visitor_from, self.active_from, self.core_from)])
        ends_s = (facts[LEVEL_LOG2][:, None] - thresholds) * (self.half_life_us / SECOND_US)
        return second_after(ends_s)


def weight_log2(weight: float) -> float:
    """log2 of a weight; NOTHING for a weight of zero."""
    return log2(weight) if weight > 0 else NOTHING


def level_of(weights_log2: Level, times_us: Times, half_life_us: int) -> Level:
    """The level L that each of n events would give alone, shape (n,)."""
    level: Level = weights_log2 + times_us / half_life_us
    return level


def with_event(held: Level, level: Level) -> Level:
    """The level L of n customers after an event of each, shape (n,)."""
    total: Level = np.logaddexp2(held, level)
    return total


def _apply(kept: Kept, happened: Happened, _slot_us: int) -> None:
    level, every = kept[LEVEL_LOG2], happened.all
    level[every.rows] = with_event(level[every.rows], every.of(every.more["level_log2"]))


def _merge(kept: Kept, rows: Rows, other: Kept) -> None:
    level = kept[LEVEL_LOG2]
    level[rows] = with_event(level[rows], other[LEVEL_LOG2])


def _build(own: Engagement, _common: Common) -> EngagementModel:
    return EngagementModel(
        half_life_us=duration_us(own.half_life),
        visitor_from=own.visitor_from,
        active_from=own.active_from,
        core_from=own.core_from,
    )


ENGAGEMENT: Final = Declaration(
    name="engagement",
    settings=Engagement,
    labels=LABELS[::-1],
    build=_build,
    fact_settings=("engagement.half_life", "engagement.weights", "engagement.other_weight"),
    section=RecordSection(bit=3, facts=(LEVEL_LOG2,), columns=("level_log2",), apply=_apply, merge=_merge),
)
