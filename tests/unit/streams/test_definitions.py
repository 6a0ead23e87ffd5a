"""What a definition is, which of its settings are in the facts, and how two of them differ."""

from datetime import timedelta
from typing import Any

import pytest

from segflow.schemas.settings import Settings
from segflow.segments.models.lifecycle import Lifecycle
from segflow.state.layout import SECTIONS
from segflow.streams.control.definitions import (
    FACT_SETTINGS,
    Content,
    Definition,
    began,
    begun,
    definition_of,
    differences,
    fact_differences,
    has_facts,
    settings_of,
    whole,
)

LISTED: dict[str, Any] = {"facts": "listed"}
WITH_FACTS = ["cadence", "churn", "clv", "engagement", "payment", "price", "satisfaction"]
"""The built-in models that keep facts of their own."""


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
    plain = of(**LISTED)
    assert plain.keys().isdisjoint({"kafka", "redis", "clock", "worker", "erase", "price", "engagement", "facts"})
    off = {"price": {"min_purchases": 9}, "engagement": {"half_life": "1d"}}
    assert of(clock="event", worker={"linger": "1s"}, **off, **LISTED) == plain


def test_what_is_in_facts_that_are_kept_is_part_of_a_definition_though_the_dimension_is_off() -> None:
    """The half-life of engagement, not its thresholds. The models are named: a later version may have more of them."""
    assert of()["facts"] == {"models": WITH_FACTS, "attributes": []}
    assert of()["engagement"].keys() == {"half_life", "weights", "other_weight"}
    assert of(engagement={"core_from": 99.0}, price={"min_purchases": 9}) == of()
    changed = of(engagement={"half_life": "1d"})
    assert [each.path for each in fact_differences([of()], changed)] == ["engagement.half_life"]


def test_a_definition_from_before_keeps_the_facts_of_its_dimensions_alone() -> None:
    """It said nothing of facts; settings that say nothing of them, either, want what it has, and so change nothing."""
    before = of(**LISTED)
    settings = settings_of(before, Settings())
    assert settings.models_kept() == ()
    assert definition_of(settings) == before == definition_of(Settings(), before)
    assert definition_of(Settings.model_validate({"facts": "all"}), before) == of()
    assert definition_of(Settings(), of()) == of()


def test_any_dimension_may_be_added_where_all_facts_are_kept() -> None:
    """And taken away, and added again: nothing begins empty."""
    every = of(dimensions=["lifecycle", "rfm", *WITH_FACTS])
    assert (fact_differences([of()], every), begun(of(), every)) == ([], [])
    assert (fact_differences([of(), every], of()), begun(every, of())) == ([], [])


def test_facts_that_begin_are_named_and_a_dimension_is_refused_while_nobody_asked_for_them() -> None:
    """With `facts: all` they begin empty; without, a worker would show labels made of nothing."""
    listed, wanted = of(**LISTED), {"dimensions": ["lifecycle", "rfm", "price"]}
    assert [each.path for each in fact_differences([listed], of(**wanted, **LISTED))] == ["dimensions.price"]
    assert fact_differences([listed], of(**wanted)) == []
    assert set(begun(listed, of(**wanted))) >= {"dimensions.price", "dimensions.engagement", "engagement.half_life"}
    only_price = of(**wanted, facts={"models": ["price"]})
    assert begun(listed, only_price) == ["dimensions.price"]


def test_what_shaped_facts_once_shapes_them_for_ever() -> None:
    """Half-lives that two definitions have otherwise cannot both be decoded, though nothing was kept in between."""
    weekly = {"engagement": {"half_life": "7d"}}
    assert [each.path for each in fact_differences([of(**weekly), of(**LISTED)], of())] == ["engagement.half_life"]
    assert fact_differences([of(**weekly), of(**LISTED)], of(**weekly)) == []


def defined(*contents: Content) -> list[Definition]:
    """Definitions one after the other, ten offsets apart."""
    return [
        Definition(version=10 * place, written_us=0, content=content, quiet=False)
        for place, content in enumerate(contents)
    ]


def test_since_when_something_counts_is_told_where_that_is_not_from_the_first_definition_on() -> None:
    """What was dropped in between counts from the last time on; what the first one kept counts from the beginning."""
    on, priced = {"dimensions": ["engagement"], **LISTED}, {"dimensions": ["engagement", "price"], **LISTED}
    more = {"facts": {"models": ["price"], "attributes": ["a"]}, "dimensions": ["engagement"]}
    found = began(defined(of(**priced), of(**on), of(**more), of(**more, lifecycle={"loyal_orders": 9})))
    assert {name: each.version for name, each in found.items()} == {"price": 20, "attributes.a": 20}
    assert began(defined(of(), of(dimensions=["price"]))) == {}


def test_decoding_keeps_what_any_definition_kept() -> None:
    """Attributes of rules and those kept ahead, facts of models on, off and on again."""
    rules = {"mood": {"rules": [{"label": "good", "when": "attributes.b == 1"}], "otherwise": "none"}}
    first = of(dimensions={"lifecycle": None, "mood": rules["mood"]}, **LISTED)
    found = whole(defined(first, of(facts={"models": ["price"], "attributes": ["a"]}), of(**LISTED)), Settings())
    assert (found.attributes(), found.models_kept()) == (("a", "b"), ("price",))


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
    assert path in [each.path for each in fact_differences([of(**LISTED)], of(**content, **LISTED))]


def test_weights_are_facts_while_engagement_is_on() -> None:
    """Its thresholds are not; and to need less is always possible."""
    on = {"dimensions": ["engagement"], **LISTED}
    paths = [each.path for each in fact_differences([of(**on)], of(**on, engagement={"half_life": "7d"}))]
    assert paths == ["engagement.half_life"]
    assert not fact_differences([of(**on)], of(**on, engagement={"core_from": 50.0}))
    assert not fact_differences([of(**on)], of(**LISTED))


def test_slots_are_facts_of_what_counts_by_them() -> None:
    """Of cadence and of a window; where neither is kept, their length says nothing."""
    plain = of(**LISTED)
    assert not fact_differences([plain], of(slot="7d", **LISTED))
    for cadence in ({"dimensions": ["cadence"], **LISTED}, {}):
        assert [each.path for each in fact_differences([of(**cadence)], of(**cadence, slot="7d"))] == ["slot"]
    windowed = of(rfm={"window": "365d"}, **LISTED)
    assert [each.path for each in fact_differences([plain], windowed)] == ["slot", "rfm.window"]
    assert not fact_differences([windowed], plain)
    asked = of(alerts={"last_12_months": True}, **LISTED)
    assert [each.path for each in fact_differences([plain], asked)] == ["slot", "alerts.last_12_months"]
    assert not fact_differences([asked], plain)
    assert [each.path for each in fact_differences([of()], of(rfm={"window": "365d"}))] == ["rfm.window"]


def test_everything_else_may_change() -> None:
    """Thresholds, grids, cuts, the order of dimensions, a dimension without facts of its own."""
    grid = [["x"] * 5] * 5
    changed = of(
        dimensions=["value", "rfm", "lifecycle"], rfm={"cuts": "quantile", "grid": grid}, lifecycle={"loyal_orders": 9}
    )
    assert not fact_differences([of()], changed)
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
