"""The money at stake in an alert: what the customer brought in twelve months, and what the customer is worth."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from segflow.segments import window
from segflow.segments.facts import Facts, Times
from segflow.segments.instant import UNKNOWN
from segflow.segments.models.clv import ClvModel
from segflow.segments.rules import Rules

Money = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class AtStake:
    """Of n customers, minor units, each of shape (n,); UNKNOWN where nothing tells."""

    last_12_months_minor: Money
    clv_minor: Money

    @classmethod
    def unknown(cls, count: int) -> Self:
        """Of `count` customers nothing is known."""
        nothing = np.full(count, UNKNOWN, dtype=np.int64)
        return cls(last_12_months_minor=nothing, clv_minor=nothing.copy())


def at_stake(rules: Rules, facts: Facts, at_us: Times) -> AtStake:
    """Money of the twelve months up to `at_us`, and worth at `at_us`, of n customers; each of shape (n,), minor units.

    The twelve months are whole slots (segments/window.py). They are UNKNOWN where fewer slots are kept. The worth is
    that of the dimension `clv`. It is UNKNOWN where `clv` is off, and for customers without an order that counts.
    """
    known = AtStake.unknown(len(at_us))
    slots = window.slots_of_12_months(rules.slot_us)
    if rules.window_slots >= slots:
        known.last_12_months_minor[:] = window.sums_at(facts.window, at_us, rules.slot_us, slots)[1]
    clv = next((model for model in rules.models if isinstance(model, ClvModel)), None)
    if clv is not None:
        worth_minor = clv.worth_minor(facts, at_us, rules.cuts.parameters)
        known.clv_minor[:] = np.where(facts.orders > 0, worth_minor, UNKNOWN)
    return known
