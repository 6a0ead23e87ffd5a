"""Distinct days with a purchase: how often a customer came, however often they paid that day."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from segflow.segments.facts import Fact, Times
from segflow.segments.instant import DAY_US, UNKNOWN
from segflow.segments.money import add_checked
from segflow.segments.slots import NO_SLOT, Mask, Slots, has_slot, with_slot

LATEST_DAY: Final = Fact("latest_day", np.int32, NO_SLOT)
DAY_MASK: Final = Fact("day_mask", np.uint64)
PURCHASE_DAYS: Final = Fact("purchase_days", np.uint32)  # distinct days with a purchase
FIRST_DAY_MINOR: Final = Fact("first_day_minor", np.int64)  # paid on the first purchase day

Days = npt.NDArray[np.uint32]


class PurchaseDays(NamedTuple):
    """The days with a purchase of n customers, each a column of shape (n,)."""

    latest: Slots  # UTC, days since 1970; NO_SLOT without one
    mask: Mask  # of the 64 days up to the latest
    days: Days


def with_purchase(latest: Slots, mask: Mask, days: Days, times_us: Times) -> PurchaseDays:
    """The days after a purchase of each of n customers at `times_us`.

    A late purchase before the mask's reach counts as a new day, as nothing tells whether it is one. So the count, and
    it alone, can depend on the order in which purchases arrive: where two of one day both come over 64 days late.
    """
    day = times_us // DAY_US
    known = has_slot(latest, mask, day)
    latest, mask = with_slot(latest, mask, day)
    return PurchaseDays(latest, mask, (days + ~known).astype(np.uint32))


def with_first_day(
    held_minor: npt.NDArray[np.int64], first_us: Times, times_us: Times, amounts_minor: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Money of the first purchase day once a purchase of each of n customers is added, shape (n,), minor units.

    `held_minor` and `first_us` are those before it, UNKNOWN for a customer without a purchase. The order of purchases
    does not matter: an earlier day replaces a later one.

    Raises:
        OverflowError: the money of that day does not fit into 64 bits.
    """
    day, first_day = times_us // DAY_US, first_us // DAY_US
    same = np.where(first_us == UNKNOWN, False, day == first_day)
    earlier = (first_us == UNKNOWN) | (day < first_day)
    total = add_checked(held_minor, np.where(same, amounts_minor, 0), lambda _: "a customer on the first purchase day")
    return np.where(earlier, amounts_minor, total)


def first_day_of_both(
    held_minor: npt.NDArray[np.int64], first_us: Times, other_minor: npt.NDArray[np.int64], other_first_us: Times
) -> npt.NDArray[np.int64]:
    """Money of the first purchase day of n customers merged with n others, shape (n,); arguments as above."""
    return np.where(
        other_first_us == UNKNOWN, held_minor, with_first_day(held_minor, first_us, other_first_us, other_minor)
    )
