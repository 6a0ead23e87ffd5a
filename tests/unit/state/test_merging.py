"""Merging two customers' records: as if every event of both had come under one id."""

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.advance.erasures import start_labels
from segflow.schemas.settings import Settings
from segflow.segments.facts import COLUMNS
from segflow.segments.models.engagement import LEVEL_LOG2
from segflow.segments.purchase_days import PURCHASE_DAYS
from segflow.segments.slots import MASK_SLOTS
from segflow.state import record
from segflow.state.customers import Customers
from segflow.state.layout import REFUNDS, REMEMBERED, SECTIONS
from segflow.state.merging import merge
from tests.support.histories import ATTRIBUTES, events, moments
from tests.support.lockstep import Engine
from tests.support.trials import trials

WHEN = [f"attributes.{name} is present" for name in ATTRIBUTES]
ALL = Settings.model_validate(
    {
        "dimensions": (
            *("lifecycle", "rfm", "price", "cadence", "satisfaction", "engagement", "value", "churn", "clv", "payment"),
            "told",
        ),
        "rfm": {"window": "365d"},
        "rule_dimensions": {"told": {"rules": [{"label": "a", "when": each} for each in WHEN], "otherwise": "b"}},
    }
)
RULES = Engine(ALL).rule_versions.first
KEPT = (*RULES.kept, REFUNDS)
Log = list[dict[str, Any]]


def customer(log: Log, name: str) -> Customers:
    """What is remembered of one customer after these events, all under that id."""
    engine = Engine(ALL)
    if log:
        engine.feed([each | {"customer_id": name} for each in log])
    return record.decode([name], engine.shard.store.load([name]), start_labels(RULES), 0, KEPT)


def is_in_reach(log: Log) -> bool:
    """Whether a mask of 64 days has all of them."""
    days = [datetime.fromisoformat(each["occurred_at"]).toordinal() for each in log]
    return max(days) - min(days) < MASK_SLOTS


@given(log=st.lists(events(moments, varied=True), min_size=1, max_size=40), whose=st.lists(st.booleans(), min_size=40))
@trials(60)
def test_two_halves_of_a_history_give_the_facts_of_the_whole(log: Log, whose: list[bool]) -> None:
    """However the events are divided; either half may be empty."""
    log = [each | {"event_id": f"e{number}", "order_id": f"o{number}"} for number, each in enumerate(log)]
    halves = [[each for each, mine in zip(log, whose, strict=False) if mine is side] for side in (True, False)]
    first, second = (customer(half, name) for half, name in zip(halves, "ab", strict=True))
    merge(first, np.array([0]), second, RULES.window_slots)
    found, expected = (each.facts(slice(None)) for each in (first, customer(log, "a")))
    assert found.own.keys() == expected.own.keys()
    assert np.array_equal(found.attributes.entries, expected.attributes.entries)
    for name in (*COLUMNS, "window"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    for name in found.own:
        if name == LEVEL_LOG2.name:  # sums of floats in another order
            assert np.allclose(found[LEVEL_LOG2], expected[LEVEL_LOG2], rtol=0, atol=1e-9)
        elif name == PURCHASE_DAYS.name:  # of days before the mask's reach nothing tells whether they are one
            assert found[PURCHASE_DAYS] == expected[PURCHASE_DAYS] or not is_in_reach(log)
        else:
            assert np.array_equal(found.own[name], expected.own[name]), name


def test_the_latest_event_ids_of_both_are_remembered() -> None:
    """Those of the previous id first; no more than a record has room for; the bytes are a record."""
    visits = [
        {
            "type": "interaction",
            "kind": "visit",
            "event_id": f"v{number}",
            "occurred_at": f"2024-03-01T00:00:{number:02}Z",
        }
        for number in range(12)
    ]
    first, second = customer(visits[6:], "a"), customer(visits[:6], "b")
    expected = np.concatenate([second.seen[1][0, :6], first.seen[1][0, :6]])[-REMEMBERED[1] :]
    merge(first, np.array([0]), second, RULES.window_slots)
    assert first.seen[1][0].tolist() == expected.tolist()
    again = record.decode(["a"], record.encode(first), start_labels(RULES), 0, KEPT)
    assert again.seen[1].tolist() == first.seen[1].tolist()


def test_every_section_is_in_the_record_that_is_merged() -> None:
    """Or the first test would not look at it."""
    assert {*customer([], "a").sections} == {*SECTIONS}


def test_money_beyond_64_bits_is_refused() -> None:
    """Going on would corrupt it."""
    first, second = (Customers.unknown([name], start_labels(RULES), 0, KEPT) for name in "ab")
    first.fixed["net_minor"] = second.fixed["net_minor"] = 2**62
    with pytest.raises(OverflowError):
        merge(first, np.array([0]), second, RULES.window_slots)
