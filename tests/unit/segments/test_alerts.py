"""Strategies and alerts: copied into changes, and which changes are called for."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.file_run import MemoryShard
from segflow.schemas.change import Alert, Change
from segflow.schemas.settings import Settings
from segflow.segments.rules import from_settings
from tests.support.command import segflow, settings_file
from tests.support.histories import histories
from tests.support.trials import trials

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

STRATEGIES = {"lifecycle": {"at_risk": {"name": "win_back", "priority": 2}, "new": {"name": "welcome"}}}

COPIED = {"at_risk": {"name": "win_back", "priority": 2}, "new": {"name": "welcome", "priority": 1}}


def made(log: list[dict[str, Any]], **content: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The changes and the alerts of a log under these settings, swept to the end of all days."""
    product = Settings.model_validate(content)
    shard = MemoryShard(product, RuleVersions(from_settings(product)))
    chunk = Decoder(product, None).decode([json.dumps(each).encode() for each in log], None, range(len(log)))
    results = [shard.feed(chunk, 0), *shard.sweep(2**61, 0)]
    changes = [json.loads(each.value) for result in results for each in result.changes]
    alerts = [each for result in results for each in result.alerts]
    for each in alerts:
        headers = dict(each.headers)
        body = json.loads(each.value)
        assert each.key == body["customer_id"].encode()
        assert (headers["dimension"], headers["current"]) == (body["dimension"].encode(), body["current"].encode())
    return changes, [json.loads(each.value) for each in alerts]


@given(log=histories(25))
@trials(60)
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
@trials(40)
def test_a_strategy_is_copied_into_each_change_into_its_label(log: list[dict[str, Any]]) -> None:
    """And nowhere else; without strategies a change has no such field."""
    for change in made(log, strategies=STRATEGIES, dimensions=["lifecycle"])[0]:
        assert change.get("strategy") == COPIED.get(change["current"])
        Change.model_validate(change)
    assert all("strategy" not in change for change in made(log)[0])


def buy(number: int, day: str, amount: str) -> dict[str, Any]:
    """A purchase of customer c."""
    event = {"type": "purchase", "event_id": f"e{number}", "customer_id": "c", "occurred_at": f"{day}T00:00:00Z"}
    return event | {"order_id": "o", "amount": amount}


def test_without_value_every_customer_counts_and_strategy_and_money_come_along() -> None:
    """As far as dimensions are on: the condition on classes goes with the dimension."""
    _, (alert,) = made([buy(1, "2024-01-01", "9.50")], dimensions=["lifecycle"], strategies=STRATEGIES)
    assert (alert["current"], alert["strategy"]) == ("at_risk", {"name": "win_back", "priority": 2})
    assert alert["at_stake"]["lifetime"] == "9.50"
    assert not made([buy(1, "2024-01-01", "9.50")], alerts={"into": {}})[1]
    listed = made(
        [buy(1, "2024-01-01", "9.50")], dimensions=["lifecycle"], alerts={"into": {"lifecycle": ["new", "churned"]}}
    )[1]
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


HISTORY = [
    buy(1, "2022-11-01", "1000"),
    buy(2, "2023-03-01", "70"),
    buy(3, "2023-03-05", "20") | {"type": "refund"},
    buy(4, "2024-01-01", "12.50"),
]


def spent(at: str, slot_days: int) -> str:
    """Net money of the slots that lie in 365 days, that of `at` included, summed by hand."""
    day = (datetime.fromisoformat(at) - EPOCH).days
    begin = EPOCH + timedelta(days=(day // slot_days - 365 // slot_days + 1) * slot_days)
    signs = {"purchase": 1, "refund": -1}
    counted = [
        each for each in HISTORY if begin <= datetime.fromisoformat(each["occurred_at"]) and each["occurred_at"] <= at
    ]
    return f"{sum(signs[each['type']] * Decimal(each['amount']) for each in counted):.2f}"


@pytest.mark.parametrize(
    "content",
    [
        {"alerts": {"last_12_months": True}},
        {"alerts": {"last_12_months": True}, "rfm": {"window": "84d"}},
        {"alerts": {}, "rfm": {"window": "365d"}},
        {"alerts": {"last_12_months": True}, "rfm": {"window": "1100d"}},
        {"alerts": {"last_12_months": True}, "dimensions": ["lifecycle"], "slot": "30d"},
    ],
)
def test_the_money_of_twelve_months_is_that_of_the_slots_kept(content: dict[str, Any]) -> None:
    """Kept for rfm's window where it is long enough, else where alerts ask; a refund comes off its own slot."""
    content = content | {"alerts": content["alerts"] | {"into": {"lifecycle": ["new", "at_risk", "churned", "active"]}}}
    alerts = made(HISTORY, **content)[1]
    at_stake = [each["at_stake"]["last_12_months"] for each in alerts]
    assert at_stake == [spent(each["effective_at"], 30 if "slot" in content else 28) for each in alerts]
    assert at_stake[0] == "1000.00"
    assert set(at_stake) == {"1000.00", "1050.00", "62.50", "12.50"}


def test_without_such_slots_nobody_knows_the_money_of_twelve_months() -> None:
    """A shorter window is not stretched."""
    alerts = made(HISTORY, rfm={"window": "336d"})[1]
    assert [each["at_stake"]["last_12_months"] for each in alerts] == [None] * len(alerts)


@given(log=histories(30))
@trials(60)
def test_the_worth_at_stake_goes_with_the_class_of_clv(log: list[dict[str, Any]]) -> None:
    """Both say the same of one moment, to the minor unit; who is in no class is worth nothing that is known."""
    least = {"high": 100, "medium": 25, "low": 0}
    below = {"high": Decimal("inf"), "medium": Decimal(100), "low": Decimal(25)}
    into = {"lifecycle": ["at_risk", "prospect"], "clv": list(least)}
    for alert in made(log, dimensions=["lifecycle", "clv"], alerts={"into": into})[1]:
        label, worth = alert["segments"]["clv"], alert["at_stake"]["clv"]
        if label == "none":
            assert worth is None
        else:
            assert least[label] - Decimal("0.01") <= Decimal(worth) < below[label]


def test_run_writes_the_alerts_where_asked(tmp_path: Path) -> None:
    """As JSON Lines, beside the changes they are."""
    log, called = tmp_path / "log.jsonl", tmp_path / "alerts.jsonl"
    log.write_text(json.dumps(buy(1, "2024-01-01", "9.50")) + "\n", encoding="utf-8")
    result = segflow("run", log, "--until", "2025-01-01T00:00:00Z", "--alerts", called)
    assert result.code == 0
    (alert,) = [json.loads(line) for line in called.read_text(encoding="utf-8").splitlines()]
    changes = [json.loads(line) for line in result.out.splitlines()]
    assert alert.pop("at_stake") == {"lifetime": "9.50", "last_12_months": None, "clv": None}
    assert alert in changes
