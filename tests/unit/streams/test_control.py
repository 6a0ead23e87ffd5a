"""The control topic: what earlier versions wrote, and which of what is written there counts."""

import json
from dataclasses import replace
from typing import Any

import pytest

from segflow.schemas.settings import Settings
from segflow.segments.instant import DAY_US
from segflow.segments.models.lifecycle import LifecycleModel
from segflow.segments.rules import from_settings
from segflow.streams.control.definitions import definition_of
from segflow.streams.control.messages import cuts_message
from segflow.streams.control.topic import Control

OLD_CUTS = {
    "kind": "cuts",
    "at_us": 10,
    "population": 600,
    "recency_us": [1, 2, 3, 4],
    "frequency": [2, 3, 4, 5],
    "monetary_minor": [5, 6, 7, 8],
}
OF_THE_POPULATION: dict[str, Any] = {
    "dimensions": ["lifecycle", "rfm", "value"],
    "rfm": {"cuts": "quantile"},
    "value": {"cuts": "share"},
}


def read_by(settings: Settings, *contents: dict[str, Any]) -> Control:
    """A worker that has read these records from the beginning of the topic."""
    control = Control(settings)
    for offset, content in enumerate(contents):
        control._take(offset, json.dumps(content).encode(), 1_700_000_000_000 + offset)
    return control


def test_a_definition_of_before_is_the_same_definition() -> None:
    """As it was before `recut` had a section of its own, before windows and lengths of slots; with defaults and not."""
    for own in ({}, {"recut": {"every": "2h", "min_population": 7}}):
        settings = Settings.model_validate(own)
        now = definition_of(settings)
        recut = now["recut"]
        rfm = now["rfm"] | {"recut_every": recut["every"], "min_population": recut["min_population"]}
        del rfm["window"]
        before = {name: part for name, part in now.items() if name not in ("recut", "slot")} | {"rfm": rfm}
        control = read_by(settings, {"kind": "definition", "content": before})
        assert [each.content for each in control.definitions] == [now]


def test_cuts_without_those_of_value_leave_them_as_the_settings_have_them() -> None:
    """Version, quintiles, and value's fixed thresholds."""
    settings = Settings.model_validate(OF_THE_POPULATION)
    control = read_by(settings, {"kind": "definition", "content": definition_of(settings)}, OLD_CUTS)
    cuts = control.rule_versions.latest.cuts
    assert (cuts.version, cuts.monetary_minor, cuts.value_minor) == (1, (5, 6, 7, 8), (25_000, 100_000))
    control = read_by(
        settings, {"kind": "definition", "content": definition_of(settings)}, OLD_CUTS | {"value_minor": [4, 9]}
    )
    assert control.rule_versions.latest.cuts.value_minor == (4, 9)


def test_cuts_of_before_are_instants_as_of_their_own_moment() -> None:
    """Their recency was an age, compared with everybody's age of now; a window and terciles are as of then, too."""
    content = OF_THE_POPULATION | {
        "dimensions": ["rfm", "clv"],
        "rfm": {"cuts": "quantile", "window": "365d"},
        "clv": {"cuts": "terciles"},
    }
    cuts = read_by(Settings(), defined(**content), OLD_CUTS | {"clv_minor": [4, 9]}).rule_versions.latest.cuts
    assert cuts.recency_from_us == (7, 8, 9, 10)  # 10 less 4, 3, 2, 1, and the next microsecond
    assert (cuts.window_at_us, cuts.clv_at_us) == (10, 10)
    rfm = read_by(Settings(), defined(**OF_THE_POPULATION), OLD_CUTS).rule_versions.latest.cuts
    assert (rfm.recency_from_us, rfm.window_at_us, rfm.clv_at_us) == ((7, 8, 9, 10), None, None)


def test_cuts_of_before_that_were_the_fixed_ones_are_ages() -> None:
    """There were too few customers for any of the population."""
    fixed = from_settings(Settings()).cuts
    few = {"population": 3, "recency_us": fixed.recency_us, "frequency": fixed.frequency}
    few |= {"monetary_minor": fixed.monetary_minor, "clv_minor": fixed.clv_minor}
    content = OF_THE_POPULATION | {"dimensions": ["rfm", "clv"], "clv": {"cuts": "terciles"}}
    cuts = read_by(Settings(), defined(**content), OLD_CUTS | few).rule_versions.latest.cuts
    assert cuts == replace(fixed, version=1)


