"""Cadence: regular buyer, occasional, or one-off; by slots of equal length (28 days) with a purchase."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from segflow.segments.cuts import Cuts
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER, after
from segflow.segments.slots import Mask, Slots, with_slot

LABELS: Final = ("none", "one_off", "occasional", "regular")
NONE, ONE_OFF, OCCASIONAL, REGULAR = range(len(LABELS))


@dataclass(frozen=True, kw_only=True, slots=True)
class Cadence:
    """Regular with a purchase in `regular_slots` of the latest `of_slots`. `none` (neutral): no order that counts.

    The slots looked at end with the present one, or with that of the latest purchase where it lies ahead.
    """

    regular_slots: int
    of_slots: int
    slot_us: int  # slot 0 begins at the Unix epoch
    name: str = "cadence"
    labels: tuple[str, ...] = LABELS
    start: int = NONE

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into LABELS, shape (n,)."""
        orders = facts.orders
        code = np.where(orders == 1, ONE_OFF, OCCASIONAL)
        code = np.where(at_us < self._regular_until_us(facts), REGULAR, code)
        return np.where(orders == 0, NONE, code).astype(np.uint8)

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:  # noqa: ARG002 - the Model's signature
        """The end of the slot with which `regular` ends; nothing else ends by silence."""
        return np.where(labels[self.name] == REGULAR, self._regular_until_us(facts), NEVER)

    def _regular_until_us(self, facts: Facts) -> Times:
        """As `_crossing` gives it, once for the same facts."""
        return facts.once(self, lambda: self._crossing(facts))

    def _crossing(self, facts: Facts) -> Times:
        """When fewer than `regular_slots` are left among the latest; the beginning of time where there never were.

        With k the age of the `regular_slots`-th latest slot, that is `of_slots` - k slots after the latest one.
        """
        mask = facts.slot_mask
        for _ in range(self.regular_slots - 1):
            mask = mask & (mask - np.uint64(1))  # without its lowest bit; nothing stays nothing
        lowest = mask & (~mask + np.uint64(1))
        age = np.frexp(lowest.astype(np.float64))[1].astype(np.int64) - 1  # exact: a power of two
        counts = (mask != 0) & (age < self.of_slots)
        end = np.where(counts, facts.latest_slot + (self.of_slots - age), 0)
        return np.where(counts, after(end * self.slot_us, 0), np.iinfo(np.int64).min)


def with_purchase(latest: Slots, mask: Mask, times_us: Times, slot_us: int) -> tuple[Slots, Mask]:
    """The latest slot and the mask of n customers after a purchase of each."""
    return with_slot(latest, mask, times_us // slot_us)
