"""One customer's facts added to another's: what `alias` does to the record. Pure."""

from typing import Final

import numpy as np

from segflow.segments import attributes, purchase_days, slots, window
from segflow.segments.facts import Rows
from segflow.segments.instant import UNKNOWN
from segflow.segments.models import engagement, payment, satisfaction
from segflow.segments.money import add_checked
from segflow.state.customers import Customers
from segflow.state.layout import REMEMBERED, SECTIONS


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
        if name == "window":
            _window(into, rows, other, window_slots)
        else:
            FACTS[name](into, rows, other)
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


def _price(into: Customers, rows: Rows, other: Customers) -> None:
    into.sections["price"]["discounted"][rows] += other.sections["price"]["discounted"]


def _cadence(into: Customers, rows: Rows, other: Customers) -> None:
    mine, theirs = into.sections["cadence"], other.sections["cadence"]
    both = slots.united(mine["latest_slot"][rows], mine["slot_mask"][rows], theirs["latest_slot"], theirs["slot_mask"])
    mine["latest_slot"][rows], mine["slot_mask"][rows] = both.latest, both.mask


def _churn(into: Customers, rows: Rows, other: Customers) -> None:
    """Days that both masks have count once; of those before their reach nothing tells whether they are one."""
    mine, theirs = into.sections["churn"], other.sections["churn"]
    both = slots.united(mine["latest_day"][rows], mine["day_mask"][rows], theirs["latest_day"], theirs["day_mask"])
    mine["latest_day"][rows], mine["day_mask"][rows] = both.latest, both.mask
    mine["purchase_days"][rows] += theirs["purchase_days"] - both.shared


def _clv(into: Customers, rows: Rows, other: Customers) -> None:
    mine, theirs = into.sections["clv"], other.sections["clv"]
    mine["first_day_minor"][rows] = purchase_days.first_day_of_both(
        mine["first_day_minor"][rows],
        into.fixed["first_us"][rows],
        theirs["first_day_minor"],
        other.fixed["first_us"],
    )


def _payment(into: Customers, rows: Rows, other: Customers) -> None:
    mine = into.sections["payment"]
    for number, row in enumerate(rows.tolist()):
        both = payment.united(*(_invoices(each, at) for each, at in ((into, row), (other, number))))
        into.tails["open_invoices"][row] = both.open[0]
        into.tails["settled_invoices"][row] = both.settled[0]
        mine["settled_invoices"][row], mine["late_invoices"][row] = both.settled_total[0], both.late_total[0]
        mine["next_due_us"][row] = both.next_due_us[0]


def _invoices(customers: Customers, row: int) -> payment.Invoices:
    section = customers.sections["payment"]
    return payment.Invoices(
        open=customers.tails["open_invoices"][[row]],
        settled=customers.tails["settled_invoices"][[row]],
        settled_total=section["settled_invoices"][[row]],
        late_total=section["late_invoices"][[row]],
    )


def _satisfaction(into: Customers, rows: Rows, other: Customers) -> None:
    mine, theirs = into.sections["satisfaction"], other.sections["satisfaction"]
    mine["feedback_us"][rows], mine["score"][rows] = satisfaction.with_feedback(
        mine["feedback_us"][rows], mine["score"][rows], theirs["feedback_us"], theirs["score"]
    )


def _engagement(into: Customers, rows: Rows, other: Customers) -> None:
    mine, theirs = into.sections["engagement"], other.sections["engagement"]
    mine["level_log2"][rows] = engagement.with_event(mine["level_log2"][rows], theirs["level_log2"])


def _window(into: Customers, rows: Rows, other: Customers, window_slots: int) -> None:
    if not window_slots:
        return
    held = into.tails["slots"]
    both = window.united(held[rows], other.tails["slots"], window_slots)
    held[rows] = np.zeros((), dtype=window.ENTRY)
    held[rows, : both.shape[1]] = both


def _attributes(into: Customers, rows: Rows, other: Customers) -> None:
    keys = np.array(into.keys["attributes"], dtype=np.uint32)
    held = into.tails["attributes"]
    held[rows] = attributes.united(held[rows], keys, other.tails["attributes"])


def _nothing(into: Customers, rows: Rows, other: Customers) -> None:
    """A section without facts of its own."""


FACTS: Final = {
    "price": _price,
    "cadence": _cadence,
    "satisfaction": _satisfaction,
    "engagement": _engagement,
    "value": _nothing,
    "churn": _churn,
    "clv": _clv,
    "payment": _payment,
    "attributes": _attributes,
    "rules": _nothing,
}
"""By section: how its facts are added; those of the window need its length, too."""
assert FACTS.keys() | {"window"} == SECTIONS.keys()
