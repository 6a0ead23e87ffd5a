"""RFM: recency, frequency and money scored from 1 to 5, and a grid that names the cells."""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from segflow.schemas.duration import Duration
from segflow.schemas.rule_dimensions import Label
from segflow.schemas.section import Count, Money, Section
from segflow.segments import window
from segflow.segments.cuts import Cuts, crossed
from segflow.segments.declaration import Common, Declaration
from segflow.segments.explain import Case, span
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER, UNKNOWN, after, duration_us, to_text
from segflow.segments.model import Model

SCORES: Final = 5
NONE: Final = 0

FiveLabels = tuple[Label, Label, Label, Label, Label]
Grid = tuple[tuple[str, ...], ...]
"""Five rows, R 5 first, of five labels, FM 1 first."""


GRID: Final[tuple[FiveLabels, FiveLabels, FiveLabels, FiveLabels, FiveLabels]] = (
    ("new", "potential_loyalist", "potential_loyalist", "champion", "champion"),
    ("promising", "potential_loyalist", "potential_loyalist", "loyal", "loyal"),
    ("about_to_sleep", "about_to_sleep", "need_attention", "loyal", "loyal"),
    ("hibernating", "hibernating", "at_risk", "at_risk", "cant_lose"),
    ("hibernating", "hibernating", "at_risk", "at_risk", "cant_lose"),
)


class FixedCuts(Section):
    """Fixed thresholds of the three scores, ascending. A value at or above a threshold has crossed it."""

    recency: tuple[Duration, Duration, Duration, Duration] = (
        timedelta(days=30),
        timedelta(days=60),
        timedelta(days=120),
        timedelta(days=240),
    )
    frequency: tuple[Count, Count, Count, Count] = (2, 3, 5, 10)
    monetary: tuple[Money, Money, Money, Money] = (Decimal(50), Decimal(100), Decimal(250), Decimal(1000))

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        for name in ("recency", "frequency", "monetary"):
            thresholds = list(getattr(self, name))
            if thresholds != sorted(set(thresholds)):
                raise ValueError(f"{name} must be four ascending thresholds")
        if self.recency[0] <= timedelta(0):
            raise ValueError("recency must be above zero")
        return self


