"""Step 2 of docs/architecture.md#how-one-event-is-applied: events applied to the facts of their customers. Pure."""

import numpy as np
import numpy.typing as npt

from segflow.engine.columns.events import Chunk, Kind
from segflow.schemas.rule_dimensions import key_of
from segflow.segments import attributes, window
from segflow.segments.facts import Rows
from segflow.segments.instant import UNKNOWN
from segflow.segments.money import add_checked
from segflow.segments.record_section import Events, Happened
from segflow.segments.rules import Rules
from segflow.state.customers import Customers


def untakable(customers: Customers, batch: Chunk, rules: Rules, rows: Rows, events: Rows) -> npt.NDArray[np.bool_]:
    """A mask of shape (k,): the events that are payments which a model must refuse. Arguments as for `apply`."""
    found = np.zeros(len(events), dtype=np.bool_)
    pays = np.flatnonzero(batch.kinds[events] == Kind.PAYMENT)
    if len(pays):
        payments = Events(rows[pays], events[pays], batch)
        for model in rules.keeping:
            if model.section is not None and model.section.refuse is not None:
                found[pays] |= model.section.refuse(customers.kept(model.name), payments)
    return found


def apply(customers: Customers, batch: Chunk, rules: Rules, rows: Rows, events: Rows) -> None:
    """Tell each customer of `rows` its event of `events`, in place; no customer twice.

    Args:
        customers: all that are loaded.
        batch: its events, every row usable.
        rules: which facts are kept, and by what.
        rows: (k,) of `customers`.
        events: (k,) of `batch`.

    Raises:
        OverflowError: a customer's money leaves the range of 64 bits.
    """
    happened = _by_kind(batch, rows, events)
    for model in rules.keeping:  # before the fixed part: a first purchase is compared with what was first until then
        if model.section is not None and model.section.apply is not None:
            model.section.apply(customers.kept(model.name), happened, rules.slot_us)
    _apply_to_fixed_part(customers, batch, happened.purchases, happened.refunds)
    if rules.window_slots:
        _apply_to_window(customers, batch, rules, rows, events)
    if rules.attributes and len(events):
        _apply_profiles(customers, batch, rules, rows, events)


def _by_kind(batch: Chunk, rows: Rows, events: Rows) -> Happened:
    kinds = batch.kinds[events]

    def of(kind: Kind) -> Events:
        mine = kinds == kind
        return Events(rows[mine], events[mine], batch)

    return Happened(
        all=Events(rows, events, batch),
        purchases=of(Kind.PURCHASE),
        refunds=of(Kind.REFUND),
        feedback=of(Kind.FEEDBACK),
        payments=of(Kind.PAYMENT),
        others=of(Kind.OTHER),
    )


def _apply_to_fixed_part(customers: Customers, batch: Chunk, purchases: Events, refunds: Events) -> None:
    """Counts, times and money."""
    fixed, bought, times_us = customers.fixed, purchases.rows, purchases.occurred_us
    fixed["purchases"][bought] += 1
    _add_money(customers, bought, purchases.amounts_minor)
    first_us, last_us, before_us = (fixed[name][bought] for name in ("first_us", "last_us", "before_last_us"))
    fixed["first_us"][bought] = np.where(first_us == UNKNOWN, times_us, np.minimum(first_us, times_us))
    fixed["before_last_us"][bought] = np.maximum(before_us, np.minimum(last_us, times_us))
    fixed["last_us"][bought] = np.maximum(last_us, times_us)
    _add_money(customers, refunds.rows, -refunds.amounts_minor)
    fixed["full_refunds"][refunds.rows] += batch.full[refunds.places]


def _apply_to_window(customers: Customers, batch: Chunk, rules: Rules, rows: Rows, events: Rows) -> None:
    """Money and orders by slots."""
    kinds = batch.kinds[events]
    buys, returns = kinds == Kind.PURCHASE, kinds == Kind.REFUND
    moves = buys | returns
    moved, amounts_minor = rows[moves], batch.amounts_minor[events]
    slots = customers.tails["slots"]
    after = window.with_event(
        slots[moved],
        batch.occurred_us[events[moves]] // rules.slot_us,
        np.where(buys, 1, -batch.full[events].astype(np.int64))[moves],
        np.where(buys, amounts_minor, -amounts_minor)[moves],
        rules.window_slots,
    )
    slots[moved] = np.zeros((), dtype=window.ENTRY)
    slots[moved, : after.shape[1]] = after


def _apply_profiles(customers: Customers, batch: Chunk, rules: Rules, rows: Rows, events: Rows) -> None:
    """Attributes."""
    wanted = sorted(map(key_of, rules.attributes))
    stated = batch.more["attributes"]  # of every definition there was: more than these rules keep
    profiles = stated[np.ix_(events, np.searchsorted(stated["key"][0], wanted))]
    present = np.flatnonzero((profiles["kind"] != attributes.Kind.ABSENT).any(axis=1))
    if len(present):
        keys, held = customers.keys["attributes"], customers.tails["attributes"]
        columns = np.searchsorted(keys, wanted)
        where = np.ix_(rows[present], columns)
        held[where] = attributes.with_profile(
            held[where], np.array(wanted, dtype=np.uint32), profiles[present], batch.occurred_us[events[present]]
        )


def _add_money(customers: Customers, rows: Rows, amounts_minor: npt.NDArray[np.int64]) -> None:
    """Add to net money.

    Raises:
        OverflowError: a customer's money leaves the range of 64 bits; going on would corrupt it.
    """
    held = customers.fixed["net_minor"][rows]
    total = add_checked(held, amounts_minor, lambda place: f"customer {customers.ids[int(rows[place])]!r}")
    customers.fixed["net_minor"][rows] = total
