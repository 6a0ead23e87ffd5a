"""Silence: what passing time alone changes of a batch's customers, and when to look at each again. Pure.

A model says when its label would change if nothing more happened: a deadline. The earliest of a customer's deadlines is
kept in their record as a timer, and in the store's timer set, so that a customer without an event is found when due.

Steps 1 and 4 of docs/architecture.md#how-one-event-is-applied: a deadline that is due concludes the customer there, and
the timer is set. What silence will bring, without concluding anybody, is in forecast.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.schemas.model_error import ModelError
from segflow.segments.facts import Facts, Labels, Rows, Times
from segflow.segments.instant import NEVER
from segflow.segments.rules import Rules
from segflow.state.customers import Customers
from segflow.state.layout import NO_TIMER

STEPS_MAX: Final = 100_000
"""Deadlines one customer may pass in one go: far beyond any model's (a slot of 28 days for 7,000 years)."""

Conclude = Callable[[Rows, Times, Facts], None]
"""Classifies customers at their deadlines, shape (k,), and gives `Silence.expect` the next ones."""


@dataclass(slots=True)
class Silence:
    """The deadlines of a batch's n customers."""

    customers: Customers
    due_us: Times = field(init=False)  # (n,) a lower bound of each one's next deadline, NEVER without one
    _loaded_us: Times = field(init=False)  # (n,) the timers as they were stored

    def __post_init__(self) -> None:
        self._loaded_us = self.customers.fixed["timer_us"].copy()
        self.due_us = self._loaded_us.copy()

    def expect(self, rows: Rows, due_us: Times) -> None:
        """The next deadlines of `rows`, shape (k,), as just computed."""
        self.due_us[rows] = due_us

    def end(self, rows: Rows) -> None:
        """No deadline of `rows` comes any more: nothing is held of them."""
        self.due_us[rows] = NEVER

    def pass_until(
        self, rules: Rules, rows: Rows, until_us: Times, conclude: Conclude, facts: Facts | None = None
    ) -> None:
        """Step 1: while a deadline is at or before `until_us`, conclude the customer there.

        Args:
            rules: those the customers are under.
            rows: k customers, each once.
            until_us: shape (k,).
            conclude: is given those who are due, time and again; not kept, as a circle would outlive the batch.
            facts: theirs, where they are at hand; silence changes none.
        """
        due = np.flatnonzero(self.due_us[rows] <= until_us)
        if not len(due):
            return
        rows, until_us = rows[due], until_us[due]
        facts = self.customers.facts(rows, rules.looked_at) if facts is None else facts.take(due)
        concluded_us = self.customers.fixed["concluded_us"][rows]
        self.expect(rows, rules.deadline(facts, concluded_us, self.customers.labels(rules.names, rows)))
        for _ in range(STEPS_MAX):
            due = np.flatnonzero(self.due_us[rows] <= until_us)
            rows, until_us, facts = rows[due], until_us[due], facts.take(due)
            if not len(rows):
                return
            conclude(rows, self.due_us[rows], facts)
        codes = self.customers.labels(rules.names, rows)
        raise endless(rules, facts, self.customers.fixed["concluded_us"][rows], codes)

    def set_timers(self, touched: Rows, swept: Rows) -> npt.NDArray[np.bool_]:
        """Step 4: the timers of customers to be stored, in their records.

        Args:
            touched: their timers only move earlier; one that is too early is found and put back.
            swept: were taken out of the timer set, and go where they belong.

        Returns:
            (n,) whose place in the timer set moved.
        """
        timers_us = self.customers.fixed["timer_us"]
        timers_us[touched] = np.minimum(timers_us[touched], self.due_us[touched])
        timers_us[swept] = self.due_us[swept]
        moved: npt.NDArray[np.bool_] = timers_us != self._loaded_us
        return moved


def endless(rules: Rules, facts: Facts, at_us: Times, codes: Labels) -> ModelError:
    """The error for silence that has not ended after STEPS_MAX deadlines; it names a model at fault."""
    name = rules.names[int(rules.deadlines(facts, at_us, codes)[0].argmin())]
    return ModelError(
        f"the model {name}: {STEPS_MAX:,} deadlines of one customer, and another one behind them; its `deadline` must "
        "be NEVER where silence changes nothing more"
    )


assert NO_TIMER == NEVER  # a deadline that never comes is a timer that is not set
