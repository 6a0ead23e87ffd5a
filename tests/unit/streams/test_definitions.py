"""What a definition is, which of its settings are in the facts, and how two of them differ."""

from datetime import timedelta
from typing import Any

import pytest

from segflow.schemas.settings import Settings
from segflow.segments.models.lifecycle import Lifecycle
from segflow.state.layout import SECTIONS
from segflow.streams.control.definitions import (
    FACT_SETTINGS,
    definition_of,
    differences,
    fact_differences,
    has_facts,
    settings_of,
)


def of(**content: Any) -> dict[str, Any]:
    """The definition of these settings."""
    return definition_of(Settings.model_validate(content))


def test_a_definition_and_its_settings_are_each_others() -> None:
    """Through JSON and back, over other settings of how it runs."""
    settings = Settings.model_validate(
        {
            "dimensions": ["price", "rfm", "engagement"],
            "rates": {"USD": "0.9"},
            "price": {"sensitive_from": "0.75"},
            "rfm": {"fixed": {"recency": ["1h", "2h", "3h", "4d"], "monetary": ["-1.5", "0", "1", "2"]}},
            "holdout_share": 0.1,
        }
    )
    base = Settings.model_validate({"clock": "event", "redis": {"prefix": "x"}})
    found = settings_of(definition_of(settings), base)
    assert definition_of(found) == definition_of(settings)
    assert (found.clock, found.redis.prefix, found.price, found.rfm) == ("event", "x", settings.price, settings.rfm)


def test_how_it_runs_and_what_is_off_are_no_part_of_a_definition() -> None:
    """Nor do they make a difference."""
    plain = of()
    assert plain.keys().isdisjoint({"kafka", "redis", "clock", "worker", "erase", "price", "engagement"})
    other = of(clock="event", worker={"linger": "1s"}, price={"min_purchases": 9}, engagement={"half_life": "1d"})
    assert other == plain


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"currency": "USD"}, "currency"),
        ({"rates": {"USD": "0.9"}}, "rates"),
        ({"dimensions": ["lifecycle", "rfm", "price"]}, "dimensions.price"),
        ({"dimensions": ["lifecycle", "rfm", "cadence"]}, "dimensions.cadence"),
    ],
)
def test_what_the_record_lacks_cannot_be_wanted_afterwards(content: dict[str, Any], path: str) -> None:
    """Money in another currency, and counts that nobody counted."""
    assert path in [each.path for each in fact_differences(of(), of(**content))]


def test_weights_are_facts_while_engagement_is_on() -> None:
    """Its thresholds are not; and to need less is always possible."""
    on = {"dimensions": ["engagement"]}
    paths = [each.path for each in fact_differences(of(**on), of(**on, engagement={"half_life": "7d"}))]
    assert paths == ["engagement.half_life"]
    assert not fact_differences(of(**on), of(**on, engagement={"core_from": 50.0}))
    assert not fact_differences(of(**on), of())


def test_slots_are_facts_of_what_counts_by_them() -> None:
    """Of cadence and of a window; where neither is on, their length says nothing."""
    assert not fact_differences(of(), of(slot="7d"))
    cadence = {"dimensions": ["cadence"]}
    assert [each.path for each in fact_differences(of(**cadence), of(**cadence, slot="7d"))] == ["slot"]
    windowed = of(rfm={"window": "365d"})
    assert [each.path for each in fact_differences(of(), windowed)] == ["slot", "rfm.window"]
    assert not fact_differences(windowed, of())
    asked = of(alerts={"last_12_months": True})
    assert [each.path for each in fact_differences(of(), asked)] == ["slot", "alerts.last_12_months"]
    assert not fact_differences(asked, of())


def test_everything_else_may_change() -> None:
    """Thresholds, grids, cuts, the order of dimensions, a dimension without facts of its own."""
    grid = [["x"] * 5] * 5
    changed = of(
        dimensions=["value", "rfm", "lifecycle"], rfm={"cuts": "quantile", "grid": grid}, lifecycle={"loyal_orders": 9}
    )
    assert not fact_differences(of(), changed)
    assert {each.path for each in differences(of(), changed)} >= {"dimensions", "rfm.cuts", "rfm.grid", "value"}


def test_every_fact_setting_is_a_setting_and_every_section_is_judged() -> None:
    """A path that was renamed would silently become a label setting."""
    for path in FACT_SETTINGS:
        value: Any = Settings()
        for name in path.split("."):
            value = getattr(value, name)
    assert {name for name in SECTIONS if not has_facts(name)} <= {"value", "window", "attributes", "rules", "refunds"}


def test_a_difference_says_both_values() -> None:
    """As a person writes them."""
    (found,) = differences(of(), definition_of(Settings(lifecycle=Lifecycle(at_risk_after=timedelta(days=45)))))
    assert str(found) == 'lifecycle.at_risk_after was "60d", is "45d"'
