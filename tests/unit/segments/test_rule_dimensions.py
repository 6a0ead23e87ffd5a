"""Rule dimensions through settings and engine: order, mistakes and their places, attributes, deadlines."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.advance.erasures import start_labels
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.file_run import MemoryShard
from segflow.schemas import settings_file
from segflow.schemas.settings import BUILT_IN, Settings
from segflow.schemas.settings_file import SettingsError
from segflow.segments.instant import to_us
from segflow.segments.rules import from_settings
from segflow.state import record
from segflow.state.customers import Customers
from segflow.state.layout import FIXED_BYTES
from segflow.streams.control.definitions import attributes_of, begun, definition_of, fact_differences
from tests.support.agreement import by_customer, parsed
from tests.support.histories import histories, written
from tests.support.trials import trials

ALWAYS = {"label": "a", "when": "true"}
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
EXAMPLE = """
dimensions:
  risk_appetite:
    rules:
      - {label: aggressive, when: "attributes.risk_score >= 70 and attributes.age < 60"}
      - {label: balanced,   when: "attributes.risk_score >= 40"}
    otherwise: conservative
  win_back:
    rules:
      - {label: call,  when: "value == 'a' and lifecycle in ['at_risk', 'churned']"}
      - {label: email, when: "lifecycle == 'at_risk' and idle >= 75d"}
    otherwise: none
"""


def loaded(tmp_path: Path, text: str) -> Settings:
    """Settings from a file."""
    path = tmp_path / "segflow.yaml"
    path.write_text(text, encoding="utf-8")
    return settings_file.load(path, environment={})


def one(when: str, *before: str) -> Settings:
    """A single rule dimension `mood` of a single rule, behind others."""
    rules = {"mood": {"rules": [{"label": "yes", "when": when}], "otherwise": "no"}}
    return Settings.model_validate({"dimensions": [*before, "mood"], "rule_dimensions": rules})


def day(number: float) -> str:
    """So many days after FIRST."""
    return written(FIRST + timedelta(days=number))


def profile(number: float, event_id: str = "", **attributes: Any) -> dict[str, Any]:
    """What a profile says on a day."""
    event = {"type": "profile", "event_id": event_id or f"{number}{attributes}", "customer_id": "c"}
    return event | {"occurred_at": day(number), "attributes": attributes}


def purchase(number: float) -> dict[str, Any]:
    """A purchase on a day."""
    event = {"type": "purchase", "event_id": f"p{number}", "customer_id": "c", "occurred_at": day(number)}
    return event | {"order_id": "o", "amount": 10}


def changes(product: Settings, log: list[dict[str, Any]], sizes: list[int] | None = None) -> list[dict[str, Any]]:
    """What a shard tells of the log, in batches, and of the silence until 2030."""
    shard, decoder = MemoryShard(product, RuleVersions(from_settings(product))), Decoder(product, None)
    found = []
    start = 0
    for size in [*(sizes or []), len(log)]:
        batch = [json.dumps(event).encode() for event in log[start : start + size]]
        chunk = decoder.decode(batch, None, range(len(batch)))
        assert not chunk.unusable
        found += parsed(message.value for message in shard.feed(chunk, wall_us=0).changes)
        start += size
    for result in shard.sweep(to_us(datetime(2030, 1, 1, tzinfo=UTC)), wall_us=0):
        found += parsed(message.value for message in result.changes)
    return found


def course(product: Settings, log: list[dict[str, Any]], dimension: str = "mood") -> list[tuple[str, str, str]]:
    """The customer's way through a dimension."""
    mine = [change for change in changes(product, log) if change["dimension"] == dimension]
    return [(change["effective_at"], change["current"], change["cause"]["kind"]) for change in mine]


def test_the_labels_of_the_contract_are_those_of_the_models() -> None:
    """Of every dimension that is built in; those of rfm's grid are a setting."""
    grid = {label for row in Settings().rfm.grid for label in row}
    for model in from_settings(Settings(dimensions=tuple(BUILT_IN))).models:
        assert set(model.labels) == set(BUILT_IN[model.name].labels) | (grid if model.name == "rfm" else set())


