"""New definitions in one shard: every customer re-scored once, as the oracle says, whatever the labels were before."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.advance.label_codes import REMOVED, removed_labels, translate
from segflow.schemas.settings import Settings
from segflow.segments.instant import UNKNOWN
from segflow.segments.model import NO_LABEL
from segflow.segments.models.rfm import GRID
from segflow.segments.rules import from_settings
from tests.oracle.rules import DEFAULT_GRID
from tests.oracle.simulation import Adopt, OracleRules
from tests.support.agreement import by_customer
from tests.support.events import Log
from tests.support.histories import histories, varied_moments
from tests.support.lockstep import Engine, Oracle
from tests.support.trials import trials

WITH_PRICE = ("lifecycle", "rfm", "price")
VIP_GRID = tuple(tuple("vip" if label == "champion" else label for label in row) for row in GRID)
TURNED_GRID = (("cant_lose", *GRID[0][1:]), *GRID[1:])
"""Another label first: every code is another."""


@dataclass(frozen=True)
class Definition:
    """One definition, for the product and for the oracle."""

    product: Mapping[str, Any]
    oracle: OracleRules


def grid_of(rows: tuple[tuple[str, ...], ...]) -> dict[tuple[int, int], str]:
    """The grid as the oracle has it."""
    return {(5 - place, fm): label for place, row in enumerate(rows) for fm, label in enumerate(row, start=1)}


DEFINITIONS = (
    Definition({}, OracleRules()),
    Definition(
        {"lifecycle": {"at_risk_after": "30d", "churned_after": "90d", "loyal_orders": 3}},
        OracleRules(at_risk_after=timedelta(days=30), churned_after=timedelta(days=90), loyal_orders=3),
    ),
    Definition({"rfm": {"grid": VIP_GRID}}, OracleRules(grid=grid_of(VIP_GRID))),
    Definition({"rfm": {"grid": TURNED_GRID}}, OracleRules(grid=grid_of(TURNED_GRID))),
    Definition(
        {"rfm": {"fixed": {"recency": ["10d", "60d", "90d", "240d"]}}},
        OracleRules(recency_cuts=tuple(timedelta(days=days) for days in (10, 60, 90, 240))),
    ),
    Definition({"dimensions": ["rfm"]}, OracleRules(dimensions=("rfm",))),
    Definition({"dimensions": ["rfm", "lifecycle"]}, OracleRules(dimensions=("rfm", "lifecycle"))),
    Definition({"dimensions": ["lifecycle"]}, OracleRules(dimensions=("lifecycle",))),
)
FINE = varied_moments(timedelta(microseconds=1))


def adopting(engine: Engine, oracle: Oracle, definition: Definition, *, quiet: bool = False) -> None:
    """Both get a new definition, which the oracle brings to all customers at once."""
    version = engine.rule_versions.latest.version + 1
    engine.rule_versions.add_definition(
        from_settings(Settings.model_validate(definition.product), definition=version), quiet=quiet
    )
    oracle.changes += oracle.shard.step(Adopt(replace(definition.oracle, definition=version), "definition"))


@given(
    log=histories(30, FINE, varied=True),
    turns=st.lists(st.tuples(st.integers(0, 30), st.sampled_from(DEFINITIONS)), min_size=1, max_size=3),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3),
)
@trials(60)
def test_definitions_adopted_anywhere_give_the_oracles_changes(
    log: Log, turns: list[tuple[int, Definition]], sizes: list[int]
) -> None:
    """Thresholds, grids whose codes move, labels that vanish, dimensions off and on again, in any batches."""
    engine, oracle = Engine(), Oracle()
    start = 0
    for stop, definition in sorted(turns, key=lambda turn: turn[0]):
        _feed(engine, oracle, log[start:stop], sizes)
        start = max(start, stop)
        engine.sweep()  # whatever was adopted before is done
        oracle.sweep()
        adopting(engine, oracle, definition)
    _feed(engine, oracle, log[start:], sizes)
    engine.sweep()
    oracle.sweep()
    assert by_customer(engine.changes) == by_customer(oracle.changes)


def _feed(engine: Engine, oracle: Oracle, log: Log, sizes: list[int]) -> None:
    for event in log:
        oracle.take(event)
    turn = 0
    while log:
        engine.feed(log[: sizes[turn % len(sizes)]])
        log, turn = log[sizes[turn % len(sizes)] :], turn + 1


@given(log=histories(25, FINE, varied=True), stop=st.integers(0, 25), definition=st.sampled_from(DEFINITIONS[1:5]))
@trials(30)
def test_a_quiet_definition_moves_labels_and_neither_tells_nor_counts(
    log: Log, stop: int, definition: Definition
) -> None:
    """The changes are what the oracle tells but for `definition`; versions have no gap; `previous` is what holds."""
    engine, oracle = Engine(), Oracle()
    _feed(engine, oracle, log[:stop], [5])
    adopting(engine, oracle, definition, quiet=True)
    _feed(engine, oracle, log[stop:], [5])
    engine.sweep()
    oracle.sweep()
    published = {
        who: [each for each in some if each["cause"]["kind"] != "definition"] for who, some in by(oracle).items()
    }
    for changes in published.values():
        for number, change in enumerate(changes, start=1):
            change["version"] = number
    assert by_customer(engine.changes) == {who: changes for who, changes in published.items() if changes}


def by(oracle: Oracle) -> dict[str, list[dict[str, Any]]]:
    """The oracle's changes by customer."""
    return by_customer(oracle.changes)


