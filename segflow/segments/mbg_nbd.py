"""MBG/NBD: is a customer who says nothing still one? By each customer's own rhythm of buying.

Batislam, Denizel, Filiztekin, "Empirical validation and comparison of models for customer base analysis", International
Journal of Research in Marketing 24 (2007). A customer buys at a rate of their own (gamma distributed: r, alpha) until,
after some purchase, the first included, they are lost (each time with a chance of their own; beta distributed: a, b).

Of a customer count x, distinct purchase days less one; t_x, first to last purchase; T, first purchase to now. Weeks.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.segments.facts import Facts
from segflow.segments.instant import DAY_US
from segflow.segments.parameters import MbgNbd
from segflow.segments.purchase_days import PURCHASE_DAYS

WEEK_US: Final = 7 * DAY_US
FOR_EVER_WEEKS: Final = 1e9
"""Later than the year 9999, whenever the first purchase was; small enough to calculate with."""
NEAR_ONE: Final = 1e-6
"""The expectation divides by a - 1 what is 0 at a = 1. So near it, the next a that can be divided by is as good."""
NEAR_WHOLE: Final = 2e-6
"""SciPy's hyp2f1 has no number for some arguments where r - a is whole; this far beside it, it has."""
FAR: Final = 1e-3
"""From here on the first terms of the series in w are exact to 15 digits."""
STEP_MIN: Final = 1e-8
"""A step of the search as a part of alpha + T. The error left behind it is about its square: no digit of a double."""
STEPS_MAX: Final = 100
"""The search takes three to five steps."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """What the model looks at of n customers with a purchase, each a column of shape (n,)."""

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
    alive: Values = 1 / (1 + a / (b + x) * ((alpha + age_weeks) / (alpha + t_x)) ** (r + x))
    return alive


def falls_to_weeks(parameters: MbgNbd, history: History, chance: Values) -> Values:
    """When `p_alive` is down to `chance` (shape (n, k) or (k,)): weeks after the first purchase, shape (n, k).

    May be before the first purchase, where it was never above, and FOR_EVER_WEEKS.
    """
    r, alpha, a, b = parameters.r, parameters.alpha_weeks, parameters.a, parameters.b
    x, t_x = history.repeats[:, None], history.recency_weeks[:, None]
    with np.errstate(over="ignore"):
        weeks: Values = (alpha + t_x) * ((1 / chance - 1) * (b + x) / a) ** (1 / (r + x)) - alpha
    return np.minimum(weeks, FOR_EVER_WEEKS)


def expected_purchases(parameters: MbgNbd, history: History, age_weeks: Values, horizon_weeks: float) -> Values:
    """How many purchases to expect of each customer in the `horizon_weeks` after T, t_x or later."""
    alpha = parameters.alpha_weeks
    log_purchases, _ = _log_expected(
        parameters, history.repeats, np.log(alpha + history.recency_weeks), np.log(alpha + age_weeks), horizon_weeks
    )
    purchases: Values = np.exp(log_purchases)
    return purchases


def expected_falls_to_weeks(parameters: MbgNbd, history: History, purchases: Values, horizon_weeks: float) -> Values:
    """When `expected_purchases` is down to `purchases` (shape (n, k)): weeks after the first purchase, shape (n, k).

    -inf where it is below at the latest purchase already; FOR_EVER_WEEKS where it stays above for ever.

    By Newton's method in the logarithms of the expectation and of alpha + T. There the curve is concave and falls: the
    first step, from the latest purchase, leads beyond the crossing, at most to the end of all times, and each one
    behind it stays beyond and comes nearer.
    """
    alpha = parameters.alpha_weeks
    log_last = np.log(alpha + history.recency_weeks)
    log_end = np.log(alpha + FOR_EVER_WEEKS)
    with np.errstate(divide="ignore"):
        wanted = np.log(purchases)  # of nothing: never fallen to
    at_last, slope_at_last = _log_expected(parameters, history.repeats, log_last, log_last, horizon_weeks)
    over = at_last[:, None] - wanted
    row, column = np.nonzero(over >= 0)
    weeks = np.full(purchases.shape, -np.inf)
    x, last, wish = history.repeats[row], log_last[row], wanted[row, column]
    with np.errstate(over="ignore"):
        log_age = np.minimum(last - over[row, column] / slope_at_last[row], log_end)
    active = np.arange(len(row))
    for _ in range(STEPS_MAX):
        if not len(active):
            break
        before = log_age[active]
        found, slope = _log_expected(parameters, x[active], last[active], before, horizon_weeks)
        after = np.clip(before - (found - wish[active]) / slope, last[active], log_end)
        log_age[active] = after
        active = active[np.abs(before - after) > STEP_MIN]
    weeks[row, column] = np.where(log_age >= log_end, FOR_EVER_WEEKS, np.exp(log_age) - alpha)
    return weeks


def _log_expected(
    parameters: MbgNbd, x: Values, log_last: Values, log_age: Values, horizon_weeks: float
) -> tuple[Values, Values]:
    """Logarithm of the expected purchases, and its slope; by the logarithms of alpha + t_x and alpha + T.

    Wagner and Hoppe (2008), after the transformation of the hypergeometric function that holds x in its third place
    alone, so that many repeats cost no digits:
    P(alive) C / (a - 1) (1 - (1 - z)^(a - 1) 2F1(a + b - r, a - 1; C; z)), C = a + b + x,
    z = horizon / (alpha + T + horizon).
    """
    from scipy.special import expit, hyp2f1  # noqa: PLC0415 - half a second and 24 MB, for those alone who ask for it

    r, a, b = parameters.r, parameters.a, parameters.b
    a = a if abs(a - 1) >= NEAR_ONE else 1 + NEAR_ONE
    first = b + a - r  # of the hypergeometric functions
    if abs(r - a - round(r - a)) < NEAR_WHOLE:  # SciPy has no number for some of those then
        first += NEAR_WHOLE
    w = horizon_weeks * np.exp(-log_age)
    z = w / (1 + w)
    c = a + b + x
    lost = np.log(a / (b + x)) + (r + x) * (log_age - log_last)  # logarithm of the odds that the customer is lost
    far = w * (r + x + 1) * (a + 1) / (c + 1) < FAR  # there the difference loses its digits, and few terms are enough
    terms = np.ones_like(w)
    for k in (3, 2, 1, 0):
        terms = 1 - w * (r + x + 1 + k) * (a + k) / ((2 + k) * (c + 1 + k)) * terms
    differs = c / (a - 1) * (1 - (1 + w) ** (1 - a) * hyp2f1(first, a - 1, c, z))
    if_alive = np.where(far, (r + x) * w * terms, differs)
    growth = w * (1 + w) ** -a * hyp2f1(first, a, c + 1, z)
    slope = -(r + x) * (expit(lost) + growth / if_alive)
    log_alive = -(np.maximum(lost, 0) + np.log1p(np.exp(-np.abs(lost))))  # as by logaddexp, in a third of its time
    return np.log(if_alive) + log_alive, slope
