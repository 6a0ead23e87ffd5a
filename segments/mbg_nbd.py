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

from segments.facts import Facts
from segments.instant import DAY_US
from segments.parameters import MbgNbd

WEEK_US: Final = 7 * DAY_US
FOR_EVER_WEEKS: Final = 1e9
"""Later than the year 9999, whenever the first purchase was; small enough to calculate with."""
NEAR_ONE: Final = 1e-6
"""The expectation divides by a - 1 what is 0 at a = 1. So near it, the next a that can be divided by is as good."""

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
            repeats=np.maximum(facts.purchase_days.astype(np.float64) - 1, 0),
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
    """How many purchases to expect of each customer in the `horizon_weeks` after T.

    Wagner and Hoppe (2008), after the transformation of the hypergeometric function that holds x in its third place
    alone, so that many repeats cost no digits:
    P(alive) C / (a - 1) (1 - (1 - z)^(a - 1) 2F1(a + b - r, a - 1; C; z)), C = a + b + x,
    z = horizon / (alpha + T + horizon).
    """
    from scipy.special import hyp2f1  # noqa: PLC0415 - half a second and 24 MB, for those alone who ask for it

    r, alpha, a, b = parameters.r, parameters.alpha_weeks, parameters.a, parameters.b
    a = a if abs(a - 1) >= NEAR_ONE else 1 + NEAR_ONE
    c = a + b + history.repeats
    z = horizon_weeks / (alpha + age_weeks + horizon_weeks)
    if_alive = c / (a - 1) * (1 - (1 - z) ** (a - 1) * hyp2f1(a + b - r, a - 1, c, z))
    expected: Values = p_alive(parameters, history, age_weeks) * if_alive
    return expected
