"""Customers by label are counted as commits change them: at any moment they are what reading all records gives."""

import json
from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.commit.label_counts import are_of
from segflow.engine.file_run import FileRun
from segflow.schemas.settings import BUILT_IN, Settings
from segflow.segments.instant import to_us
from segflow.segments.models.rfm import GRID
from segflow.segments.rules import from_settings
from segflow.state.head import PAGE_CUSTOMERS
from tests.support.events import Log, at, event
from tests.support.histories import histories, merging_histories
from tests.support.label_counts import scanned
from tests.support.lockstep import Engine, cut
from tests.support.placement import SHARDS
from tests.support.trials import trials

ALL = Settings(dimensions=tuple(BUILT_IN))
VIP_GRID = [["vip" if label == "champion" else label for label in row] for row in GRID]
DEFINITIONS: tuple[dict[str, Any], ...] = (
    {},
    {"lifecycle": {"at_risk_after": "30d", "churned_after": "90d", "loyal_orders": 3}},
    {"rfm": {"grid": VIP_GRID}},
    {"rfm": {"grid": [["cant_lose", *GRID[0][1:]], *GRID[1:]]}},  # every code is another
    {"dimensions": ["rfm"]},
    {"dimensions": ["rfm", "lifecycle"]},
)


def agrees(engine: Engine) -> bool:
    """Whether an engine's store counts what it has, and the sums tell that it counts everybody."""
    head, counts = engine.shard.head, engine.shard.store.counts()
    assert are_of(counts, head, engine.rule_versions.rules(head.rules))
    return counts == scanned(engine.shard.store, engine.rule_versions)


@given(log=merging_histories(), sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4))
@trials(40)
def test_counts_are_those_of_a_scan_after_every_batch(log: Log, sizes: list[int]) -> None:
    """Of all dimensions: events in any order, silence, erases, aliases, and customers who come back."""
    engine = Engine(ALL)
    for batch in cut(log, sizes):
        engine.feed(batch)
        assert agrees(engine)
    engine.sweep(datetime.fromisoformat(at(900)))
    assert agrees(engine)


@given(log=merging_histories(in_order=True), sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4))
@trials(20)
def test_a_customer_merged_across_shards_is_counted_once(log: Log, sizes: list[int]) -> None:
    """Each shard counts its own; records that are handed over are counted where they arrive."""
    run = FileRun(settings=Settings(), shards=SHARDS)
    place = 0
    for batch in cut(log, sizes):
        list(run.feed([json.dumps(each).encode() for each in batch], place))
        place += len(batch)
    list(run.finish(to_us(datetime.fromisoformat(at(900)))))
    for shard in run.memory_shards:
        assert shard.store.counts() == scanned(shard.store, run.rule_versions)


@given(
    log=histories(20, varied=True),
    turns=st.lists(st.tuples(st.integers(0, 20), st.sampled_from(DEFINITIONS), st.booleans()), min_size=1, max_size=3),
)
@trials(30)
def test_counts_follow_new_definitions(log: Log, turns: list[tuple[int, dict[str, Any], bool]]) -> None:
    """Labels that vanish, dimensions off and on again, moves that are not published."""
    engine = Engine()
    start = 0
    for stop, definition, quiet in sorted(turns, key=lambda turn: turn[0]):
        engine.feed(log[start:stop])
        start = max(start, stop)
        version = engine.rule_versions.latest.version + 1
        rules = from_settings(Settings.model_validate(definition), definition=version)
        engine.rule_versions.add_definition(rules, quiet=quiet)
        engine.sweep()
        assert agrees(engine)
    engine.feed(log[start:])
    assert agrees(engine)


def test_counts_are_right_in_the_middle_of_an_adoption() -> None:
    """Some customers stand under the old rules still, and have no label in the new dimension."""
    engine = Engine(Settings(dimensions=("lifecycle",)))
    count = 2 * PAGE_CUSTOMERS + 3
    engine.feed([event(number, 0, customer=f"c{number}") for number in range(count)])
    engine.rule_versions.add_definition(from_settings(Settings(), definition=1))
    engine.feed([event(count, 1, customer="c0")])
    assert engine.shard.head.adopting is not None
    assert agrees(engine)
    by_rfm = sum(many for (dimension, _), many in engine.shard.store.counts().items() if dimension == "rfm")
    assert 0 < by_rfm < count
    engine.feed([event(count + 1, 2, customer="c0")])  # who is done already is loaded beside who is not
    assert engine.shard.head.adopting is not None
    assert agrees(engine)
    engine.sweep()
    assert agrees(engine)
    counts = engine.shard.store.counts()
    assert sum(counts.values()) == 2 * count
    assert not are_of({**counts, ("rfm", "champion"): 1}, engine.shard.head, engine.rule_versions.latest)
    assert not are_of({}, engine.shard.head, engine.rule_versions.latest)
