"""Silence: deadlines concluded one after the other, and timers that only move earlier unless they were taken out."""

import numpy as np

from segflow.engine.advance.erasures import start_labels
from segflow.engine.advance.silence import Silence
from segflow.schemas.settings import Settings
from segflow.segments.facts import Facts, Rows, Times
from segflow.segments.instant import DAY_US, NEVER
from segflow.segments.rules import from_settings
from segflow.state.customers import Customers

RULES = from_settings(Settings())


def bought_on_day_0(count: int) -> Customers:
    """Customers with one purchase, concluded there, whose timers fire on day 1: too early."""
    customers = Customers.unknown([f"c{number}" for number in range(count)], start_labels(RULES), 0)
    fixed, rows = customers.fixed, np.arange(count)
    for name in ("concluded_us", "first_us", "last_us"):
        fixed[name] = 0
    fixed["purchases"], fixed["net_minor"], fixed["timer_us"] = 1, 1000, DAY_US
    customers.relabel(RULES.names, rows, RULES.classify(customers.facts(rows), fixed["concluded_us"]))
    return customers


def test_every_deadline_up_to_the_horizon_is_concluded_in_order() -> None:
    """Each customer up to a horizon of their own; what lies behind it stays to be expected."""
    customers = bought_on_day_0(2)
    silence = Silence(customers)
    seen: list[tuple[int, int]] = []

    def conclude(rows: Rows, at_us: Times, facts: Facts) -> None:
        seen.extend(zip(rows.tolist(), (at_us // DAY_US).tolist(), strict=True))
        labels = RULES.classify(facts, at_us)
        customers.relabel(RULES.names, rows, labels)
        silence.expect(rows, RULES.deadline(facts, at_us, labels))

    silence.pass_until(RULES, np.arange(2), np.array([60, 150]) * DAY_US, conclude)
    assert seen == [(0, 30), (1, 30), (0, 60), (1, 60), (1, 120)]
    assert (silence.due_us // DAY_US).tolist() == [120, 180]


def test_before_a_timer_nobody_is_looked_at() -> None:
    """A timer is never behind the deadline it stands for, so no deadline is computed."""
    silence = Silence(bought_on_day_0(1))

    def conclude(rows: Rows, at_us: Times, facts: Facts) -> None:
        raise AssertionError(f"nothing is due: {rows}, {at_us}, {facts}")

    silence.pass_until(RULES, np.arange(1), np.array([DAY_US - 1]), conclude)
    assert silence.due_us.tolist() == [DAY_US]


def test_a_timer_moves_earlier_only_and_a_swept_one_goes_where_it_belongs() -> None:
    """Timers on day 1 of: one due sooner, one due later, one due later and swept, one of whom nothing is held."""
    customers = bought_on_day_0(4)
    silence = Silence(customers)
    silence.expect(np.arange(3), np.array([DAY_US // 2, 30 * DAY_US, 30 * DAY_US]))
    silence.end(np.array([3]))
    moved = silence.set_timers(np.array([0, 1]), np.array([2, 3]))
    assert customers.fixed["timer_us"].tolist() == [DAY_US // 2, DAY_US, 30 * DAY_US, NEVER]
    assert moved.tolist() == [True, False, True, True]
