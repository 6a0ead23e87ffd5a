"""Measures of an alarm: shares and areas under ROC curves, each with a 95 % interval."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, norm, rankdata

Flags = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

LEVEL = 0.95
"""The level of all intervals."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure with its interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of_share(cls, part: int, whole: int) -> Self:
        """The share `part` of `whole` (above zero), with Wilson's interval."""
        interval = binomtest(part, whole).proportion_ci(LEVEL, method="wilson")
        return cls(value=part / whole, low=float(interval.low), high=float(interval.high))

    @classmethod
    def normal(cls, value: float, variance: float) -> Self:
        """The estimate `value` with a normal error of this variance."""
        half = float(norm.ppf((1 + LEVEL) / 2)) * variance**0.5
        return cls(value=value, low=value - half, high=value + half)


@dataclass(frozen=True, kw_only=True, slots=True)
class Auc:
    """The area under a score's ROC curve, and each customer's part in it, from which the interval comes."""

    value: float
    of_lost: Values  # shape (lost,): share of the others whom this one's score exceeds, ties by half
    of_others: Values  # shape (others,): share of the lost whose score exceeds this one's

    @property
    def estimate(self) -> Estimate:
        """The area with DeLong's interval."""
        return Estimate.normal(self.value, _variance(self.of_lost) + _variance(self.of_others))

    def less(self, other: "Auc") -> Estimate:
        """This area less that of another score of the same customers, with DeLong's interval."""
        variance = _variance(self.of_lost - other.of_lost) + _variance(self.of_others - other.of_others)
        return Estimate.normal(self.value - other.value, variance)


def auc(score: Values, lost: Flags) -> Auc:
    """The area under the ROC curve: the chance that a lost customer's score is above another customer's.

    Args:
        score: higher is likelier lost, shape (n,).
        lost: shape (n,); some are, some are not.

    DeLong, DeLong, Clarke-Pearson, "Comparing the Areas under Two or More Correlated Receiver Operating Characteristic
    Curves", Biometrics 44 (1988); by ranks, as Sun and Xu, IEEE Signal Processing Letters 21 (2014).
    """
    ranks, gone, back = rankdata(score), score[lost], score[~lost]
    of_lost = (ranks[lost] - rankdata(gone)) / len(back)
    of_others = 1 - (ranks[~lost] - rankdata(back)) / len(gone)
    return Auc(value=float(of_lost.mean()), of_lost=of_lost, of_others=of_others)


def roc(score: Values, lost: Flags) -> tuple[Values, Values]:
    """The ROC curve: the shares of the others and of the lost at or above each value of the score, from (0, 0) on."""
    values, places = np.unique(-score, return_inverse=True)
    gone = np.bincount(places[lost], minlength=len(values)).cumsum() / lost.sum()
    back = np.bincount(places[~lost], minlength=len(values)).cumsum() / (~lost).sum()
    return np.concatenate(([0.0], back)), np.concatenate(([0.0], gone))


def _variance(of_each: Values) -> float:
    """The variance of the mean of independent values."""
    return float(of_each.var(ddof=1)) / len(of_each)
