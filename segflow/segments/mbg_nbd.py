"""MBG/NBD: is a customer who says nothing still one? By each customer's own rhythm of buying.

Batislam, Denizel, Filiztekin, "Empirical validation and comparison of models for customer base analysis", International
Journal of Research in Marketing 24 (2007). A customer buys at a rate of their own (gamma distributed: r, alpha) until,
after some purchase, the first included, they are lost (each time with a chance of their own; beta distributed: a, b).

Of a customer count x, distinct purchase days less one; t_x, first to last purchase; T, first purchase to now. Weeks.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from segflow.segments.facts import Facts, Rows
from segflow.segments.instant import DAY_US
from segflow.segments.parameters import MbgNbd
from segflow.segments.purchase_days import PURCHASE_DAYS
from segflow.segments.purchases_if_alive import purchases_if_alive

WEEK_US: Final = 7 * DAY_US
FOR_EVER_WEEKS: Final = 1e9
"""Later than the year 9999, whenever the first purchase was; small enough to calculate with."""
STEP_MIN: Final = 1e-8
"""A step of the search beside the scale of the curve, 1 or 1 / (r + x) in ln(alpha + T). The error left behind it is
about its square: no digit of a double."""
STEPS_MAX: Final = 30
"""The search takes three to five steps, some eight under parameters that nobody fits."""
HALVES: Final = 64
"""Halvings of an interval of float64 after which nothing is left of it."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The model's inputs for n customers with a purchase: columns of shape (n,)."""

    repeats: Values  # x
    recency_weeks: Values  # t_x

    @classmethod
    def of(cls, facts: Facts) -> "History":
        """From facts; customers without a purchase stand for one of a single day."""
        bought = facts.purchases > 0
        return cls(
            repeats=np.maximum(facts[PURCHASE_DAYS].astype(np.float64) - 1, 0),
            recency_weeks=np.where(bought, facts.last_us - np.where(bought, facts.first_us, 0), 0) / WEEK_US,
        )


def p_alive(parameters: MbgNbd, history: History, age_weeks: Values) -> Values:
    """The chance that each customer is not lost yet, T after the first purchase."""
    r, alpha, a, b = parameters.r, parameters.alpha_weeks, parameters.a, parameters.b
    x, t_x = history.repeats, history.recency_weeks
    with np.errstate(over="ignore"):  # nothing is left of the chance then
        alive: Values = 1 / (1 + a / (b + x) * ((alpha + age_weeks) / (alpha + t_x)) ** (r + x))
    return alive


def falls_to_weeks(parameters: MbgNbd, history: History, chance: Values) -> Values:
    """Time at which `p_alive` falls to `chance`, shape (n, k) or (k,): weeks after the first purchase, shape (n, k).

    Negative where it was never above; at most FOR_EVER_WEEKS.
    """
    r, alpha, a, b = parameters.r, parameters.alpha_weeks, parameters.a, parameters.b
    x, t_x = history.repeats[:, None], history.recency_weeks[:, None]
    with np.errstate(over="ignore"):
        weeks: Values = (alpha + t_x) * ((1 / chance - 1) * (b + x) / a) ** (1 / (r + x)) - alpha
    return np.minimum(weeks, FOR_EVER_WEEKS)


def expected_purchases(parameters: MbgNbd, history: History, age_weeks: Values, horizon_weeks: float) -> Values:
    """Expected purchases of each customer in the `horizon_weeks` after `age_weeks` (T, at least t_x), shape (n,)."""
    if horizon_weeks == 0:  # as where nothing is held out
        return np.zeros_like(age_weeks)
    reached = parameters.alpha_weeks + history.recency_weeks
    curve = _Curve(parameters=parameters, repeats=history.repeats, w_last=horizon_weeks / reached)
    purchases: Values = np.exp(curve.at(np.log1p((age_weeks - history.recency_weeks) / reached)).value)
    return purchases