@pytest.mark.parametrize(("facts", "gone"), [("listed", 13), ("all", 0)])
def test_price_is_forgotten_when_it_goes_where_the_facts_of_listed_dimensions_alone_are_kept(
    facts: str, gone: int
) -> None:
    """A dimension that is switched off leaves nothing behind in the record; else its facts, and no label."""
    engine = Engine(Settings.model_validate({"dimensions": WITH_PRICE, "facts": facts}))
    purchase = {"type": "purchase", "customer_id": "c", "order_id": "o", "amount": "9", "discount": "1"}
    engine.feed([purchase | {"event_id": f"e{day}", "occurred_at": f"2024-01-0{day}T00:00:00Z"} for day in (1, 2, 3)])
    before = engine.shard.store.load(["c"])[0]
    engine.rule_versions.add_definition(from_settings(Settings.model_validate({"facts": facts}), definition=1))
    engine.sweep()
    after = engine.shard.store.load(["c"])[0]
    assert before is not None
    assert after is not None
    assert len(before) - len(after) == gone  # docs/state.md
    assert {change["dimension"] for change in engine.changes if change["definition"] == 1} == set()


def test_what_an_adoption_writes_is_counted() -> None:
    """A record of each customer, whether or not a label moves; nothing once it is done, and nothing of plain events."""
    engine = Engine()
    purchase = {"type": "purchase", "order_id": "o", "amount": "9", "occurred_at": "2024-01-01T00:00:00Z"}
    engine.feed([purchase | {"customer_id": f"c{number}", "event_id": f"e{number}"} for number in range(5)])
    changed = Settings.model_validate({"lifecycle": {"at_risk_after": "30d"}})
    engine.rule_versions.add_definition(from_settings(changed, definition=1))
    results = [*engine.shard.sweep(UNKNOWN, wall_us=0), *engine.shard.sweep(UNKNOWN, wall_us=0)]
    assert sum(each.adopted for each in results) == sum(len(each.write.records) for each in results) == 5
    assert sum(len(each.changes) for each in results) == 0
    chunk = engine.decoder.decode([json.dumps(purchase | {"customer_id": "c1", "event_id": "e9"}).encode()], None, [9])
    assert engine.shard.feed(chunk, wall_us=0).adopted == 0


def test_several_definitions_have_their_turn_one_after_the_other() -> None:
    """A shard that was away adopts each; the cuts in between are those of the definition after them."""
    engine = Engine()
    for version, definition in enumerate(DEFINITIONS[1:3], start=1):
        rules = from_settings(Settings.model_validate(definition.product), definition=3 * version)
        engine.rule_versions.add_definition(rules)
        engine.rule_versions.add_cuts(replace(rules.cuts, version=3 * version + 1))
    taken = [0]
    while engine.rule_versions.next_version(taken[-1]) != taken[-1]:
        taken.append(engine.rule_versions.next_version(taken[-1]))
    assert taken == [0, 3, 6, 7]
    assert [rules.definition for rules in engine.rule_versions.definitions] == [0, 3, 6]


@pytest.mark.parametrize("new", [VIP_GRID, TURNED_GRID])
def test_labels_are_translated_by_name(new: tuple[tuple[str, ...], ...]) -> None:
    """Code by code, what was called so before is called so now, and what is no more has a code of its own."""
    old_rules, new_rules = (
        from_settings(Settings.model_validate({"dimensions": ["rfm"], "rfm": {"grid": grid}})) for grid in (GRID, new)
    )
    (old_model,), (new_model,) = old_rules.models, new_rules.models
    codes = np.array([*range(len(old_model.labels)), NO_LABEL], dtype=np.uint8)[:, None]
    found = translate(old_rules, new_rules, codes)[:, 0].tolist()
    names = {
        **dict(enumerate(new_model.labels)),
        **dict(enumerate(removed_labels(old_model, new_model), start=REMOVED)),
    }
    assert [names[code] for code in found[:-1]] == list(old_model.labels)
    assert found[-1] == NO_LABEL


def test_the_grids_of_this_test_are_the_defaults_but_for_what_they_say() -> None:
    """The oracle's way of writing a grid is read as it should be."""
    assert grid_of(GRID) == dict(DEFAULT_GRID)