def test_cuts_are_read_as_they_were_written() -> None:
    """Instants, moments and thresholds; of dimensions that are on."""
    content = OF_THE_POPULATION | {
        "dimensions": ["rfm", "value", "clv"],
        "rfm": {"cuts": "quantile", "window": "365d"},
        "clv": {"cuts": "terciles"},
    }
    cuts = replace(
        from_settings(Settings()).cuts,
        version=1,
        recency_from_us=(1, 2, 3, 4),
        frequency=(5, 6, 7, 8),
        monetary_minor=(9, 10, 11, 12),
        value_minor=(13, 14),
        clv_minor=(15, 16),
        window_at_us=17,
        clv_at_us=17,
    )
    message = cuts_message(cuts, 17, 600, moved=True)
    assert message.value is not None
    control = read_by(Settings(), defined(**content), json.loads(message.value))
    assert control.rule_versions.latest.cuts == cuts


def test_a_count_of_clv_in_the_wide_bins_of_before_is_made_anew() -> None:
    """Wide and narrow bins do not add up: the shard that counted so scans again."""
    old = {"kind": "histogram", "at_us": 5, "partition": 0, "recency": [], "frequency": [], "monetary": []}
    old |= {"living": 1, "money": [], "worth": [[9, 1]]}
    new = old | {"worth": [], "fine_worth": [[90, 1]]}
    first = defined(dimensions=["clv"], clv={"cuts": "terciles"})
    assert read_by(Settings(), first, old).shard_scans.complete(1) is None
    complete = read_by(Settings(), first, old, new).shard_scans.complete(1)
    assert complete is not None
    assert dict(complete[1].worth) == {90: 1}


def test_a_count_without_sums_of_money_is_a_count() -> None:
    """One shard that counted before there was `value`, one after."""
    settings = Settings()
    old = {"kind": "histogram", "at_us": 5, "partition": 0, "recency": [], "frequency": [[1, 3]], "monetary": [[9, 3]]}
    new = old | {"partition": 1, "money": [[9, 33]]}
    control = read_by(settings, {"kind": "definition", "content": definition_of(settings)}, old, new)
    complete = control.shard_scans.complete(2)
    assert complete is not None
    assert (complete[1].population, dict(complete[1].money)) == (6, {9: 33})


def defined(**content: Any) -> dict[str, Any]:
    """A record with the definition of these settings."""
    return {"kind": "definition", "content": definition_of(Settings.model_validate(content))}


def test_a_definition_that_says_what_the_latest_says_is_none() -> None:
    """Workers that start at once may all write it, and cuts may come in between; another that comes back is one."""
    one, other = defined(), defined(lifecycle={"at_risk_after": "30d"})
    control = read_by(Settings(), one, one, other, OLD_CUTS, other | {"quiet": True}, one)
    assert [each.version for each in control.definitions] == [0, 2, 5]
    assert [each.quiet for each in control.definitions] == [False] * 3
    assert [rules.definition for rules in control.rule_versions.definitions] == [0, 2, 5]
    assert control.definitions[1].written_us == 1_700_000_000_002_000


def test_the_rules_are_those_of_the_topic_whatever_the_settings() -> None:
    """A worker that runs when another brings a new definition takes it, and so does what does commits again."""
    control = read_by(Settings(), defined(), defined(lifecycle={"at_risk_after": "30d"}, holdout_share=0.5))
    rules = control.rule_versions.latest
    lifecycle = rules.models[0]
    assert isinstance(lifecycle, LifecycleModel)
    assert lifecycle.at_risk_after_us == 30 * DAY_US
    assert (rules.holdout_share, control.settings.holdout_share) == (0.5, 0.5)


