"""Distinct days with a purchase: how often a customer came, however often they paid that day."""

import numpy as np
import numpy.typing as npt

from segments.facts import Times
from segments.instant import DAY_US
from segments.slots import Mask, Slots, has_slot, with_slot

Days = npt.NDArray[np.uint32]


def with_purchase(latest: Slots, mask: Mask, days: Days, times_us: Times) -> tuple[Slots, Mask, Days]:
    """Latest day (UTC, days since 1970), mask of the 64 days behind it, and the count, after a purchase of each of n.

    A late purchase before the mask's reach counts as a new day, as nothing tells whether it is one. So the count, and
    it alone, can depend on the order in which purchases arrive: where two of one day both come over 64 days late.
    """
    day = times_us // DAY_US
    known = has_slot(latest, mask, day)
    latest, mask = with_slot(latest, mask, day)
    return latest, mask, (days + ~known).astype(np.uint32)
