"""Expected purchases of a living customer within a horizon, by MBG/NBD. Finite under all parameters of the settings.

A customer who is alive after x repeats buys at a rate that is gamma distributed (r + x, alpha + T). After each purchase
the customer is lost with a chance p that is beta distributed (a, b + x + 1). With w = horizon / (alpha + T) the
expectation is

    E[(1 - (1 + p w)^-(r + x)) / p],

of which Wagner and Hoppe (2008) give the closed form with 2F1. That form is quick, and in parts of the settings' range
without a number, or with a wrong one: its factors overflow apart, and it is a difference divided by a - 1. There the
expectation itself is summed up: all its terms are above zero, so nothing is lost, whatever the parameters are.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from segflow.segments.facts import Rows
from segflow.segments.parameters import MbgNbd

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FAR: Final = 1e-3
"""From here on the first terms of the series in w are exact to 15 digits."""
SHAPES_MOST: Final = 20.0
"""With r or a above it, SciPy's hyp2f1 begins to lose digits, and some hundreds later to overflow."""
REACH: Final = 9.0
"""The largest w up to which hyp2f1 is right for such r and a, whatever b and x are. Beyond it, z = w / (1 + w) is above
0.9, where SciPy takes another formula."""
LONG_REACH: Final = 100.0
"""That formula is right up to here, with b up to LONG_B, and r - a farther than WHOLE from a whole number."""
LONG_B: Final = 100.0
"""With more, it was seen to overflow."""
WHOLE: Final = 0.01
"""At whole numbers it divides by zero, and near them its digits cancel: errors of 1e-4 to 1e+11 were seen."""
DIFFERENCE_MIN: Final = 2e-5
"""Below it the difference of the closed form has lost so many of its 16 digits that not 9 are left; at a = 1 all."""
STEP: Final = 0.3
"""Between neighbouring nodes, in the logit of p. The error falls by exp(-9.9 / STEP): 5e-15 here (a sum over a whole
line of a function that is analytic, and bounded, up to pi/2 beside it)."""
NARROW: Final = 0.17
"""By how much steps shrink with the spread of p's logit: 0.7 of a standard deviation where that is small."""
NOTHING: Final = float(np.exp(-37.0))
"""A weight of so little changes no digit of a double."""
TAIL: Final = 1e-12
"""With p w (r + x + 1) and p (b + x + 1) below it, the rest is a geometric series, in p^a: exact to the 14th digit."""


class IfAlive(NamedTuple):
    """Of n customers who are alive, each of shape (n,)."""

    purchases: Values  # expected within the horizon
    growth: Values  # by how much they grow with ln(w): their derivative by it


def purchases_if_alive(parameters: MbgNbd, repeats: Values, w: Values) -> IfAlive:
    """The expectation, to nine digits at least, and how it grows: likewise, or to 1e-15 of the expectation.

    Args:
        parameters: of the population.
        repeats: x of n customers.
        w: horizon / (alpha + T) of each, above zero.
    """
    reach, far = _reach(parameters), _is_far(parameters, repeats, w)
    if reach > 0 and not far.any():  # as it mostly is: without a copy
        found, trusted = _by_hyp2f1(parameters, repeats, w)
        left = np.flatnonzero(~trusted | (w > reach))
    else:
        found, left = IfAlive(np.empty_like(w), np.empty_like(w)), np.flatnonzero(~far)
        _put(found, np.flatnonzero(far), _by_series(parameters, repeats[far], w[far]))
        if reach > 0:
            closed, trusted = _by_hyp2f1(parameters, repeats[left], w[left])
            _put(found, left, closed)
            left = left[~trusted | (w[left] > reach)]
    if len(left):
        _put(found, left, _by_summation(parameters, repeats[left], w[left]))
    return found


def _put(found: IfAlive, rows: Rows, values: IfAlive) -> None:
    found.purchases[rows], found.growth[rows] = values


def _is_far(parameters: MbgNbd, x: Values, w: Values) -> Flags:
    """Whether the horizon is so short beside the age that few terms of the series are enough."""
    r, a, b = parameters.r, parameters.a, parameters.b
    far: Flags = w * (r + x + 1) * (a + 1) / (a + b + x + 1) < FAR
    return far