def expected_falls_to_weeks(parameters: MbgNbd, history: History, purchases: Values, horizon_weeks: float) -> Values:
    """Time at which `expected_purchases` falls to `purchases`: weeks after the first purchase, both of shape (n, k).

    -inf where it is below at the latest purchase already; FOR_EVER_WEEKS where it stays above for ever; NaN where it
    cannot be computed.

    Newton's method, in the logarithms of the expectation and of alpha + T, the latter counted from the latest purchase.
    There the curve is concave and falls. So the first step, from the latest purchase, leads beyond the crossing, at
    most to FOR_EVER_WEEKS, and each later step comes nearer from beyond.
    """
    reached = parameters.alpha_weeks + history.recency_weeks
    end = np.log1p((FOR_EVER_WEEKS - history.recency_weeks) / reached)
    with np.errstate(divide="ignore"):
        wanted = np.log(purchases)  # of nothing: never fallen to
    curve = _Curve(parameters=parameters, repeats=history.repeats, w_last=horizon_weeks / reached)
    at_last = curve.at(np.zeros_like(reached))
    over = at_last.value[:, None] - wanted
    row, column = np.nonzero(over >= 0)
    weeks = np.where(np.isnan(over), np.nan, -np.inf)
    with np.errstate(over="ignore"):
        first = np.minimum(-over[row, column] / at_last.slope[row], end[row])
    silence = _search(curve.take(row), wanted[row, column], first, end[row])
    later = history.recency_weeks[row] + reached[row] * np.expm1(silence)
    weeks[row, column] = np.where(silence >= end[row], FOR_EVER_WEEKS, later)
    return weeks


class _Point(NamedTuple):
    """Of n customers, each of shape (n,)."""

    value: Values  # ln of the expected purchases
    slope: Values  # its derivative by the silence; below zero


@dataclass(frozen=True, kw_only=True, slots=True)
class _Curve:
    """The fall of n customers' expectation during silence, over ln((alpha + T) / (alpha + t_x))."""

    parameters: MbgNbd
    repeats: Values
    w_last: Values  # horizon / (alpha + t_x)

    def take(self, rows: Rows) -> Self:
        """Those of `rows`."""
        return replace(self, repeats=self.repeats[rows], w_last=self.w_last[rows])

    def at(self, silence: Values) -> _Point:
        """P(alive) times the expectation of who is alive, in logarithms: each may be beyond all doubles."""
        from scipy.special import expit  # noqa: PLC0415 - half a second and 24 MB, for those alone who ask for it

        rate = self.parameters.r + self.repeats
        lost = np.log(self.parameters.a / (self.parameters.b + self.repeats)) + rate * silence  # ln of the odds
        log_alive = -(np.maximum(lost, 0) + np.log1p(np.exp(-np.abs(lost))))  # as by logaddexp, in a third of its time
        found = purchases_if_alive(self.parameters, self.repeats, self.w_last * np.exp(-silence))
        slope = -(rate * expit(lost) + found.growth / found.purchases)
        return _Point(np.log(found.purchases) + log_alive, slope)


def _search(curve: _Curve, wanted: Values, first: Values, end: Values) -> Values:
    """The silence after which each expectation is down to `wanted`, at most `end`; from a `first` one beyond it.

    Where steps do not come to rest, as on a curve so flat that its last digits decide, by halving.
    """
    silence = first.copy()
    least = STEP_MIN / np.maximum(curve.parameters.r + curve.repeats, 1)
    active = np.arange(len(silence))
    for _ in range(STEPS_MAX):
        if not len(active):
            return silence
        before = silence[active]
        found = curve.take(active).at(before)
        after = np.clip(before - (found.value - wanted[active]) / found.slope, 0, end[active])
        silence[active] = after
        active = active[~(np.abs(before - after) <= least[active])]
    above, below, left = np.zeros(len(active)), end[active], curve.take(active)
    for _ in range(HALVES):
        middle = (above + below) / 2
        still = left.at(middle).value >= wanted[active]
        above, below = np.where(still, middle, above), np.where(still, below, middle)
    silence[active] = np.where(np.isnan(left.at(below).value), np.nan, below)
    return silence
