"""Strategies and alerts: copied into changes, and which changes are called for."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as trials

from schemas.change import Alert, Change
from schemas.settings import Settings
from segments.rules import from_settings
from streams.decode import Decoder
from streams.rulebook import Rulebook
from streams.run import MemoryShard
from tests.command import segflow, settings_file
from tests.histories import histories

STRATEGIES = {"lifecycle": {"at_risk": {"name": "win_back", "priority": 2}, "new": {"name": "welcome"}}}

COPIED = {"at_risk": {"name": "win_back", "priority": 2}, "new": {"name": "welcome", "priority": 1}}


def made(log: list[dict[str, Any]], **content: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The changes and the alerts of a log under these settings, swept to the end of all days."""
    product = Settings.model_validate(content)
    shard = MemoryShard(product, Rulebook(from_settings(product)))
    chunk = Decoder(product, None).decode([json.dumps(each).encode() for each in log], None, range(len(log)))
    outcomes = [shard.feed(chunk, 0), *shard.sweep(2**61, 0)]
    changes = [json.loads(each.value) for outcome in outcomes for each in outcome.changes]
    alerts = [each for outcome in outcomes for each in outcome.alerts]
    for each in alerts:
        headers = dict(each.headers)
        body = json.loads(each.value)
        assert each.key == body["customer_id"].encode()
        assert (headers["dimension"], headers["current"]) == (body["dimension"].encode(), body["current"].encode())
    return changes, [json.loads(each.value) for each in alerts]


@given(log=histories(25))
@trials(max_examples=60, deadline=None)
def test_alerts_are_the_changes_asked_for_with_what_is_at_stake(log: list[dict[str, Any]]) -> None:
    """By default into at_risk and cant_lose, and with `value` on only of its classes a and b."""
    dimensions = ["lifecycle", "rfm", "value"]
    changes, alerts = made(log, dimensions=dimensions, value={"cuts": "fixed"})
    asked = {("lifecycle", "at_risk"), ("rfm", "cant_lose")}
    expected = [
        each
        for each in changes
        if (each["dimension"], each["current"]) in asked and each["segments"]["value"] in ("a", "b")
    ]
    at_stake = [each.pop("at_stake") for each in alerts]
    assert alerts == expected
    for stake, change in zip(at_stake, expected, strict=True):
        assert stake == {"lifetime": change["facts"]["monetary"], "last_12_months": None, "clv": None}
        Alert.model_validate(change | {"at_stake": stake})


@given(log=histories(25))
@trials(max_examples=40, deadline=None)
def test_a_strategy_is_copied_into_each_change_into_its_label(log: list[dict[str, Any]]) -> None:
    """And nowhere else; without strategies a change has no such field."""
    for change in made(log, strategies=STRATEGIES, dimensions=["lifecycle"])[0]:
        assert change.get("strategy") == COPIED.get(change["current"])
        Change.model_validate(change)
    assert all("strategy" not in change for change in made(log)[0])


def buy(number: int, day: int, amount: str) -> dict[str, Any]:
    """A purchase of customer c."""
    moment = f"2024-01-{day:02}T00:00:00Z"
    event = {"type": "purchase", "event_id": f"e{number}", "customer_id": "c", "occurred_at": moment}
    return event | {"order_id": "o", "amount": amount}


def test_without_value_every_customer_counts_and_strategy_and_money_come_along() -> None:
    """As far as dimensions are on: the condition on classes goes with the dimension."""
    _, (alert,) = made([buy(1, 1, "9.50")], dimensions=["lifecycle"], strategies=STRATEGIES)
    assert (alert["current"], alert["strategy"]) == ("at_risk", {"name": "win_back", "priority": 2})
    assert alert["at_stake"]["lifetime"] == "9.50"
    assert not made([buy(1, 1, "9.50")], alerts={"into": {}})[1]
    listed = made([buy(1, 1, "9.50")], dimensions=["lifecycle"], alerts={"into": {"lifecycle": ["new", "churned"]}})[1]
    assert [each["current"] for each in listed] == ["new", "churned"]


@pytest.mark.parametrize(
    "content",
    [
        {"strategies": {"lifecycle": {"at_rsik": {"name": "x"}}}},
        {"alerts": {"into": {"rfm": ["champions"]}}},
    ],
)
def test_a_label_that_does_not_exist_is_refused_with_those_there_are(content: dict[str, Any], tmp_path: Path) -> None:
    """A slip of the pen would be silence for ever."""
    result = segflow("definitions", "--settings", settings_file(tmp_path, **content))
    assert result.code == 2
    assert "there is no label" in result.err
    assert "there are" in result.err


def test_the_defaults_go_with_any_grid() -> None:
    """A grid need not have what they name; nor need the settings list the dimension."""
    assert from_settings(Settings.model_validate({"rfm": {"grid": [["x"] * 5] * 5}})).actions.alerts
    assert not from_settings(Settings(dimensions=("price",))).actions.alerts