def _by_series(parameters: MbgNbd, x: Values, w: Values) -> IfAlive:
    """The first terms in w, of which the closed form is the difference that has lost them; for those who are far.

    (r + x) w 3F2(1, r + x + 1, a; 2, a + b + x + 1; -w), and the same without 1 and 2.
    """
    r, a, b = parameters.r, parameters.a, parameters.b
    c = a + b + x
    purchases, growth = np.ones_like(w), np.ones_like(w)
    for k in (3, 2, 1, 0):
        ratio = w * (r + x + 1 + k) * (a + k) / (c + 1 + k)
        purchases = 1 - ratio / (2 + k) * purchases
        growth = 1 - ratio / (1 + k) * growth
    return IfAlive((r + x) * w * purchases, (r + x) * w * growth)


def _reach(parameters: MbgNbd) -> float:
    """Up to which w the closed form is right; 0: nowhere. Where it was compared: docs/decisions/078."""
    r, a, b = parameters.r, parameters.a, parameters.b
    if max(r, a) > SHAPES_MOST:
        return 0.0
    return LONG_REACH if b <= LONG_B and abs(r - a - np.rint(r - a)) > WHOLE else REACH


def _by_hyp2f1(parameters: MbgNbd, x: Values, w: Values) -> tuple[IfAlive, Flags]:
    """The closed form, and of whom its digits are to be trusted.

    After the transformation of the hypergeometric function that holds x in its third place alone, so that many repeats
    cost no digits: C / (a - 1) (1 - (1 - z)^(a - 1) 2F1(a + b - r, a - 1; C; z)), C = a + b + x, z = w / (1 + w).
    """
    from scipy.special import hyp2f1  # noqa: PLC0415 - half a second and 24 MB, for those alone who ask for it

    r, a, b = parameters.r, parameters.a, parameters.b
    z, c, first = w / (1 + w), a + b + x, b + a - r
    with np.errstate(all="ignore"):  # what has no number is not trusted
        difference = 1 - (1 + w) ** (1 - a) * hyp2f1(first, a - 1, c, z)
        purchases = c / (a - 1) * difference
        growth = (r + x) * (w * (1 + w) ** -a * hyp2f1(first, a, c + 1, z))
    trusted = (np.abs(difference) >= DIFFERENCE_MIN) & np.isfinite(purchases + growth)
    return IfAlive(purchases, growth), trusted


def _by_summation(parameters: MbgNbd, x: Values, w: Values) -> IfAlive:
    """The expectation over p by the trapezoidal rule in p's logit, from its mode outwards.

    Each customer has steps, nodes and an end of their own, so neighbours in the column change no digit. The same sum of
    the beta density alone is divided by, in place of the beta function, which would lose digits for large a and b.
    """
    r, a, b = parameters.r, parameters.a, parameters.b
    beta = b + x + 1
    total, mode = a + beta, a / (a + beta)
    step = STEP / np.sqrt(1 + NARROW * total * mode * (1 - mode))
    steep = np.maximum(w * (r + x + 1), beta)  # how fast what is summed departs from p^a
    weights, purchases, growth = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)

    def add(rows: Rows, off: Values) -> tuple[Values, Values]:
        """Add the node `off` the mode; its weights and p."""
        most, rate, ratio = mode[rows], r + x[rows], w[rows]
        grown = np.log1p(most * np.expm1(off))
        weight = np.exp(total[rows] * (most * off - grown))
        p = most * np.exp(off - grown)
        power = np.log1p(p * ratio)
        weights[rows] += weight
        purchases[rows] += weight * (-np.expm1(-rate * power) / p)
        growth[rows] += weight * (rate * ratio * np.exp(-(rate + 1) * power))
        return weight, p

    add(np.arange(len(w)), np.zeros_like(w))
    rows, count = np.arange(len(w)), 0
    while len(rows):
        count += 1
        weight, _ = add(rows, count * step[rows])
        rows = rows[weight > NOTHING]
    rows, count = np.arange(len(w)), 0
    while len(rows):
        count -= 1
        weight, p = add(rows, count * step[rows])
        at_most = (r + x[rows]) * w[rows]  # purchases and growth, as p goes to zero
        heavy = (weight >= NOTHING * weights[rows]) | (weight * at_most >= NOTHING * purchases[rows])
        on = (p * steep[rows] >= TAIL) & heavy  # of what is no number nothing goes on
        done = rows[~on]
        with np.errstate(over="ignore"):  # nothing is left then
            rest = weight[~on] / np.expm1(a * step[done])
        weights[done] += rest
        purchases[done] += rest * at_most[~on]
        growth[done] += rest * at_most[~on]
        rows = rows[on]
    return IfAlive(purchases / weights, growth / weights)
