"""What events do to the facts of their customers (docs/architecture.md#how-one-event-is-applied, step 2). Pure."""

import numpy as np
import numpy.typing as npt

from segflow.engine.columns.events import Chunk, Kind
from segflow.schemas.rule_dimensions import key_of
from segflow.segments import attributes, purchase_days, window
from segflow.segments.facts import Rows, Times
from segflow.segments.instant import UNKNOWN
from segflow.segments.models import cadence, engagement, payment, satisfaction
from segflow.segments.money import add_checked
from segflow.segments.rules import Rules
from segflow.state.customers import Customers


def too_many_invoices(
    customers: Customers, happened: Chunk, rules: Rules, rows: Rows, events: Rows
) -> npt.NDArray[np.bool_]:
    """Which events, of shape (k,), are about an open invoice too many; arguments as of `apply`."""
    refused = np.zeros(len(events), dtype=np.bool_)
    pays = np.flatnonzero(happened.kinds[events] == Kind.PAYMENT)
    if "payment" in rules.names and len(pays):
        refused[pays] = payment.too_many(_invoices(customers, rows[pays]), *_payments(happened, events[pays]))
    return refused


def apply(customers: Customers, happened: Chunk, rules: Rules, rows: Rows, events: Rows) -> None:
    """Tell each customer of `rows` its event of `events`, in place; no customer twice.

    Args:
        customers: all that are loaded.
        happened: the batch, every row usable.
        rules: which facts are kept, and by what.
        rows: (k,) of `customers`.
        events: (k,) of `happened`.

    Raises:
        OverflowError: a customer's money leaves the range of 64 bits.
    """
    kinds = happened.kinds[events]
    amounts_minor = happened.amounts_minor[events]
    fixed = customers.fixed
    buys = kinds == Kind.PURCHASE
    bought, times_us = rows[buys], happened.occurred_us[events][buys]
    if "clv" in rules.names:
        section = customers.sections["clv"]
        section["first_day_minor"][bought] = purchase_days.with_first_day(
            section["first_day_minor"][bought], fixed["first_us"][bought], times_us, amounts_minor[buys]
        )
    fixed["purchases"][bought] += 1
    _add_money(customers, bought, amounts_minor[buys])
    first_us, last_us, before_us = (fixed[name][bought] for name in ("first_us", "last_us", "before_last_us"))
    fixed["first_us"][bought] = np.where(first_us == UNKNOWN, times_us, np.minimum(first_us, times_us))
    fixed["before_last_us"][bought] = np.maximum(before_us, np.minimum(last_us, times_us))
    fixed["last_us"][bought] = np.maximum(last_us, times_us)
    returns = kinds == Kind.REFUND
    returned = rows[returns]
    _add_money(customers, returned, -amounts_minor[returns])
    fixed["full_refunds"][returned] += happened.full[events][returns]
    if rules.window_slots:
        _apply_to_window(customers, happened, rules, rows, events, kinds)
    _apply_to_sections(customers, happened, rules, rows, events, kinds)


def _apply_to_window(
    customers: Customers, happened: Chunk, rules: Rules, rows: Rows, events: Rows, kinds: npt.NDArray[np.uint8]
) -> None:
    """Money and orders by slots."""
    buys, returns = kinds == Kind.PURCHASE, kinds == Kind.REFUND
    moves = buys | returns
    moved, amounts_minor = rows[moves], happened.amounts_minor[events]
    slots = customers.tails["slots"]
    after = window.with_event(
        slots[moved],
        happened.occurred_us[events[moves]] // rules.slot_us,
        np.where(buys, 1, -happened.full[events].astype(np.int64))[moves],
        np.where(buys, amounts_minor, -amounts_minor)[moves],
        rules.window_slots,
    )
    slots[moved] = np.zeros((), dtype=window.ENTRY)
    slots[moved, : after.shape[1]] = after


