"""A held-out period from facts alone: the customers as they were eight weeks ago, and their purchases since."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from segflow.fitting.sample import Sample
from segflow.segments.facts import Facts
from segflow.segments.instant import DAY_US
from segflow.segments.mbg_nbd import Values
from segflow.segments.purchase_days import DAY_MASK, LATEST_DAY, PURCHASE_DAYS

HELD_OUT_DAYS: Final = 56
"""Eight weeks: within the 64 days that a mask tells day by day, with a week of what was before left to be seen."""
WEEK_DAYS: Final = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """The population HELD_OUT_DAYS ago, in whole days, and its purchases since."""

    before: Sample  # without money
    later_days: Values  # distinct purchase days since, of each


def held_out(facts: Facts, at_us: int) -> HeldOut:
    """The held-out period, from the masks of each customer's latest 64 purchase days.

    The mask may show no purchase before the period although there was one. The latest purchase before the period is
    then taken to lie halfway between the first day and the mask's reach.

    Args:
        facts: of customers with a purchase, none of it after `at_us`.
        at_us: the end of the period.
    """
    first_day = facts.first_us // DAY_US
    cut_day = at_us // DAY_US - HELD_OUT_DAYS
    latest_day = facts[LATEST_DAY].astype(np.int64)
    since = np.clip(latest_day - cut_day, 0, HELD_OUT_DAYS).astype(np.uint64)
    later = np.bitwise_count(facts[DAY_MASK] & ((np.uint64(1) << since) - np.uint64(1))).astype(np.int64)
    days = facts[PURCHASE_DAYS].astype(np.int64) - later
    earlier = facts[DAY_MASK] >> since
    lowest = earlier & (~earlier + np.uint64(1))
    gap = np.frexp(lowest.astype(np.float64))[1].astype(np.int64) - 1  # to the latest bit before the period; exact
    seen = np.minimum(latest_day, cut_day) - gap
    halfway = (first_day + latest_day - 64) // 2
    last_day = np.where(days <= 1, first_day, np.where(earlier != 0, seen, np.maximum(halfway, first_day)))
    were = (first_day <= cut_day) & (days > 0)
    before = Sample(
        repeats=(days - 1)[were].astype(np.float64),
        recency_weeks=((last_day - first_day) / WEEK_DAYS)[were],
        age_weeks=((cut_day - first_day) / WEEK_DAYS)[were],
        repeat_money=np.zeros(np.count_nonzero(were)),
    )
    return HeldOut(before=before, later_days=later.astype(np.float64)[were])
