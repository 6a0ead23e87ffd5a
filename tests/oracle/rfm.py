"""rfm: recency, frequency and money, over the customer's life or over a window of slots.

How the contract's window is read:

- The window is made of whole 28-day slots, the current one included: as many as fit into it, 13 for 365 days. So what
  is counted changes at the ends of slots only, for everybody at the same moment.
- A purchase and a refund each count in the slot of their own `occurred_at`: a refund takes its money and, if full, an
  order off the slot it lies in. Orders that count in the window are never below zero, money may be.
- Only F and M, and whether there is an order that counts at all, look at the window. Who has none in it is `none`,
  however often they bought before it. R is the time since the latest purchase ever, and the facts shown are those of
  the whole life.

How population cuts are read ("everybody is compared at the same moment, that of the cut"):

- R is by instants: each one that is later than the latest purchase costs a point. So R does not fall with silence.
- Over a window, F and M, and whether there is an order that counts at all, are those at the moment of the cut, or at
  the latest purchase where that is later. What happened after that moment counts, too.
- Fixed cuts, which hold below `min_population`, are ages, and all is as of now.
"""

from collections.abc import Iterator
from datetime import datetime

from tests.oracle.cadence import slot_of
from tests.oracle.facts import Facts, compared_at, units_in_one
from tests.oracle.rules import OracleRules
from tests.oracle.times import EPOCH, moments_after


def rfm_label(facts: Facts, at: datetime, rules: OracleRules) -> str:
    """Return the cell of the grid, or `none` without an order that counts."""
    orders, money_minor = counted(facts, at, rules)
    if orders == 0:
        return "none"
    r = 5 - points_lost(facts, at, rules)
    f = 1 + sum(orders >= cut for cut in rules.frequency_cuts)
    m = 1 + sum(money_minor >= cut * units_in_one(rules.minor_digits) for cut in rules.monetary_cuts)
    return rules.grid[r, (f + m + 1) // 2]


def points_lost(facts: Facts, at: datetime, rules: OracleRules) -> int:
    """Return how many points recency has cost."""
    latest = facts.purchase_times[-1]
    if rules.recency_instants is not None:
        return sum(latest < instant for instant in rules.recency_instants)
    return sum(at - latest >= cut for cut in rules.recency_cuts)


def slots_in(rules: OracleRules) -> int:
    """Return how many slots the window has."""
    assert rules.rfm_window is not None
    return max(1, rules.rfm_window // rules.slot)


def counted(facts: Facts, at: datetime, rules: OracleRules) -> tuple[int, int]:
    """Return the orders that count and the net money, in minor units."""
    if rules.rfm_window is None:
        return facts.orders, facts.money_minor
    latest_slot = slot_of(compared_at(facts, at, rules.window_cut_at), rules)
    if rules.window_cut_at is not None:  # a refund after the latest purchase moves the window on as well
        latest_slot = max([latest_slot, *(slot_of(each.at, rules) for each in facts.movements)])
    first_slot = latest_slot - slots_in(rules) + 1
    inside = [each for each in facts.movements if slot_of(each.at, rules) >= first_slot]
    return max(0, sum(each.orders for each in inside)), sum(each.minor for each in inside)


def rfm_instants(facts: Facts, rules: OracleRules) -> Iterator[datetime]:
    """Yield when the time since the latest purchase reaches each cut, and when a slot leaves the window.

    Nothing under population cuts.
    """
    if rules.recency_instants is not None:
        return
    if facts.last_purchase_at is not None:
        yield from moments_after(facts.last_purchase_at, rules.recency_cuts)
    if rules.rfm_window is not None:
        for slot in {slot_of(each.at, rules) for each in facts.movements}:
            yield from moments_after(EPOCH, [(slot + slots_in(rules)) * rules.slot])
