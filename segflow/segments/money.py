"""Sums of money in minor units, as int64."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Minor = npt.NDArray[np.int64]


def add_checked(held_minor: Minor, added_minor: Minor, whose: Callable[[int], str]) -> Minor:
    """The sums of two columns of money, both of shape (n,).

    Args:
        held_minor: what there is.
        added_minor: what comes to it; may be negative.
        whose: names the owner of a row, for the message.

    Raises:
        OverflowError: a sum leaves the range of 64 bits; going on would corrupt it.
    """
    total = held_minor + added_minor
    wrapped = ((held_minor ^ total) & (added_minor ^ total)) < 0  # both have the sign that the sum has not
    if wrapped.any():
        who = whose(int(np.flatnonzero(wrapped)[0]))
        raise OverflowError(f"the net money of {who} no longer fits 64 bits of minor units")
    return total
