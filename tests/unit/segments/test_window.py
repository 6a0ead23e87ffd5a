"""RFM over a window: what is kept of slots, what is counted of them, and whom their ends move."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.file_run import MemoryShard
from segflow.schemas.settings import Settings
from segflow.segments import histogram, window
from segflow.segments.facts import Facts
from segflow.segments.instant import DAY_US, LATEST_US, NEVER, UNKNOWN
from segflow.segments.recut import PopulationHistograms
from segflow.segments.rules import from_settings, recut_policy_of
from segflow.segments.window import ENTRY, KEY_OF_SLOT_0
from tests.support.one_customer import course, event
from tests.support.trials import trials

SLOT_US = 28 * DAY_US
YEAR = {"window": "365d", "grid": [[f"r{r}m{m}" for m in range(1, 6)] for r in range(5, 0, -1)]}

Happened = list[tuple[int, int, int]]  # slot, orders, money


def kept(happened: Happened, length: int) -> list[tuple[int, int, int]]:
    """The slots of one customer after these events."""
    held = np.zeros((1, 0), dtype=ENTRY)
    for slot, orders, money in happened:
        held = window.with_event(held, np.array([slot]), np.array([orders]), np.array([money]), length)
    return [(key - KEY_OF_SLOT_0, orders, money) for key, orders, money in held[0].tolist()]


happenings = st.lists(st.tuples(st.integers(-60, 60), st.integers(-1, 1), st.integers(-500, 500)), max_size=30)


@given(happened=happenings, length=st.sampled_from([1, 2, 13, 40]), again=st.randoms())
@trials(200)
def test_slots_are_the_sums_of_what_happened_in_them_in_any_order(happened: Happened, length: int, again: Any) -> None:
    """Those within the window of the latest, the earliest first, and no more than the window has."""
    latest = max((slot for slot, _, _ in happened), default=0)
    slots = sorted({slot for slot, _, _ in happened if slot > latest - length})
    expected = [
        (slot, *(sum(each[place] for each in happened if each[0] == slot) for place in (1, 2))) for slot in slots
    ]
    assert kept(happened, length) == expected
    again.shuffle(happened)
    assert kept(happened, length) == expected
    assert len(expected) <= length


def test_customers_of_one_batch_do_not_touch_each_other() -> None:
    """Each has its own slots, however many the others have."""
    held = np.zeros((3, 0), dtype=ENTRY)
    for slots in ([1, 5, 9], [2, 5, 9], [3, 5, 7]):
        held = window.with_event(held, np.array(slots), np.ones(3, dtype=np.int64), np.array([1, 2, 3]), 40)
    found = [[(key - KEY_OF_SLOT_0, money) for key, _, money in row if key] for row in held.tolist()]
    assert found == [[(1, 1), (2, 1), (3, 1)], [(5, 6)], [(7, 3), (9, 6)]]


def test_money_of_a_slot_that_no_longer_fits_is_an_error() -> None:
    """Going on would corrupt it."""
    with pytest.raises(OverflowError, match="64 bits"):
        kept([(1, 1, 2**62), (1, 1, 2**62)], 13)


def test_a_window_by_hand() -> None:
    """Slot 704 begins on 21 December 2023, 13 slots later is 19 December 2024. Full refunds count in their own slot."""
    log = [event(1, 0, "purchase", amount=1000), event(2, 100, "purchase", amount=60)]  # slots 704 and 708
    labels = course(log, "rfm", rfm=YEAR)
    assert labels[:2] == [("2024-01-04T00:00:00Z", "r5m3", "event"), ("2024-02-03T00:00:00Z", "r4m3", "time")]
    assert [each for each in labels if each[0] > "2024-12-12"] == [
        ("2024-12-19T00:00:00Z", "r1m2", "time"),  # without the thousand: one order of 60
        ("2025-04-10T00:00:00Z", "none", "time"),  # without an order
    ]
    refund = event(3, 30, "refund", order_id="o", amount=1000, full=True)  # slot 705
    back = course([log[0], refund, log[1]], "rfm", rfm=YEAR)
    assert ("2024-02-03T00:00:00Z", "none", "event") in back
    assert [each for each in back if each[0] > "2024-12-12"] == [
        ("2024-12-19T00:00:00Z", "none", "time"),  # the first purchase has left, its refund has not
        ("2025-01-16T00:00:00Z", "r1m2", "time"),  # now the refund has
        ("2025-04-10T00:00:00Z", "none", "time"),
    ]


def some_slots(dice: np.random.Generator, count: int) -> Facts:
    """Customers with purchases in some of the latest 20 slots before slot 700."""
    held = np.zeros((count, 5), dtype=ENTRY)
    for row in range(count):
        slots = np.sort(dice.choice(np.arange(680, 701), dice.integers(1, 5), replace=False))
        held["key"][row, : len(slots)] = slots + KEY_OF_SLOT_0
        held["orders"][row, : len(slots)] = dice.integers(0, 3, len(slots))
        held["net_minor"][row, : len(slots)] = dice.integers(-100, 90_000, len(slots))
    last_us = (held["key"].max(axis=1).astype(np.int64) - KEY_OF_SLOT_0) * SLOT_US + 5 * DAY_US
    orders = held["orders"].sum(axis=1)
    return Facts(
        first_us=last_us,
        last_us=last_us,
        before_last_us=np.full(count, UNKNOWN),
        purchases=orders.astype(np.int64),
        full_refunds=np.zeros(count, dtype=np.int64),
        net_minor=held["net_minor"].sum(axis=1),
        window=held,
    )


def test_the_population_of_a_recut_is_what_the_window_shows() -> None:
    """Quintiles of the orders and the money within it, of the living who have an order there; shares of all money."""
    dice = np.random.default_rng(5)
    facts = some_slots(dice, 200)
    at_us = 701 * SLOT_US
    product = Settings.model_validate(
        {
            "dimensions": ["rfm", "value"],
            "rfm": {"window": "112d", "cuts": "quantile"},
            "lifecycle": {"churned_after": "400d"},
        }
    )
    scan = PopulationHistograms.of(facts, at_us, recut_policy_of(product))
    inside = facts.window["key"].astype(np.int64) - KEY_OF_SLOT_0 > 701 - 4
    orders = np.where(inside, facts.window["orders"], 0).sum(axis=1)
    money = np.where(inside, facts.window["net_minor"], 0).sum(axis=1)
    living = (facts.orders > 0) & (at_us - facts.last_us < 400 * DAY_US)
    scored = living & (orders > 0)
    assert 0 < np.count_nonzero(scored) < np.count_nonzero(living)
    assert scan.population == np.count_nonzero(scored)
    assert scan.living == np.count_nonzero(living)
    assert scan.frequency == histogram.count(orders[scored].astype(np.int64))
    assert scan.monetary == histogram.count(money[scored])
    assert scan.money == histogram.sums(facts.net_minor[living])


def test_the_end_of_a_slot_is_a_deadline_only_where_it_changes_a_label() -> None:
    """Of many customers few: the wave at a slot's end is of those who move."""
    facts = some_slots(np.random.default_rng(6), 500)
    product = Settings.model_validate({"dimensions": ["rfm"], "rfm": {"window": "365d"}})
    rules = from_settings(product)
    at_us = np.full(500, 701 * SLOT_US)
    codes = rules.classify(facts, at_us)
    due_us = rules.deadline(facts, at_us, codes)
    ahead = due_us != NEVER
    then = rules.classify(facts, np.where(ahead, due_us, at_us))
    assert (then[ahead] != codes[ahead]).all()
    at_end = due_us == 702 * SLOT_US
    leaves = (facts.window["key"] == 701 - 12 + KEY_OF_SLOT_0).any(axis=1)
    assert 0 < np.count_nonzero(at_end) < np.count_nonzero(leaves)


def test_a_slot_that_leaves_beyond_the_calendar_never_does() -> None:
    """No deadline is later than the year 9999."""
    held = np.zeros((1, 2), dtype=ENTRY)
    last = LATEST_US // SLOT_US
    held["key"][0] = last - 12 + KEY_OF_SLOT_0, last + KEY_OF_SLOT_0
    assert window.leave_us(held, SLOT_US, 13).tolist() == [[NEVER, NEVER]]
    assert window.leave_us(held, SLOT_US, 12).tolist() == [[last * SLOT_US, NEVER]]


def test_without_a_window_nothing_is_kept_of_slots() -> None:
    """No section, no entries, no column."""
    settings = Settings.model_validate({"facts": "listed"})
    shard = MemoryShard(settings, RuleVersions(from_settings(settings)))
    assert shard.rule_versions.first.kept == ("lifecycle", "rfm")
    assert timedelta(days=28) == Settings().slot
