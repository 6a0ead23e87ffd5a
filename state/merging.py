"""One customer's facts added to another's: what `alias` does to the record. Pure."""

import numpy as np

from segflow.segments import attributes, window
from segflow.segments.facts import Rows
from segflow.segments.instant import UNKNOWN
from segflow.segments.money import add_checked
from segflow.state import named_sections
from segflow.state.customers import Customers
from segflow.state.layout import REFUNDS, REMEMBERED, model_section
from segflow.state.tails import REFUNDED_MOST, REFUNDED_ORDERS


def merge(into: Customers, rows: Rows, other: Customers, window_slots: int) -> None:
    """Add the facts of `other`, k customers, to those of `rows` of `into`, shape (k,), each row once.

    As if every event of both had come under one id: counts and sums add, first times take the smallest, latest the
    largest, masks unite. Of the remembered event ids the latest stay, those of `into` behind those of `other`.
    `concluded_us` takes the later. Labels, times of labels, timers and versions are as they were.

    Args:
        into: changed in place.
        rows: whose facts become those of both.
        other: taken from `into`, or with the same sections and keys.
        window_slots: length of the window of the rules, in slots; 0 without one.

    Raises:
        OverflowError: the money of both no longer fits 64 bits.
    """
    for name in other.sections:
        model = model_section(name)
        if model is not None and model.merge is not None:
            model.merge(into.kept(name), rows, other.kept(name))
    _unread(into, rows, other)
    if window_slots:
        _window(into, rows, other, window_slots)
    if "attributes" in other.sections:
        _attributes(into, rows, other)
    mine, theirs = into.fixed, other.fixed
    for name in ("purchases", "full_refunds"):
        mine[name][rows] += theirs[name]
    mine["net_minor"][rows] = add_checked(
        mine["net_minor"][rows], theirs["net_minor"], lambda place: f"customer {into.ids[int(rows[place])]!r}"
    )
    firsts = np.stack([mine["first_us"][rows], theirs["first_us"]])
    known = np.where(firsts == UNKNOWN, np.iinfo(np.int64).max, firsts).min(axis=0)
    mine["first_us"][rows] = np.where((firsts == UNKNOWN).all(axis=0), UNKNOWN, known)
    lasts = np.sort(
        np.stack([each[name] for each in (mine[rows], theirs) for name in ("last_us", "before_last_us")]), axis=0
    )
    mine["last_us"][rows], mine["before_last_us"][rows] = lasts[-1], lasts[-2]
    mine["concluded_us"][rows] = np.maximum(mine["concluded_us"][rows], theirs["concluded_us"])
    _remember(into, rows, other)
    if REFUNDS in other.sections:
        _unite_refunds(into, rows, other)


def remembered_by_both(customers: Customers, row: int, other: int) -> int:
    """The number of event ids that both customers remember: events that came under the ids of both."""
    pairs = ((seen[row], seen[other]) for seen in customers.seen)
    return sum(int(np.count_nonzero(np.isin(mine, theirs) & (mine != 0))) for mine, theirs in pairs)


def _remember(into: Customers, rows: Rows, other: Customers) -> None:
    for memory, limit in enumerate(REMEMBERED):
        seen, counts = into.seen[memory], into.fixed["remembered"]
        for row, ids, count in zip(
            rows.tolist(), other.seen[memory], other.fixed["remembered"][:, memory], strict=True
        ):
            own = seen[row, : counts[row, memory]]
            older = ids[:count]
            all_ids = np.concatenate([older[~np.isin(older, own)], own])[-limit:]
            seen[row] = 0
            seen[row, : len(all_ids)] = all_ids
            counts[row, memory] = len(all_ids)


def _unite_refunds(into: Customers, rows: Rows, other: Customers) -> None:
    """Orders refunded in full: the latest of both, those of `into` behind those of `other`."""
    entries, others = into.tails[REFUNDED_ORDERS]["key"], other.tails[REFUNDED_ORDERS]["key"]
    for row, theirs in zip(rows.tolist(), others, strict=True):
        own = entries[row][entries[row] != 0]
        older = theirs[(theirs != 0) & ~np.isin(theirs, own)]
        both = np.concatenate([older, own])[-REFUNDED_MOST:]
        entries[row] = 0
        entries[row, : len(both)] = both


def _unread(into: Customers, rows: Rows, other: Customers) -> None:
    """Join the sections that are not read. They cannot be added: where both have one, that of `into` stays."""
    if other.unread is None:
        return
    if into.unread is None:
        into.unread = named_sections.no_blocks(len(into))
    into.unread[rows] = [
        named_sections.either(mine, theirs)
        for mine, theirs in zip(into.unread[rows].tolist(), other.unread.tolist(), strict=True)
    ]


def _window(into: Customers, rows: Rows, other: Customers, window_slots: int) -> None:
    held = into.tails["slots"]
    both = window.united(held[rows], other.tails["slots"], window_slots)
    held[rows] = np.zeros((), dtype=window.ENTRY)
    held[rows, : both.shape[1]] = both


def _attributes(into: Customers, rows: Rows, other: Customers) -> None:
    keys = np.array(into.keys["attributes"], dtype=np.uint32)
    held = into.tails["attributes"]
    held[rows] = attributes.united(held[rows], keys, other.tails["attributes"])