def _apply_to_sections(
    customers: Customers, happened: Chunk, rules: Rules, rows: Rows, events: Rows, kinds: npt.NDArray[np.uint8]
) -> None:
    """The facts that only some dimensions need."""
    kept = rules.names
    sections = customers.sections
    buys = kinds == Kind.PURCHASE
    if "price" in kept:
        sections["price"]["discounted"][rows[buys]] += happened.more["discounted"][events[buys]]
    if "cadence" in kept:
        section, bought = sections["cadence"], rows[buys]
        section["latest_slot"][bought], section["slot_mask"][bought] = cadence.with_purchase(
            section["latest_slot"][bought],
            section["slot_mask"][bought],
            happened.occurred_us[events[buys]],
            rules.slot_us,
        )
    if "churn" in kept or "clv" in kept:
        section, bought = sections["churn"], rows[buys]
        days = purchase_days.with_purchase(
            section["latest_day"][bought],
            section["day_mask"][bought],
            section["purchase_days"][bought],
            happened.occurred_us[events[buys]],
        )
        section["latest_day"][bought] = days.latest
        section["day_mask"][bought] = days.mask
        section["purchase_days"][bought] = days.days
    if "satisfaction" in kept:
        rates = kinds == Kind.FEEDBACK
        section, rated = sections["satisfaction"], rows[rates]
        section["feedback_us"][rated], section["score"][rated] = satisfaction.with_feedback(
            section["feedback_us"][rated],
            section["score"][rated],
            happened.occurred_us[events[rates]],
            happened.more["score"][events[rates]],
        )
    if "engagement" in kept:
        level = sections["engagement"]["level_log2"]
        level[rows] = engagement.with_event(level[rows], happened.more["level_log2"][events])
    if rules.attributes:
        _apply_profiles(customers, happened, rules, rows, events)
    pays = kinds == Kind.PAYMENT
    if "payment" in kept and pays.any():
        section, paid = sections["payment"], rows[pays]
        invoices = payment.with_payments(_invoices(customers, paid), *_payments(happened, events[pays]))
        customers.tails["open_invoices"][paid] = invoices.open
        customers.tails["settled_invoices"][paid] = invoices.settled
        section["settled_invoices"][paid] = invoices.settled_total
        section["late_invoices"][paid] = invoices.late_total
        section["next_due_us"][paid] = invoices.next_due_us


def _apply_profiles(customers: Customers, happened: Chunk, rules: Rules, rows: Rows, events: Rows) -> None:
    """Attributes."""
    profiles = happened.more["attributes"][events]
    present = np.flatnonzero((profiles["kind"] != attributes.Kind.ABSENT).any(axis=1))
    if len(present):
        keys, held = customers.keys["attributes"], customers.tails["attributes"]
        wanted = sorted(map(key_of, rules.attributes))
        columns = np.searchsorted(keys, wanted)
        where = np.ix_(rows[present], columns)
        held[where] = attributes.with_profile(
            held[where], np.array(wanted, dtype=np.uint32), profiles[present], happened.occurred_us[events[present]]
        )


def _add_money(customers: Customers, rows: Rows, amounts_minor: npt.NDArray[np.int64]) -> None:
    """Add to net money.

    Raises:
        OverflowError: a customer's money leaves the range of 64 bits; going on would corrupt it.
    """
    held = customers.fixed["net_minor"][rows]
    total = add_checked(held, amounts_minor, lambda place: f"customer {customers.ids[int(rows[place])]!r}")
    customers.fixed["net_minor"][rows] = total


def _invoices(customers: Customers, rows: Rows) -> payment.Invoices:
    section, tails = customers.sections["payment"], customers.tails
    return payment.Invoices(
        open=tails["open_invoices"][rows],
        settled=tails["settled_invoices"][rows],
        settled_total=section["settled_invoices"][rows],
        late_total=section["late_invoices"][rows],
    )


def _payments(happened: Chunk, events: Rows) -> tuple[npt.NDArray[np.void], Times]:
    """What they tell of invoices, and when."""
    return happened.more["invoice"][events], happened.occurred_us[events]
