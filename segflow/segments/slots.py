"""Slots of equal length, and a mask of those in which something was bought."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

MASK_SLOTS: Final = 64
"""Slots a mask holds: the latest one with a purchase is bit 0, the k-th before it bit k."""
NO_SLOT: Final = int(np.iinfo(np.int32).min)
"""The latest slot of a customer without a purchase."""

Slots = npt.NDArray[np.int32]
Mask = npt.NDArray[np.uint64]


def with_slot(latest: Slots, mask: Mask, slot: npt.NDArray[np.int64]) -> tuple[Slots, Mask]:
    """The latest slot and the mask of n customers after a purchase of each in `slot`. The order does not matter."""
    ahead = slot - latest
    forward = np.where(ahead < MASK_SLOTS, mask << np.clip(ahead, 0, MASK_SLOTS - 1).astype(np.uint64), np.uint64(0))
    bit = np.uint64(1) << np.clip(-ahead, 0, MASK_SLOTS - 1).astype(np.uint64)
    mask = np.where(ahead > 0, forward | np.uint64(1), np.where(-ahead < MASK_SLOTS, mask | bit, mask))
    return np.maximum(latest, slot).astype(np.int32), mask.astype(np.uint64)


def has_slot(latest: Slots, mask: Mask, slot: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether each of n customers is known to have bought in `slot`; before the mask's reach it is not known."""
    age = latest.astype(np.int64) - slot
    within = (age >= 0) & (age < MASK_SLOTS)
    held = mask >> np.where(within, age, 0).astype(np.uint64) & np.uint64(1)
    known: npt.NDArray[np.bool_] = within & (held == 1)
    return known


class United(NamedTuple):
    """The slots of n customers and n others who are one, each a column of shape (n,)."""

    latest: Slots
    mask: Mask
    shared: npt.NDArray[np.uint32]  # how many slots both masks have


def united(latest: Slots, mask: Mask, other_latest: Slots, other_mask: Mask) -> United:
    """The slots of n customers and n others who are one."""
    newest = np.maximum(latest, other_latest).astype(np.int64)
    moved: list[Mask] = []
    for its_latest, its_mask in ((latest, mask), (other_latest, other_mask)):
        age = newest - its_latest
        shifted = its_mask << np.clip(age, 0, MASK_SLOTS - 1).astype(np.uint64)
        moved.append(np.where(age < MASK_SLOTS, shifted, np.uint64(0)))
    shared = np.bitwise_count(moved[0] & moved[1]).astype(np.uint32)
    both: Mask = moved[0] | moved[1]
    return United(newest.astype(np.int32), both, shared)
