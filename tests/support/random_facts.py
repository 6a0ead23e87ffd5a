"""Random customers as columns, about the thresholds of given rules, and moments at which to look at them."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from segflow.schemas.rule_dimensions import key_of
from segflow.schemas.settings import Settings
from segflow.segments.attributes import ENTRY, STATED, Attributes, kind_and_bits
from segflow.segments.facts import Fact, Facts
from segflow.segments.instant import DAY_US, LATEST_US, NEVER, UNKNOWN, duration_us
from segflow.segments.models.cadence import LATEST_SLOT, SLOT_MASK
from segflow.segments.models.engagement import LEVEL_LOG2, NOTHING
from segflow.segments.models.payment import LATE_INVOICES, NEXT_DUE_US, SETTLED_INVOICES
from segflow.segments.models.price import DISCOUNTED
from segflow.segments.models.satisfaction import FEEDBACK_US, SCORE
from segflow.segments.purchase_days import DAY_MASK, FIRST_DAY_MINOR, LATEST_DAY, PURCHASE_DAYS
from segflow.segments.rules import Rules
from segflow.segments.slots import NO_SLOT
from segflow.segments.window import ENTRY as SLOT
from segflow.segments.window import KEY_OF_SLOT_0
from tests.support.expressions import NAMES

CUSTOMERS: Final = 150
"""Enough that every branch of a model is met in one draw, few enough that plain Python can follow each of them."""


def thresholds_us(rules: Rules, product: Settings) -> list[int]:
    """Every idle time at which something may change."""
    lifecycle = product.lifecycle
    own = (
        lifecycle.at_risk_after,
        lifecycle.churned_after,
        lifecycle.reactivated_for,
        product.satisfaction.unknown_after,
        product.engagement.half_life,
    )
    return [*map(duration_us, own), *rules.cuts.recency_us]


def some_facts(
    dice: np.random.Generator, near_us: list[int], half_life_us: int = DAY_US, slot_us: int = 28 * DAY_US
) -> Facts:
    """Customers whose purchases lie near thresholds from each other, some at the ends of the calendar."""
    shape = CUSTOMERS
    last_us = dice.integers(-2000 * DAY_US, 20_000 * DAY_US, shape)
    last_us = np.where(dice.random(shape) < 0.1, LATEST_US - dice.integers(0, 500 * DAY_US, shape), last_us)
    gaps_us = dice.choice([0, *near_us], shape) + dice.integers(-2, 3, shape)
    gaps_us = np.where(dice.random(shape) < 0.3, dice.integers(0, 500 * DAY_US, shape), gaps_us)
    before_us = np.maximum(last_us - np.maximum(gaps_us, 0), -(2**61))
    purchases = dice.integers(0, 8, shape)
    last_us = np.where(purchases == 0, UNKNOWN, last_us)
    before_us = np.where(purchases < 2, UNKNOWN, before_us)
    settled = dice.choice([0, 0, 1, 10, 100], shape)
    window = np.zeros((shape, 6), dtype=SLOT)  # the last place stays empty
    slots = (np.where(purchases == 0, 0, last_us) // slot_us)[:, None] - np.cumsum(
        dice.integers(1, 9, (shape, 5)), axis=1
    )
    window["key"][:, :5] = np.sort(slots + dice.integers(1, 5), axis=1) + KEY_OF_SLOT_0
    orders = dice.integers(-1, 4, (shape, 5))
    window["orders"][:, :5] = np.where((purchases == 0)[:, None], np.minimum(orders, 0), orders)
    window["net_minor"][:, :5] = dice.integers(-20_000, 100_000, (shape, 5))
    few = np.arange(6) >= dice.integers(0, 6, shape)[:, None]
    window[few] = np.zeros((), dtype=SLOT)
    own: dict[Fact[Any], npt.NDArray[Any]] = {
        DISCOUNTED: (purchases * dice.choice([0.0, 0.2, 0.5, 0.6, 1.0], shape)).astype(np.uint32),
        LATEST_SLOT: np.where(purchases == 0, NO_SLOT, last_us // slot_us).astype(np.int32),
        SLOT_MASK: np.where(
            purchases == 0, 0, dice.integers(0, 2**63, shape) >> dice.choice([0, 50, 58, 62], shape) | 1
        ).astype(np.uint64),
        LATEST_DAY: np.where(purchases == 0, NO_SLOT, last_us // DAY_US).astype(np.int32),
        DAY_MASK: (purchases > 0).astype(np.uint64),
        FIRST_DAY_MINOR: dice.integers(0, 50_000, shape),
        PURCHASE_DAYS: dice.integers(0, purchases + 1).clip(np.minimum(purchases, 1)).astype(np.uint32),
        FEEDBACK_US: np.where(dice.random(shape) < 0.2, UNKNOWN, last_us),
        SCORE: dice.integers(0, 11, shape).astype(np.uint8),
        LEVEL_LOG2: np.where(
            purchases == 0, NOTHING, np.where(purchases == 0, 0, last_us) / half_life_us + dice.uniform(-3, 12, shape)
        ),
        SETTLED_INVOICES: settled.astype(np.uint32),
        LATE_INVOICES: (settled * dice.choice([0, 0.3, 0.31, 1], shape)).astype(np.uint32),
        NEXT_DUE_US: np.where(dice.random(shape) < 0.5, NEVER, np.where(purchases == 0, 0, last_us)),
    }
    return Facts(
        window=window,
        first_us=np.where(purchases < 2, last_us, before_us),
        last_us=last_us,
        before_last_us=before_us,
        purchases=purchases,
        full_refunds=np.where(dice.random(shape) < 0.7, 0, dice.integers(0, 9, shape)),
        net_minor=dice.integers(-200_000, 200_000, shape) // dice.choice([1, 100, 1000], shape),
        attributes=some_attributes(dice),
        own={fact.name: column for fact, column in own.items()},
    )


def some_attributes(dice: np.random.Generator) -> Attributes:
    """Anything told of them, or nothing, or a removal."""
    keys = tuple(sorted(map(key_of, NAMES)))
    values = np.array(
        [(0, *kind_and_bits(value)) for value in (None, True, False, 0.0, 1.0, 2.5, 70.0, -3.0, "DE")], dtype=STATED
    )
    chosen = values[dice.integers(0, len(values), (CUSTOMERS, len(keys)))]
    entries = np.zeros((CUSTOMERS, len(keys)), dtype=ENTRY)
    entries["key"] = np.where(dice.random(entries.shape) < 0.8, np.array(keys, dtype=np.uint32), 0)
    for name in ("kind", "value"):
        entries[name] = np.where(entries["key"] != 0, chosen[name], 0)
    return Attributes(keys, entries)


def moments_for(
    dice: np.random.Generator, facts: Facts, near_us: list[int]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """A moment for each: about a threshold after the latest purchase, or anywhere, also before it."""
    known = np.where(facts.last_us == UNKNOWN, 0, facts.last_us)
    at_us = known + dice.choice([0, *near_us], CUSTOMERS) + dice.integers(-1, 2, CUSTOMERS)
    anywhere = known + dice.integers(-30 * DAY_US, 500 * DAY_US, CUSTOMERS)
    return np.minimum(np.where(dice.random(CUSTOMERS) < 0.3, anywhere, at_us), LATEST_US)
