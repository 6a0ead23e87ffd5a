"""Log-spaced histograms of a population, and the quantiles and running shares they give.

Bins hold whole numbers: bin k > 0 those v with ratio^(k-1) <= v < ratio^k, bin 0 the zero, bin -k those of bin k
negated; bins without a whole number are left out. A quantile is the largest number of its bin, and a share of a sum
begins with the smallest of its, so that a cut never splits a bin and equal values stay together.
"""

from bisect import bisect_left
from collections import Counter
from functools import cache
from itertools import accumulate
from math import ceil, log
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.segments.share import SHARES_PER_ONE

RATIO: Final = 1.01
"""Neighbouring edges differ by 1 %: the relative error of a quantile (docs/architecture.md)."""
FINE_RATIO: Final = 1.001
"""For values that fall for everybody every day: a cut that fell in steps of 1 % would let a whole bin rise again."""
MOST: Final = 2**63 - 1
"""The largest whole number of 64 bits."""

Edges = npt.NDArray[np.int64]
"""First value of each bin, ascending."""


@cache
def edges(ratio: float) -> Edges:
    """The bins whose neighbours differ by `ratio`, up to what an int64 holds."""
    count = ceil(log(MOST) / log(ratio)) + 1
    return np.unique(np.array([min(ceil(ratio**power), MOST) for power in range(count)], dtype=np.int64))


LOW_BITS: Final = 32
"""Sums are added in two halves of so many bits: each holds those of 2^31 values."""

Histogram = Counter[int]
"""Bin to count, or to the sum of what is in it."""


def count(values: npt.NDArray[np.int64], ratio: float = RATIO) -> Histogram:
    """The histogram of `values`, shape (n,)."""
    sizes = np.abs(np.maximum(values, -MOST))  # -2^63 has no opposite
    bins = np.sign(values) * np.searchsorted(edges(ratio), sizes, side="right")
    found, counts = np.unique(bins, return_counts=True)
    return Counter(dict(zip(found.tolist(), counts.tolist(), strict=True)))


def sums(values: npt.NDArray[np.int64]) -> Histogram:
    """The sum of `values`, shape (n,), in each bin; only those above zero. Exact, also beyond 64 bits."""
    above = np.sort(values[values > 0])
    if not len(above):
        return Counter()
    found, starts = np.unique(np.searchsorted(edges(RATIO), above, side="right"), return_index=True)
    high = np.add.reduceat(above >> LOW_BITS, starts).tolist()
    low = np.add.reduceat(above & ((1 << LOW_BITS) - 1), starts).tolist()
    totals = [(upper << LOW_BITS) + lower for upper, lower in zip(high, low, strict=True)]
    return Counter(dict(zip(found.tolist(), totals, strict=True)))


def largest(number: int, ratio: float = RATIO) -> int:
    """The largest whole number of a bin."""
    if number < 0:
        return -int(edges(ratio)[-number - 1])
    if number == len(edges(ratio)):
        return MOST - 1  # a threshold is one more, and must fit 64 bits, too
    return 0 if number == 0 else int(edges(ratio)[number]) - 1


def quantiles(histogram: Histogram, shares: tuple[float, ...], ratio: float = RATIO) -> tuple[int, ...]:
    """For each share the largest value of the first bin at which so much of the population is reached.

    Raises:
        ValueError: the histogram is empty.
    """
    if not histogram:
        raise ValueError("an empty population has no quantiles")
    numbers = sorted(histogram)
    reached = np.cumsum([histogram[number] for number in numbers])
    places = np.searchsorted(reached, [share * reached[-1] for share in shares], side="left")
    return tuple(largest(numbers[place], ratio) for place in places.tolist())


def share_starts(sums_of: Histogram, shares: tuple[int, ...]) -> tuple[int, ...]:
    """From the largest value down, where each running share (in SHARES_PER_ONE) of the whole sum is reached.

    Returns:
        For each share the smallest whole number of the bin that reaches it: that bin is on the larger side.

    Raises:
        ValueError: nothing has a sum above zero.
    """
    if not sums_of:
        raise ValueError("a sum of nothing has no shares")
    numbers = sorted(sums_of, reverse=True)
    reached = list(accumulate(sums_of[number] * SHARES_PER_ONE for number in numbers))
    places = [bisect_left(reached, share * sums_of.total()) for share in shares]
    return tuple(int(edges(RATIO)[numbers[place] - 1]) for place in places)
