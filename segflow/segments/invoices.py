"""The invoices that a record remembers of a customer: open ones, and those settled last."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.segments.facts import Times
from segflow.segments.instant import NEVER, UNKNOWN

OPEN: Final = np.dtype([("key", "<u8"), ("us", "<i8"), ("due_us", "<i8")])
"""An open invoice: hash of its id (0: an empty place), time of the event that says so, due date."""
SETTLED: Final = np.dtype([("key", "<u8"), ("us", "<i8"), ("late", "u1")])
"""A settled invoice: hash of its id (0: an empty place), time of the event that says so, 1 if it was paid late."""
INVOICE: Final = np.dtype([("key", "<u8"), ("due_us", "<i8"), ("paid_us", "<i8")])
"""The content of an event on an invoice: hash of its id, due date, time of payment (UNKNOWN: it is open)."""
OPEN_MOST: Final = 8
SETTLED_MOST: Final = 16
"""The most open and the most settled invoices that are remembered of a customer."""

Entries = npt.NDArray[np.void]
Keys = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Invoices:
    """The invoices of n customers.

    open: shape (n, OPEN_MOST) of OPEN, the first due first. settled: shape (n, SETTLED_MOST) of SETTLED, those with the
    latest events, the oldest first. Empty places are last. The totals, shape (n,), also count invoices that are no
    longer remembered.
    """

    open: Entries
    settled: Entries
    settled_total: npt.NDArray[np.uint32]
    late_total: npt.NDArray[np.uint32]

    @property
    def next_due_us(self) -> Times:
        """The earliest due date of the open invoices, shape (n,); NEVER without one."""
        first = self.open[:, 0]
        return np.where(first["key"] == 0, NEVER, first["due_us"])


def too_many(held: Invoices, payments: Entries, occurred_us: Times) -> Flags:
    """A mask of shape (n,): the events about an open invoice that must be refused.

    Either all places are taken, or the invoice may have been settled and forgotten already: all settled invoices that
    are remembered are later than the event.

    Args:
        held: of n customers.
        payments: an event of each, shape (n,) of INVOICE.
        occurred_us: of the events, shape (n,).
    """
    known = _at(held.open, payments["key"]).any(axis=1) | _at(held.settled, payments["key"]).any(axis=1)
    is_full = (held.open["key"] != 0).all(axis=1)
    forgets = (held.settled["key"] != 0).all(axis=1) & (occurred_us <= held.settled["us"][:, 0])
    refused: Flags = (payments["paid_us"] == UNKNOWN) & ~known & (is_full | forgets)
    return refused


def with_payments(held: Invoices, payments: Entries, occurred_us: Times) -> Invoices:
    """The invoices of n customers after an event of each, none of them `too_many`.

    A settled invoice stays settled. Otherwise the event that happened last counts for its due date and its lateness. Of
    two at the same time, the earlier `due_at` and the late payment count. So the order of events does not matter.

    Args:
        held: of n customers.
        payments: an event of each, shape (n,) of INVOICE.
        occurred_us: of the events, shape (n,).
    """
    opened, settled = held.open.copy(), held.settled.copy()
    row = np.arange(len(payments["key"]))
    is_open, was_settled = _at(opened, payments["key"]), _at(settled, payments["key"])
    was_open = is_open.any(axis=1)
    known = was_settled.any(axis=1)
    pays = payments["paid_us"] != UNKNOWN
    late = pays & (payments["paid_us"] > payments["due_us"])

    place = was_settled.argmax(axis=1)
    before = settled[row, place]
    newer = (occurred_us > before["us"]) | ((occurred_us == before["us"]) & late & (before["late"] == 0))
    again = pays & known & newer
    late_total = held.late_total + np.where(again, late.astype(np.int64) - before["late"], 0)
    _put(settled, row[again], place[again], (payments["key"], occurred_us, late), again)

    new = pays & ~known
    count = np.count_nonzero(settled["key"], axis=1)
    is_full = count == SETTLED_MOST
    oldest = settled[:, 0]
    newer = (occurred_us > oldest["us"]) | ((occurred_us == oldest["us"]) & (payments["key"] > oldest["key"]))
    kept = new & (~is_full | newer)
    _put(settled, row[kept], np.where(is_full, 0, count)[kept], (payments["key"], occurred_us, late), kept)
    opened[row[pays & was_open], is_open.argmax(axis=1)[pays & was_open]] = np.zeros((), dtype=OPEN)

    place = np.where(was_open, is_open.argmax(axis=1), np.count_nonzero(held.open["key"], axis=1))
    before = opened[row, np.minimum(place, OPEN_MOST - 1)]
    newer = (occurred_us > before["us"]) | ((occurred_us == before["us"]) & (payments["due_us"] < before["due_us"]))
    opens = ~pays & ~known & (~was_open | newer)
    _put(opened, row[opens], place[opens], (payments["key"], occurred_us, payments["due_us"]), opens)
    return Invoices(
        open=_in_order(opened, "due_us"),
        settled=_in_order(settled, "us"),
        settled_total=held.settled_total + new.astype(np.uint32),
        late_total=(late_total + (new & late)).astype(np.uint32),
    )


def _at(entries: Entries, keys: Keys) -> Flags:
    """The places of each customer's key among the entries, shape (n, entries)."""
    found: Flags = entries["key"] == keys[:, None]
    return found


