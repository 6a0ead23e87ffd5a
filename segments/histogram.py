"""Log-spaced histograms of a population, and the quantiles they give.

Bins hold whole numbers: bin k > 0 those v with RATIO^(k-1) <= v < RATIO^k, bin 0 the zero, bin -k those of bin k
negated. A quantile is the largest number of its bin, so that a cut never splits a bin and equal values stay together.
"""

from collections import Counter
from math import ceil
from typing import Final

import numpy as np
import numpy.typing as npt

RATIO: Final = 1.01
"""Neighbouring edges differ by 1 %: the relative error of a quantile (design section 3)."""
BINS: Final = 4400
"""RATIO^4400 is beyond an int64."""
EDGES: Final = np.unique(np.array([min(ceil(RATIO**power), 2**63 - 1) for power in range(BINS)], dtype=np.int64))
"""First value of each bin, ascending; bins without a whole number are left out."""

Histogram = Counter[int]
"""Bin to count."""


def count(values: npt.NDArray[np.int64]) -> Histogram:
    """The histogram of `values`, shape (n,)."""
    bins = np.sign(values) * np.searchsorted(EDGES, np.abs(values), side="right")
    found, counts = np.unique(bins, return_counts=True)
    return Counter(dict(zip(found.tolist(), counts.tolist(), strict=True)))


def largest(number: int) -> int:
    """The largest whole number of a bin."""
    if number < 0:
        return -int(EDGES[-number - 1])
    return 0 if number == 0 else int(EDGES[number]) - 1


def quantiles(histogram: Histogram, shares: tuple[float, ...]) -> tuple[int, ...]:
    """For each share the largest value of the first bin at which so much of the population is reached.

    Raises:
        ValueError: the histogram is empty.
    """
    if not histogram:
        raise ValueError("an empty population has no quantiles")
    numbers = sorted(histogram)
    reached = np.cumsum([histogram[number] for number in numbers])
    places = np.searchsorted(reached, [share * reached[-1] for share in shares], side="left")
    return tuple(largest(numbers[place]) for place in places.tolist())
