"""cadence: regular buyer or one-off."""

from collections.abc import Iterator
from datetime import datetime

from tests.oracle.facts import Facts
from tests.oracle.rules import OracleRules
from tests.oracle.times import EPOCH, moments_after


def slot_of(moment: datetime, rules: OracleRules) -> int:
    """Return the number of the slot a moment lies in: slot 0 starts at the Unix epoch, earlier ones are negative.

    A slot's start belongs to it, its end to the next one.
    """
    return (moment - EPOCH) // rules.slot


def cadence_label(facts: Facts, at: datetime, rules: OracleRules) -> str:
    """Return the first that holds of: no order that counts, enough of the latest slots, one order that counts.

    How the contract is read: "order" means an order that counts here as elsewhere, so full refunds take `one_off` and
    `none` away or bring them back; `none` comes first, whatever the slots say. The slots look at purchase times, which
    refunds leave alone: who bought in four slots and returned three of the orders is still `regular`.
    """
    if facts.orders == 0:
        return "none"
    current = slot_of(at, rules)
    latest = range(current - rules.regular_window + 1, current + 1)
    bought_in = {slot_of(moment, rules) for moment in facts.purchase_times}
    if len(bought_in.intersection(latest)) >= rules.regular_slots:
        return "regular"
    return "one_off" if facts.orders == 1 else "occasional"


def cadence_instants(facts: Facts, rules: OracleRules) -> Iterator[datetime]:
    """Yield the slot starts at which a slot with a purchase leaves the window."""
    for slot in {slot_of(moment, rules) for moment in facts.purchase_times}:
        yield from moments_after(EPOCH, [(slot + rules.regular_window) * rules.slot])