def _put(
    entries: Entries,
    rows: npt.NDArray[np.intp],
    places: npt.NDArray[np.intp],
    columns: tuple[npt.NDArray[np.generic], ...],
    chosen: Flags,
) -> None:
    """Write the chosen rows of `columns` into the entries at `rows` and `places`."""
    for name, column in zip(entries.dtype.names or (), columns, strict=True):
        entries[name][rows, places] = column[chosen]


def _in_order(entries: Entries, by: str) -> Entries:
    """Each customer's entries, sorted by the time `by`, then by key; empty places last."""
    order = np.lexsort((entries["key"], np.where(entries["key"] == 0, NEVER, entries[by])))
    ordered: Entries = np.take_along_axis(entries, order, axis=1)
    return ordered


def united(one: Invoices, other: Invoices) -> Invoices:
    """The invoices of one customer and of another who are one, each of shape (1, ...).

    An invoice that both remember counts once, by its latest event. A settled one stays settled. Of more open ones than
    OPEN_MOST, those due first stay.
    """
    settled = _of_each(one.settled, other.settled, ("us", "late"))
    twice = np.isin(one.settled["key"][one.settled["key"] != 0], other.settled["key"])
    opened = _of_each(one.open, other.open, ("us", "due_us"), later_wins=(True, False))
    opened = opened[~np.isin(opened["key"], settled["key"])]
    both_late = np.concatenate([one.settled[0], other.settled[0]])["late"].sum() - settled["late"].sum()
    return Invoices(
        open=_padded(opened[np.lexsort((opened["key"], opened["due_us"]))][:OPEN_MOST], OPEN_MOST),
        settled=_padded(settled[np.lexsort((settled["key"], settled["us"]))][-SETTLED_MOST:], SETTLED_MOST),
        settled_total=(one.settled_total + other.settled_total - np.count_nonzero(twice)).astype(np.uint32),
        late_total=(one.late_total + other.late_total - both_late).astype(np.uint32),
    )


def _of_each(
    one: Entries, other: Entries, by: tuple[str, str], later_wins: tuple[bool, bool] = (True, True)
) -> Entries:
    """For each key the entry that counts, by two fields, of which the larger or the smaller wins; sorted by key."""
    entries = np.concatenate([one[0], other[0]])
    entries = entries[entries["key"] != 0]
    columns = [entries[name].astype(np.int64) * (1 if last else -1) for name, last in zip(by, later_wins, strict=True)]
    entries = entries[np.lexsort((columns[1], columns[0], entries["key"]))]
    last = np.append(entries["key"][1:] != entries["key"][:-1], [True]) if len(entries) else np.zeros(0, dtype=np.bool_)
    kept: Entries = entries[last]
    return kept


def _padded(entries: Entries, most: int) -> Entries:
    """The entries as one row of `most` places."""
    row = np.zeros((1, most), dtype=entries.dtype)
    row[0, : len(entries)] = entries
    return row
