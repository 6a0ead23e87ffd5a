"""Cuts of the population: from a count of it to the next version of the cuts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

import numpy as np

from segflow.segments import histogram, window
from segflow.segments.cuts import Cuts
from segflow.segments.facts import Facts
from segflow.segments.histogram import Histogram
from segflow.segments.models.clv import ClvModel
from segflow.segments.parameters import CDNOW, Parameters

QUINTILES: Final = (0.2, 0.4, 0.6, 0.8)
TERCILES: Final = (1 / 3, 2 / 3)
STEADY: Final = 0.05
"""A cut that would move by less than this share keeps its old value, so that labels do not flap.

Cuts of clv do not: everybody's worth falls every day, so labels would flap at a cut that stays.
"""

Four = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecutPolicy:
    """The cuts that are made of the population, their schedule, and the customers who count."""

    quintiles: bool  # the cuts of RFM's scores
    value_shares: tuple[int, int] | None  # running shares of a and b, in SHARES_PER_ONE; None: fixed cuts
    clv: ClvModel | None = None  # the worth of which terciles are made; None: fixed cuts
    fixed: Cuts  # in place of those of a population that is too small
    min_population: int  # below it cuts would be noise
    every_us: int  # event time between two re-cuts
    churned_after_us: int  # the living bought less than this ago
    slot_us: int
    window_slots: int  # of RFM, as Rules has them; 0: no window

    @property
    def wanted(self) -> bool:
        """Whether any are."""
        return self.quintiles or self.value_shares is not None or self.clv is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class PopulationHistograms:
    """The living customers of a population, counted at one event time. Scans of parts add up."""

    recency: Histogram = field(default_factory=Histogram)
    frequency: Histogram = field(default_factory=Histogram)
    monetary: Histogram = field(default_factory=Histogram)
    living: int = 0  # of whom those above are who have an order in RFM's window
    money: Histogram = field(default_factory=Histogram)  # what is above zero, summed a bin; where cuts of value want it

    worth: Histogram = field(default_factory=Histogram)  # of clv, where cuts of it want it; in bins of FINE_RATIO

    @classmethod
    def of(cls, facts: Facts, at_us: int, policy: RecutPolicy, parameters: Parameters = CDNOW) -> Self:
        """Count customers with an order that counts, whose latest purchase is less than `churned_after_us` old.

        `parameters`: those that hold, of which the worth is made.
        """
        moments_us = np.full(len(facts.last_us), at_us)
        idle_us = facts.idle_us(moments_us)
        living = (facts.orders > 0) & (idle_us < policy.churned_after_us)
        orders, net_minor, scored = facts.orders, facts.net_minor, living
        if policy.window_slots:
            moments_us = window.compared_us(facts, moments_us, at_us, policy.slot_us)
            orders, net_minor = window.sums_at(facts.window, moments_us, policy.slot_us, policy.window_slots)
            scored = living & (orders > 0)
        return cls(
            recency=histogram.count(np.maximum(idle_us[scored], 0)),
            frequency=histogram.count(orders[scored]),
            monetary=histogram.count(net_minor[scored]),
            living=int(np.count_nonzero(living)),
            money=Histogram() if policy.value_shares is None else histogram.sums(facts.net_minor[living]),
            worth=Histogram()
            if policy.clv is None
            else histogram.count(
                policy.clv.worth_minor(facts.take(np.flatnonzero(living)), at_us, parameters), histogram.FINE_RATIO
            ),
        )

    @property
    def population(self) -> int:
        """The number of customers whom RFM scores."""
        return self.frequency.total()

    def __add__(self, other: Self) -> Self:
        return replace(
            self,
            recency=self.recency + other.recency,
            frequency=self.frequency + other.frequency,
            monetary=self.monetary + other.monetary,
            living=self.living + other.living,
            money=self.money + other.money,
            worth=self.worth + other.worth,
        )


def kept_cuts(held: Cuts, old: RecutPolicy, new: RecutPolicy) -> Cuts:
    """The cuts to begin with where a definition that wants `new` follows one that wanted `old`.

    Those of the population stay where both want them, and fitted parameters where the settings' own are the same; all
    others are the settings' own.
    """
    cuts = new.fixed
    if new.fixed.parameters == old.fixed.parameters:
        cuts = replace(cuts, parameters=held.parameters)
    if held.recency_from_us is not None and old.quintiles and new.quintiles:
        cuts = replace(
            cuts,
            recency_from_us=held.recency_from_us,
            frequency=held.frequency,
            monetary_minor=held.monetary_minor,
            window_at_us=held.window_at_us,
        )
    if held.version and old.value_shares is not None and new.value_shares is not None:
        cuts = replace(cuts, value_minor=held.value_minor)
    if held.clv_at_us is not None and old.clv is not None and old.clv == new.clv:
        cuts = replace(cuts, clv_minor=held.clv_minor, clv_at_us=held.clv_at_us)
    return cuts if cuts == new.fixed else replace(cuts, version=held.version)


def next_cuts(counted: PopulationHistograms, at_us: int, held: Cuts, policy: RecutPolicy) -> Cuts | None:
    """The cuts to hold from now on, None where they stay as they are. The version is for the caller to set.

    Below `min_population` those of the population would be noise, and the fixed cuts hold; so do those of value where
    nobody brings money, as there are no shares of nothing.

    Args:
        counted: the population at `at_us`.
        at_us: the moment of the cut, at which everybody is compared.
        held: the cuts until now.
        policy: which ones to make.
    """
    new = replace(policy.fixed, version=held.version, parameters=held.parameters)
    if policy.quintiles and counted.population >= policy.min_population:
        new = replace(
            new,
            recency_from_us=_instants(counted.recency, at_us, held),
            frequency=_quintiles(counted.frequency, held.frequency),
            monetary_minor=_quintiles(counted.monetary, held.monetary_minor),
            window_at_us=at_us if policy.window_slots else None,
        )
    if policy.value_shares is not None and counted.living >= policy.min_population and counted.money:
        new = replace(new, value_minor=_classes(counted.money, held.value_minor, policy.value_shares))
    if policy.clv is not None and counted.living >= policy.min_population:
        medium, high = (cut + 1 for cut in histogram.quantiles(counted.worth, TERCILES, histogram.FINE_RATIO))
        new = replace(new, clv_minor=(medium, high), clv_at_us=at_us)
    return None if new == held else new


def instants_of(ages_us: Four, at_us: int) -> Four:
    """The latest purchases from which on R is 2, 3, 4, 5, by cuts of R that are idle times at `at_us`."""
    five, four, three, two = ages_us
    return at_us - two + 1, at_us - three + 1, at_us - four + 1, at_us - five + 1


def _instants(ages: Histogram, at_us: int, held: Cuts) -> Four:
    """The latest purchases from which on R is 2, 3, 4, 5, by the quintiles of idle times at `at_us`.

    A cut keeps its instant unless the new one is younger or older by the share STEADY of its age at `at_us`. Its age is
    not kept: everybody would grow older against it, while the population does not.
    """
    old = held.recency_from_us or instants_of(held.recency_us, at_us)
    new = [at_us - age_us for age_us in reversed(histogram.quantiles(ages, QUINTILES))]
    two, three, four, five = _steady(new, old, [at_us - each for each in old])
    return two, three, four, five


def _quintiles(counts: Histogram, held: Four) -> Four:
    """Quintile thresholds.

    Quantile scores count the cuts strictly below a value: on whole numbers, value >= cut + 1.
    """
    cuts = [cut + 1 for cut in histogram.quantiles(counts, QUINTILES)]
    first, second, third, fourth = _steady(cuts, held, held)
    return first, second, third, fourth


def _classes(money: Histogram, held: tuple[int, int], shares: tuple[int, int]) -> tuple[int, int]:
    """The thresholds of classes b and a, minor units."""
    a_from, b_from = histogram.share_starts(money, shares)
    first, second = _steady([b_from, a_from], held, held)
    return first, second


def _steady(new: Sequence[int], held: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """Ascending cuts; those that move by less than a small share of their size keep their old value."""
    kept = [
        old if abs(cut - old) < STEADY * abs(size) else cut for cut, old, size in zip(new, held, sizes, strict=True)
    ]
    return sorted(kept)  # a kept one may stand beyond a moved neighbour