def test_the_mapping_is_the_order_and_what_it_leaves_out_comes_first(tmp_path: Path) -> None:
    """Lifecycle and rfm where nothing built in is listed; what rules look at; else only what stands there."""
    assert loaded(tmp_path, EXAMPLE).dimensions == ("lifecycle", "rfm", "value", "risk_appetite", "win_back")
    listed = EXAMPLE.replace("  risk_appetite:", "  price:\n  risk_appetite:", 1)
    assert loaded(tmp_path, listed).dimensions == ("lifecycle", "value", "price", "risk_appetite", "win_back")
    behind = EXAMPLE + "  price:\n  rfm: {}\n"
    assert loaded(tmp_path, behind).dimensions[-2:] == ("price", "rfm")
    as_list = Settings.model_validate(
        {
            "dimensions": ["rfm", "mood"],
            "rule_dimensions": {"mood": {"rules": [{"label": "a", "when": "true"}], "otherwise": "b"}},
        }
    )
    assert as_list.dimensions == ("rfm", "mood")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "'churned'",
            "'churnd'",
            "win_back.rules.0.when: line 10, column 73: lifecycle has no label 'churnd'",
        ),
        ("and idle", "and idel", "dimensions.win_back.rules.1.when: line 11, column 58: 'idel' is nothing known"),
        ("score >= 40", "score >= 40d", "rules.1.when: line 6, column 58: a number cannot be compared with a duration"),
        (
            'when: "attributes.risk_score >= 40"}',
            "when: >-\n            attributes.risk_score\n            >= }",
            "is no YAML",
        ),
        (
            '- {label: balanced,   when: "attributes.risk_score >= 40"}',
            "- label: balanced\n        when: |\n          attributes.risk_score\n            >= forty",
            "line 9, column 16: 'forty' is nothing known",
        ),
        (
            '- {label: balanced,   when: "attributes.risk_score >= 40"}',
            "- label: balanced\n        when: >-\n          attributes.risk_score\n          >= forty",
            "line 1, column 26 of the expression at line 7: 'forty' is nothing known",
        ),
        ("otherwise: none", "", "dimensions.win_back.otherwise: Field required"),
        ("otherwise: none", "otherwise: None", "dimensions.win_back.otherwise: String should match"),
        ("win_back:", "idle:", "dimensions.idle: this name means something in rules already"),
        ("win_back:", "window:", "dimensions.window: this name means something in rules already"),
        ("win_back:", "lifecycle:", "dimensions.lifecycle: is built in and has no rules"),
        ("value == 'a'", "mood == 'a'", "'mood' is nothing known"),
        ("attributes.risk_score >= 70", "win_back == 'call'", "win_back is not among the dimensions before this one"),
        ("dimensions:", "dimensions:\n  mood:", "dimensions.mood"),
    ],
)
def test_a_mistake_in_a_rule_is_told_with_its_place_in_the_file(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    """Path, line and column, however the rule is written."""
    with pytest.raises(SettingsError) as found:
        loaded(tmp_path, EXAMPLE.replace(old, new, 1))
    assert message in str(found.value)
    assert len(str(found.value).splitlines()) == 1


def test_names_that_are_nothing_and_rules_that_nobody_lists_are_refused(tmp_path: Path) -> None:
    """In either form."""
    for text, message in [
        ("dimensions: [lifecycle, mood]", "dimensions.mood: is no dimension and has no rules; there are lifecycle"),
        ("rule_dimensions: {mood: {rules: [{label: a, when: 'true'}], otherwise: b}}", "`dimensions` does not list it"),
        (
            EXAMPLE + "rule_dimensions: {mood: {rules: [{label: a, when: 'true'}], otherwise: b}}",
            "stand in `dimensions`",
        ),
    ]:
        with pytest.raises(SettingsError, match=message):
            loaded(tmp_path, text)


def test_a_change_of_another_dimension_is_a_turn_of_the_rules_that_look_at_it() -> None:
    """By an event, and by silence at the same moment; the crossing of the rule itself at its own."""
    product = one("lifecycle == 'at_risk' and idle >= 75d", "lifecycle")
    assert course(product, [purchase(0)]) == [(day(75), "yes", "time"), (day(180), "no", "time")]
    assert course(one("lifecycle == 'at_risk'", "lifecycle"), [purchase(0), purchase(70)]) == [
        (day(60), "yes", "time"),
        (day(70), "no", "event"),
        (day(130), "yes", "time"),
        (day(250), "no", "time"),
    ]
    (change, *_) = changes(product, [purchase(0)])
    assert change["segments"] == {"lifecycle": "new", "mood": "no"}


def test_the_latest_word_on_an_attribute_counts_and_a_removal_is_one() -> None:
    """A null wins over what is older and comes late; a value of another kind is another value."""
    product = one("attributes.age >= 18")
    assert course(product, [profile(0, age=20), profile(2, age=None), profile(1, age=30)]) == [
        (day(0), "yes", "event"),
        (day(2), "no", "event"),
    ]
    assert course(product, [profile(2, age=None), profile(1, age=30)]) == []
    assert course(product, [profile(0, age="20")]) == []
    assert course(product, [profile(0, age=True)]) == []
    assert course(product, [profile(5, age=3), profile(0, age=20, other=1)]) == []


told = st.sampled_from([None, True, False, 0, 1, -1, 2.5, 1e300, 10**400, "DE", "AT", ""])


@given(
    data=st.data(), values=st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab"), told), min_size=1, max_size=8)
)
@trials(60)
def test_the_order_in_which_profiles_come_does_not_matter(
    data: st.DataObject, values: list[tuple[int, str, Any]]
) -> None:
    """The record's attributes are the same bytes; at the same time the greater kind, then the greater value counts."""
    product = one("attributes.a == 1 or attributes.b == 'DE'")
    rules = from_settings(product)
    log = [profile(number, f"e{place}", **{name: value}) for place, (number, name, value) in enumerate(values)]
    kept = []
    for order in (log, data.draw(st.permutations(log))):
        shard = MemoryShard(product, RuleVersions(rules))
        chunk = Decoder(product, None).decode([json.dumps(event).encode() for event in order], None, range(len(order)))
        shard.feed(chunk, wall_us=0)
        customers = record.decode(["c"], shard.store.load(["c"]), start_labels(rules), 0, rules.kept)
        kept.append(customers.tails["attributes"])
    assert kept[0].tobytes() == kept[1].tobytes()
    for name in "ab":
        mine = [(number, rank(value)) for number, each, value in values if each == name]
        held = customers.facts(slice(None)).attributes.column(name)[0]
        assert (held["key"] != 0) == bool(mine)
        if mine:
            assert int(held["kind"]) == max(mine)[1][0]


def rank(value: Any) -> tuple[int, float]:
    """How a value stands to others told at the same time; texts only by their kind."""
    if value is None or isinstance(value, str):
        return (0 if value is None else 3, 0.0)
    return (1, float(value)) if isinstance(value, bool) else (2, min(float(min(value, 10**308)), 1e308))


def test_labels_stay_with_their_dimension_when_the_order_changes() -> None:
    """Records written under one order are read under another, and where a dimension is gone."""
    rules = {
        name: {"rules": [{"label": f"is_{name}", "when": f"attributes.{name} == 1"}], "otherwise": "no"}
        for name in ("one", "two", "three")
    }
    first = Settings.model_validate({"dimensions": list(rules), "rule_dimensions": rules})
    shard = MemoryShard(first, RuleVersions(from_settings(first)))
    chunk = Decoder(first, None).decode([json.dumps(profile(0, two=1, three=1)).encode()], None, [0])
    shard.feed(chunk, wall_us=0)
    value = shard.store.load(["c"])
    for order in (["three", "two", "one"], ["two"], ["lifecycle", "one", "three"]):
        other = Settings.model_validate(
            {"dimensions": order, "rule_dimensions": {n: rules[n] for n in order if n in rules}}
        )
        mine = from_settings(other)
        customers = record.decode(["c"], value, start_labels(mine), 0, mine.kept)
        codes = dict(zip(mine.names, customers.labels(mine.names)[0].tolist(), strict=True))
        assert {name: code for name, code in codes.items() if name in rules} == {
            name: int(name != "one") for name in order if name in rules
        }
        customers.keep(mine.kept)
        kept = record.decode(["c"], record.encode(customers), start_labels(mine), 0)
        last = "two" if "two" in order else "three"
        assert kept.labels([last]).tolist() == [[1]]


def test_which_attributes_are_kept_is_part_of_the_definition() -> None:
    """And without rules nothing of it stands there."""
    content = definition_of(one("attributes.b == 1 and attributes['a'] is present"))
    assert attributes_of(content) == ["a", "b"]
    assert content["rule_dimensions"]["mood"]["otherwise"] == "no"
    assert "rule_dimensions" not in definition_of(Settings())
    other = definition_of(one("attributes.b == 2 and attributes.a == 'x' and frequency > 3"))
    assert fact_differences([content], other) == []
    assert begun(content, other) == []
    another = definition_of(one("attributes.c == 1 and attributes.a == 1"))
    assert fact_differences([content], another) == []
    assert begun(content, another) == ["attributes.c"]
    ahead = definition_of(Settings.model_validate({"facts": {"attributes": ["c", "a", "c"]}}))
    assert attributes_of(ahead) == ["a", "c"]
    assert begun(ahead, another) == []


@given(log=histories(varied=True), sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4))
@trials(25)
def test_batches_are_invisible_to_rules(log: list[dict[str, Any]], sizes: list[int]) -> None:
    """Labels of others, attributes, counts and crossings; each chain is unbroken."""
    rules = {
        "tier": {
            "rules": [
                {"label": "gold", "when": "monetary >= 250 and idle < 60d"},
                {"label": "known", "when": "attributes.a == 1 or frequency >= 2"},
            ],
            "otherwise": "none",
        },
        "act": {
            "rules": [
                {"label": "call", "when": "tier == 'gold' and lifecycle == 'at_risk' or idle >= frequency * 30d"},
                {"label": "wait", "when": "tenure > 14d and engagement != 'dormant'"},
            ],
            "otherwise": "nothing",
        },
    }
    order = ["lifecycle", "engagement", "tier", "rfm", "act"]
    product = Settings.model_validate({"dimensions": order, "rule_dimensions": rules})
    whole = by_customer(changes(product, log))
    assert whole == by_customer(changes(product, log, sizes))
    for mine in whole.values():
        held = {"lifecycle": None, "rfm": "none", "engagement": "dormant", "tier": "none", "act": "nothing"}
        for change in mine:
            assert list(change["segments"]) == order
            assert change["previous"] == held[change["dimension"]] != change["current"]
            held[change["dimension"]] = change["current"]


def test_dimensions_without_rules_cost_a_record_nothing() -> None:
    """No attribute is kept, and a customer at `otherwise` has no entry."""
    product = one("attributes.a == 1")
    rules = from_settings(product)
    customers = Customers.unknown(["c"], start_labels(rules), 0, rules.kept)
    assert len(record.encode(customers)[0]) == FIXED_BYTES
    customers.move("mood", np.array([0]), np.array([1], dtype=np.uint8), np.array([7]))
    assert len(record.encode(customers)[0]) == FIXED_BYTES + 1 + 13
    settings = Settings.model_validate({"facts": "listed"})
    plain = from_settings(settings)
    chunk = Decoder(settings, None).decode([json.dumps(profile(0, a=1)).encode()], None, [0])
    assert (plain.attributes, chunk.more) == ((), {})