class Rfm(Section):
    """The RFM dimension: the origin of its cut points, and the grid that names its cells."""

    cuts: Literal["fixed", "quantile"] = "fixed"
    fixed: FixedCuts = FixedCuts()
    window: Duration | None = Field(
        None,
        description="span of the past, in whole slots, whose orders and money count; null: all of it. A fact setting",
    )
    grid: tuple[FiveLabels, FiveLabels, FiveLabels, FiveLabels, FiveLabels] = Field(
        GRID, description="rows R 5 to R 1, columns FM 1 to FM 5"
    )

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if any(label == "none" for row in self.grid for label in row):
            raise ValueError("grid must not use the label none: it is for customers without an order")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class RfmModel:
    """The model over the customer's life. `none` (neutral) is a customer without an order that counts."""

    grid: Grid
    name: str = "rfm"
    labels: tuple[str, ...] = field(init=False)
    start: int = NONE
    _codes: Labels = field(init=False, repr=False, compare=False)  # (FM - 1, 5 - R) -> code

    def __post_init__(self) -> None:
        names = dict.fromkeys(["none", *(label for row in self.grid for label in row)])
        object.__setattr__(self, "labels", tuple(names))
        code_of = {label: code for code, label in enumerate(names)}
        rows = [[code_of[label] for label in row] for row in self.grid]
        object.__setattr__(self, "_codes", np.ascontiguousarray(np.array(rows, dtype=np.uint8).T))

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into `labels`, shape (n,)."""
        return _pick(self._life(facts, cuts), points_lost(facts, at_us, cuts))

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:
        """The first recency threshold ahead at which the cell's label differs from the present one.

        Never under cuts of the population: the latest purchase does not age.
        """
        if cuts.recency_from_us is not None:
            return np.full(len(at_us), NEVER, dtype=np.int64)
        own = labels[self.name]
        cells = self._life(facts, cuts)
        lost_now = crossed(facts.idle_us(at_us), cuts.recency_us)
        lost = np.arange(1, SCORES)
        differs = (lost > lost_now[:, None]) & (cells[:, 1:] != own[:, None])
        first = differs.argmax(axis=1)  # 0 also where none differs
        due = after(facts.last_us, np.asarray(cuts.recency_us, dtype=np.int64)[first])
        return np.where(differs.any(axis=1), due, NEVER)

    def explain(self, case: Case) -> list[str]:
        """Sentences that end in the label."""
        lines = [case.orders_said(), case.idle_said()]
        return lines + _scored(case, case.fact("orders"), case.fact("net_minor"))

    def _life(self, facts: Facts, cuts: Cuts) -> Labels:
        """The result of `cells` over the customer's life, computed once for the same facts."""
        return facts.once((self, cuts), lambda: self.cells(facts.orders, facts.net_minor, cuts))

    def cells(self, orders: npt.NDArray[np.int64], net_minor: npt.NDArray[np.int64], cuts: Cuts) -> Labels:
        """Label codes by the points that recency has lost (R = 5 - lost), in a last axis of 5."""
        frequency = 1 + crossed(orders, cuts.frequency)
        monetary = 1 + crossed(net_minor, cuts.monetary_minor)
        cells = self._codes[(frequency + monetary + 1) // 2 - 1]
        return np.where((orders == 0)[..., None], np.uint8(NONE), cells)


def points_lost(facts: Facts, at_us: Times, cuts: Cuts) -> npt.NDArray[np.int64]:
    """The points that recency has lost (5 - R), of each of n customers, shape (n,)."""
    if cuts.recency_from_us is None:
        return crossed(facts.idle_us(at_us), cuts.recency_us)
    return SCORES - 1 - crossed(facts.last_us, cuts.recency_from_us)


def _pick(cells: Labels, columns: npt.NDArray[np.int64]) -> Labels:
    """One column of each row of `cells`, shape (n,)."""
    picked: Labels = cells[np.arange(len(cells)), columns]
    return picked


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowedRfmModel:
    """The model over a window: the present slot and those before it, `slots` in all.

    `none` (neutral) is a customer without an order that counts in the window. Silence leads there in the end.
    """

    rfm: RfmModel
    slots: int
    slot_us: int

    @property
    def name(self) -> str:
        """The dimension, that of RfmModel."""
        return self.rfm.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels by code, those of RfmModel."""
        return self.rfm.labels

    @property
    def start(self) -> int:
        """The code of the neutral label, that of RfmModel."""
        return self.rfm.start

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into `labels`, shape (n,)."""
        leave_us, cells = self._course(facts, cuts)
        moments_us = window.compared_us(facts, at_us, cuts.window_at_us, self.slot_us)
        gone = (leave_us <= moments_us[:, None]).sum(axis=1)
        found: Labels = cells[np.arange(len(at_us)), gone, points_lost(facts, at_us, cuts)]
        return found

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:
        """The first recency threshold or end of a slot ahead at which the label differs from the present one.

        Never under cuts of the population: the window is looked at as of the cut's moment.
        """
        if cuts.recency_from_us is not None:
            return np.full(len(at_us), NEVER, dtype=np.int64)
        leave_us, cells = self._course(facts, cuts)
        lost_us = np.stack([after(facts.last_us, cut) for cut in cuts.recency_us], axis=1)
        due_us = np.concatenate([lost_us, leave_us], axis=1)
        ahead = (due_us > at_us[:, None]) & (due_us != NEVER)
        moments_us = np.where(ahead, due_us, at_us[:, None])
        gone = (leave_us[:, None, :] <= moments_us[:, :, None]).sum(axis=2)
        idle_us = moments_us - np.where(facts.last_us == UNKNOWN, 0, facts.last_us)[:, None]
        lost = crossed(np.where((facts.last_us == UNKNOWN)[:, None], 0, idle_us), cuts.recency_us)
        then = cells[np.arange(len(at_us))[:, None], gone, lost]
        differs = ahead & (then != labels[self.name][:, None])
        earliest: Times = np.where(differs, due_us, NEVER).min(axis=1)
        return earliest

    def explain(self, case: Case) -> list[str]:
        """Sentences that end in the label."""
        moment_us = window.compared_us(case.facts, np.array([case.at_us]), case.cuts.window_at_us, self.slot_us)
        orders, net_minor = (
            int(each[0]) for each in window.sums_at(case.facts.window, moment_us, self.slot_us, self.slots)
        )
        slot, length = span(self.slot_us), span(self.slots * self.slot_us)
        which = f"present slot of {slot}"
        if case.cuts.window_at_us is not None:
            which = f"slot of {slot} at {to_text(int(moment_us[0]))}"
        first = f"In the {which} and those before it, {length} in all, {orders} orders count."
        return [first, case.idle_said(), *_scored(case, orders, net_minor)]

    def _course(self, facts: Facts, cuts: Cuts) -> tuple[Times, Labels]:
        """The times at which slots leave, shape (n, k), and label codes, shape (n, k + 1, 5).

        The codes are by the number of slots that have left and by the points that recency has lost.
        """
        held = window.trimmed(facts.window)
        return window.leave_us(held, self.slot_us, self.slots), self.rfm.cells(*window.left(held), cuts)


def _scored(case: Case, orders: int, net_minor: int) -> list[str]:
    """Sentences with the scores and the cell of the grid, ending in the label."""
    if case.label == "none":
        return ["Without an order that counts: none."]
    cuts = case.cuts
    recency = SCORES - int(points_lost(case.facts, np.array([case.at_us]), cuts)[0])
    frequency = 1 + int(crossed(np.array([orders]), cuts.frequency)[0])
    monetary = 1 + int(crossed(np.array([net_minor]), cuts.monetary_minor)[0])
    both = (frequency + monetary + 1) // 2
    origin = f"version {cuts.version}" if cuts.version else "fixed"
    money = ", ".join(map(case.money, cuts.monetary_minor))
    return [
        _recency_said(case, recency),
        f"F: {orders} orders, with the cuts {', '.join(map(str, cuts.frequency))}: F {frequency}.",
        f"M: net money {case.money(net_minor)}, with the cuts {money}: M {monetary}.",
        f"The cuts are {origin}. FM = ({frequency} + {monetary} + 1) // 2 = {both}.",
        f"The grid has at R {recency}, FM {both}: {case.label}.",
    ]


def _recency_said(case: Case, recency: int) -> str:
    """The sentence on R."""
    from_us = case.cuts.recency_from_us
    if from_us is None:
        ages = ", ".join(map(span, case.cuts.recency_us))
        return f"R: idle for {span(case.idle_us)}, with the cuts {ages}: R {recency}."
    place = f"before the cut of {to_text(from_us[0])}"
    if recency > 1:
        place = f"at or after the cut of {to_text(from_us[recency - 2])}"
    latest, instants = to_text(case.fact("last_us")), ", ".join(map(to_text, from_us))
    return f"R: the latest purchase on {latest} is {place}, of the cuts {instants}: R {recency}."


def _build(own: Rfm, common: Common) -> Model:
    rfm = RfmModel(grid=own.grid)
    slots = 0 if own.window is None else duration_us(own.window) // common.slot_us
    return WindowedRfmModel(rfm=rfm, slots=slots, slot_us=common.slot_us) if slots else rfm


RFM: Final = Declaration(
    name="rfm",
    settings=Rfm,
    labels=("none",),
    labels_of=lambda own: [label for row in own.grid for label in row],
    build=_build,
    slot=1,
    cuts=("recency_us", "recency_from_us", "frequency", "monetary_minor", "window_at_us"),
)
