"""Money and orders by slots of equal length, so that those of the latest slots can be added up.

An event belongs to the slot of its own time: a refund takes money off there, a full one also an order, wherever the
purchase was. A slot's sums are therefore the same in whatever order events come.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.segments.facts import Facts, Times
from segflow.segments.instant import DAY_US, after
from segflow.segments.money import add_checked

KEY_OF_SLOT_0: Final = 2**31
"""Keys are slot numbers moved up, so that none is 0."""
ENTRY: Final = np.dtype([("key", "<u4"), ("orders", "<i4"), ("net_minor", "<i8")])
"""One slot in which something was bought or returned: its number + KEY_OF_SLOT_0 (0: none here), purchases less full
refunds, purchases less refunds in minor units."""

YEAR_US: Final = 365 * DAY_US

Entries = npt.NDArray[np.void]
"""Slots of n customers, shape (n, k): the earliest first, empty places last."""
Numbers = npt.NDArray[np.int64]


def with_event(held: Entries, slots: Numbers, orders: Numbers, net_minor: Numbers, length: int) -> Entries:
    """The slots of n customers after an event of each, which adds so many orders and so much money to its slot.

    What is `length` slots or more before a customer's latest is forgotten: no moment will look at it any more.

    Raises:
        OverflowError: the money of a slot leaves the range of 64 bits; going on would corrupt it.
    """
    held = trimmed(held)
    entries = np.concatenate([held, np.zeros((len(held), 1), dtype=ENTRY)], axis=1)
    keys = slots + KEY_OF_SLOT_0
    found = entries["key"] == keys[:, None]
    place = np.where(found.any(axis=1), found.argmax(axis=1), held.shape[1])
    row = np.arange(len(held))
    before = entries["net_minor"][row, place]
    total = add_checked(before, net_minor, lambda _: "a customer in one slot")
    entries["key"][row, place] = keys
    entries["orders"][row, place] += orders.astype(np.int32)
    entries["net_minor"][row, place] = total
    key = entries["key"].astype(np.int64)
    entries[(key != 0) & (key + length <= key.max(axis=1)[:, None])] = np.zeros((), dtype=ENTRY)
    key = entries["key"].astype(np.int64)
    order = np.argsort(np.where(key == 0, np.iinfo(np.int64).max, key), axis=1, kind="stable")
    return trimmed(np.take_along_axis(entries, order, axis=1))


def slots_of_12_months(slot_us: int) -> int:
    """The number of slots that fit in 365 days, the present one included; at least 1."""
    return max(1, YEAR_US // slot_us)


def united(held: Entries, other: Entries, length: int) -> Entries:
    """The slots of n customers and of n others who are one.

    Raises:
        OverflowError: see `with_event`.
    """
    for column in range(other.shape[1]):
        there = np.flatnonzero(other["key"][:, column])
        if len(there):
            entry = other[there, column]
            slots = entry["key"].astype(np.int64) - KEY_OF_SLOT_0
            after = with_event(held[there], slots, entry["orders"].astype(np.int64), entry["net_minor"], length)
            wider = np.zeros((len(held), max(held.shape[1], after.shape[1])), dtype=ENTRY)
            wider[:, : held.shape[1]] = held
            wider[there] = np.zeros((), dtype=ENTRY)
            wider[there, : after.shape[1]] = after
            held = wider
    return trimmed(held)


def trimmed(held: Entries) -> Entries:
    """Without the places that nobody uses."""
    used = int((held["key"] != 0).sum(axis=1).max(initial=0))
    return held[:, :used]


def leave_us(held: Entries, slot_us: int, length: int) -> Times:
    """The time at which each slot leaves the window, shape (n, k), earliest first; NEVER in empty places.

    A slot leaves at the end of the `length`-th slot from it, itself included.
    """
    is_there = held["key"] != 0
    slot = np.where(is_there, held["key"].astype(np.int64) - KEY_OF_SLOT_0, 0)
    return np.where(is_there, after((slot + length) * slot_us, 0), np.iinfo(np.int64).max)


def compared_us(facts: Facts, at_us: Times, cut_us: int | None, slot_us: int) -> Times:
    """The moments at which to look at the window of n customers, shape (n,): see `Facts.compared_us`.

    Under a population cut never before the latest slot, which a refund after the latest purchase may have begun: what
    has left the window by then is forgotten.
    """
    moments_us = facts.compared_us(at_us, cut_us)
    if cut_us is None:
        return moments_us
    latest = facts.window["key"].max(axis=1, initial=0).astype(np.int64)
    return np.where(latest == 0, moments_us, np.maximum(moments_us, (latest - KEY_OF_SLOT_0) * slot_us))


def sums_at(held: Entries, at_us: Times, slot_us: int, length: int) -> tuple[Numbers, Numbers]:
    """Orders that count and net money of n customers in the window at their moments, shape (n,)."""
    gone = (leave_us(held, slot_us, length) <= at_us[:, None]).sum(axis=1)
    orders, net_minor = left(held)
    row = np.arange(len(held))
    return orders[row, gone], net_minor[row, gone]


def left(held: Entries) -> tuple[Numbers, Numbers]:
    """Orders that count (never below zero) and net money after the first 0, 1 … k slots have left, shape (n, k + 1).

    Raises:
        OverflowError: the money of several slots together leaves the range of 64 bits.
    """
    nothing = np.zeros((len(held), 1), dtype=np.int64)
    sums = (
        np.concatenate([np.cumsum(column[:, ::-1].astype(np.int64), axis=1)[:, ::-1], nothing], axis=1)
        for column in (held["orders"], held["net_minor"])
    )
    orders, net_minor = sums
    add_checked(net_minor[:, 1:], held["net_minor"], lambda _: "a customer in several slots")
    return np.maximum(orders, 0), net_minor