def test_cuts_of_the_population_outlive_a_definition_that_wants_them_too() -> None:
    """Else the fixed ones hold; and cuts that were decided while a definition came that wants none do not count."""
    first = {"kind": "definition", "content": definition_of(Settings.model_validate(OF_THE_POPULATION))}
    made = OLD_CUTS | {"value_minor": [4, 9]}
    kept = defined(**OF_THE_POPULATION, lifecycle={"at_risk_after": "30d"})
    control = read_by(Settings(), first, made, kept)
    cuts = control.rule_versions.latest.cuts
    assert (cuts.version, cuts.frequency, cuts.value_minor) == (1, (2, 3, 4, 5), (4, 9))
    half = defined(**OF_THE_POPULATION | {"rfm": {"cuts": "fixed"}})
    cuts = read_by(Settings(), first, made, half, made).rule_versions.latest.cuts
    assert (cuts.version, cuts.frequency, cuts.value_minor) == (3, (2, 3, 5, 10), (4, 9))
    control = read_by(Settings(), first, made, defined(), made)
    assert control.rule_versions.latest.version == 2
    assert control.rule_versions.latest.cuts.version == 0


def test_decoding_serves_every_definition_there_was() -> None:
    """A shard may still be under a definition with a dimension that the latest lacks."""
    weighty = {"dimensions": ["engagement"], "engagement": {"other_weight": 7.0}}
    control = read_by(Settings(), defined(**weighty), defined(facts="listed"))
    assert set(control.decoding.dimensions) == {"engagement", "lifecycle", "rfm"}
    assert control.decoding.engagement.other_weight == 7.0
    assert control.settings.dimensions == ("lifecycle", "rfm")


FITTED: dict[str, Any] = {
    "kind": "parameters",
    "at_us": 10,
    "customers": 600,
    "mbg_nbd": {"r": 0.5, "alpha_weeks": 5e7, "a": 0.9, "b": 1.5},
    "gamma_gamma": {"p": 6.0, "q": 3.5, "gamma": 2e12},
}


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        ({"mbg_nbd": FITTED["mbg_nbd"] | {"a": float("nan")}}, "mbg_nbd.a"),
        ({"mbg_nbd": FITTED["mbg_nbd"] | {"r": 0}}, "mbg_nbd.r"),
        ({"gamma_gamma": FITTED["gamma_gamma"] | {"q": 1.0}}, "gamma_gamma.q"),
        ({"gamma_gamma": FITTED["gamma_gamma"] | {"gamma": float("inf")}}, "gamma_gamma.gamma"),
        ({"gamma_gamma": None}, "gamma_gamma"),
    ],
)
def test_fitted_parameters_that_no_label_could_stand_on_are_left_out(
    damage: dict[str, Any], place: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of before stay, and the log says where the record stands, what is wrong, and what to do."""
    settings = Settings.model_validate({"dimensions": ["clv"]})
    control = read_by(settings, defined(dimensions=["clv"]), FITTED, FITTED | damage)
    cuts = control.rule_versions.latest.cuts
    assert (cuts.version, cuts.parameters.gamma_gamma.gamma, cuts.parameters.mbg_nbd.alpha_weeks) == (1, 2e12, 5e7)
    (line,) = caplog.messages
    assert (
        f"{settings.kafka.topics.control}, offset 2: fitted parameters that cannot be used are left out ({place}: "
        in (line)
    )
    assert "`segflow fit` writes new ones" in line


@pytest.mark.parametrize(
    "value",
    [
        b"\xff",
        b"null",
        b"[]",
        b'{"kind":"cuts"}',
        b'{"kind":"secret","content":"zz"}',
        b'{"kind":"histogram","at_us":"x"}',
        b'{"kind":"definition","content":{"clock":7}}',
        b"[" * 5000,
    ],
    ids=lambda value: value[:40].decode(errors="replace"),
)
def test_a_record_of_another_program_is_left_out_by_its_place(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it is: the versions there are stay, and the log names topic, partition and offset."""
    control = read_by(Settings(), {"kind": "definition", "content": definition_of(Settings())})
    before = control.rule_versions.latest
    control._take(1, value, 1_700_000_000_000)
    assert control.rule_versions.latest is before
    assert control.foreign == 1
    assert f"{Settings().kafka.topics.control}, partition 0, offset 1, is no record of segflow" in caplog.text


def test_a_tombstone_in_the_control_topic_is_left_out() -> None:
    """A record without a value is of another program, too."""
    control = read_by(Settings(), {"kind": "definition", "content": definition_of(Settings())})
    control._take(1, None, 1_700_000_000_000)  # type: ignore[arg-type]
    assert control.foreign == 1
