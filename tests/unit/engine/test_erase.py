"""Erasing customers: receipts, what stays out, who comes back, and that batches do not show."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.file_run import FileRun
from segflow.operations.repair.chains import Chains, PublishedChange
from segflow.schemas.change import Change
from segflow.schemas.settings import BUILT_IN, Settings
from segflow.segments.instant import to_us
from segflow.segments.rules import fixed_cuts, from_settings
from segflow.state.erasure import Erasure, pseudonym
from segflow.state.store import HOLE
from tests.support.agreement import by_customer
from tests.support.events import Log, at, event
from tests.support.histories import START, events, moments, written
from tests.support.lockstep import Engine, cut, fed
from tests.support.trials import trials

ALL = Settings(dimensions=tuple(BUILT_IN))


def published(engine: Engine) -> list[tuple[Any, ...]]:
    """What the changes say, in short."""
    names = ("dimension", "previous", "current", "effective_at", "previous_since", "version")
    return [(*(change[name] for name in names), change["cause"]["kind"]) for change in engine.changes]


def stays(engine: Engine, customer: str = "c1") -> Erasure | None:
    """What stays of a customer."""
    return engine.shard.store.erased([pseudonym(b"", customer)])[0]


def test_every_label_becomes_null_and_nothing_is_held_any_more() -> None:
    """The receipt is a change a dimension; record, timer and place in the directory are gone, a hash is left."""
    engine = fed(event(1, 0), event(2, 5, "erase"))
    assert published(engine)[2:] == [
        ("lifecycle", "new", None, at(5), at(0), 3, "erase"),
        ("rfm", "potential_loyalist", None, at(5), at(0), 4, "erase"),
    ]
    last = Change.model_validate(engine.changes[-1])
    assert last.segments == {"lifecycle": None, "rfm": None}
    assert last.facts.model_dump() == {
        "first_purchase_at": None,
        "last_purchase_at": None,
        "frequency": 0,
        "monetary": "0.00",
    }
    assert last.next is None
    assert last.cause.event_id is None
    store, head = engine.shard.store, engine.shard.head
    assert (store.load(["c1"]), store.page(0), store.due(to_us(START) * 2, 9)) == ([None], [HOLE], [])
    assert (head.population, head.holes) == (1, 1)
    assert stays(engine) == Erasure(to_us(START + timedelta(days=5)), to_us(START + timedelta(days=5)), 4, 0)
    assert b"c1" not in b"".join(name + each.encode() for name, each in store.oldest_erased(9))
    engine.sweep(START + timedelta(days=900))
    assert len(engine.changes) == 4


def test_the_compacted_topic_gets_a_tombstone() -> None:
    """Unless the customer came back in the same commit: then what it is now."""
    engine = Engine()
    chunk = engine.decoder.decode([json.dumps(event(1, 0)).encode()], None, [0])
    engine.shard.feed(chunk, 0)
    log = [event(2, 1, "erase"), event(3, 0, customer="c2")]
    result = engine.shard.feed(engine.decoder.decode([json.dumps(each).encode() for each in log], None, [1, 2]), 0)
    assert {message.key: bool(message.value) for message in result.current} == {b"c1": False, b"c2": True}
    log = [event(4, 2, "erase", "c2"), event(5, 3, customer="c2")]
    result = engine.shard.feed(engine.decoder.decode([json.dumps(each).encode() for each in log], None, [3, 4]), 0)
    (message,) = result.current
    assert json.loads(message.value)["version"] == 6


def test_who_comes_back_begins_with_nothing_and_counts_on() -> None:
    """Versions have no gap, the chain goes on from null, and what was before is forgotten."""
    engine = fed(event(1, 0), event(2, 5, "erase"), event(3, 9))
    assert published(engine)[4:] == [
        ("lifecycle", None, "new", at(9), at(5), 5, "event"),
        ("rfm", None, "potential_loyalist", at(9), at(5), 6, "event"),
    ]
    assert engine.changes[-1]["facts"]["frequency"] == 1
    assert engine.shard.store.page(0) == [HOLE, "c1"]


def test_an_event_id_from_before_counts_anew() -> None:
    """The ids are forgotten, too: what has them is a new event if it happened after the erase."""
    assert len(fed(event(1, 0), event(2, 5, "erase"), event(1, 9)).changes) == 6


@pytest.mark.parametrize("back", [[], [event(8, 6)]], ids=["gone", "back"])
def test_what_happened_before_the_erase_stays_out_whenever_it_comes(back: Log) -> None:
    """Also after the customer came back; each such event is counted."""
    log = [event(1, 0), event(2, 5, "erase"), *back]
    engine = fed(*log)
    before = published(engine)
    result = engine.shard.feed(engine.decoder.decode([json.dumps(event(3, 4)).encode()], None, [9]), 0)
    assert (len(result.changes), result.outdated, result.events, len(result.write.born)) == (0, 1, 1, 0)
    engine.feed([event(4, 4.5), event(5, 4.9, "erase"), event(2, 5, "erase")])
    assert published(engine) == before
    assert stays(engine) == stays(fed(*log))


def test_a_tie_with_the_erase_that_comes_after_it_is_new() -> None:
    """Only what is older stays out."""
    assert len(fed(event(1, 0), event(2, 5, "erase"), event(3, 5)).changes) == 6


def test_a_late_erase_takes_all_that_is_held_and_is_effective_where_the_customer_was_concluded() -> None:
    """What happens after the erase and comes after it counts, as late; effective times never go back."""
    engine = fed(event(1, 0), event(2, 9), event(3, 5, "erase"), event(4, 7), event(5, 4))
    assert published(engine)[-4:] == [
        ("lifecycle", "active", None, at(9), at(9), engine.changes[-4]["version"], "erase"),
        ("rfm", "potential_loyalist", None, at(9), at(0), engine.changes[-3]["version"], "erase"),
        ("lifecycle", None, "new", at(9), at(9), engine.changes[-2]["version"], "late"),
        ("rfm", None, "potential_loyalist", at(9), at(9), engine.changes[-1]["version"], "late"),
    ]


def test_silence_before_the_erase_is_published_before_it() -> None:
    """Deadlines come first, as before any event."""
    engine = fed(event(1, 0), event(2, 70, "erase"))
    assert [change["cause"]["kind"] for change in engine.changes[2:]] == ["time", "time", "erase", "erase"]


def test_nothing_is_published_of_an_erase_of_whom_nothing_is_held() -> None:
    """There is no receipt; older events stay out all the same, and newer ones begin at version 1."""
    engine = fed(event(1, 5, "erase"), event(2, 3))
    assert (engine.changes, engine.shard.head.population) == ([], 0)
    engine.feed([event(3, 6)])
    assert [(*each[:3], each[5]) for each in published(engine)] == [
        ("lifecycle", None, "new", 1),
        ("rfm", "none", "potential_loyalist", 2),
    ]


def test_an_erase_again_of_who_did_not_come_back_moves_the_time() -> None:
    """No second receipt, and the first goes on being where the chain stands."""
    engine = fed(event(1, 0), event(2, 5, "erase"), event(3, 8, "erase"), event(4, 7), event(5, 9))
    assert [(*each[:2], *each[3:6]) for each in published(engine)[4:]] == [
        ("lifecycle", None, at(9), at(5), 5),
        ("rfm", None, at(9), at(5), 6),
    ]


def test_what_stays_is_let_go_of_after_its_time() -> None:
    """Then the customer is as unknown as anybody, and nothing is kept; the shard's own time decides."""
    product_settings = Settings.model_validate({"erase": {"remembered_for": "30d"}})
    log = [event(1, 0), event(2, 5, "erase"), event(3, 35, customer="c2")]
    engine = fed(*log, product_settings=product_settings)
    assert stays(engine) is not None
    engine.feed([event(4, 36, customer="c2")])
    engine.feed([event(5, 36, customer="c3")])
    assert (stays(engine), engine.shard.head.erasures) == (None, None)
    engine.feed([event(6, 1)])
    assert [(*each[:3], each[5]) for each in published(engine)[-2:]] == [
        ("lifecycle", None, "new", 1),
        ("rfm", "none", "about_to_sleep", 2),
    ] or engine.changes[-1]["version"] == 2


@st.composite
def erasing_histories(draw: st.DrawFn) -> Log:
    """Logs in which customers are erased, some more than once, some unknown."""
    log = draw(st.lists(events(moments, varied=True), min_size=1, max_size=30))
    for number, moment in enumerate(draw(st.lists(moments, min_size=1, max_size=5))):
        body = {
            "type": "erase",
            "event_id": draw(st.sampled_from([f"erase{number}", "e1"])),
            "customer_id": draw(st.sampled_from(["c1", "c2", "ü3", "c4"])),
            "occurred_at": written(moment),
        }
        log.insert(draw(st.integers(0, len(log))), body)
    if draw(st.booleans()):
        log.sort(key=lambda each: each["occurred_at"])
    return log


def state(engine: Engine) -> Any:
    """All that is stored, but for where timers stand, which depends on when they were looked at."""
    store, head = engine.shard.store, engine.shard.head
    ids = [each for each in store.page(0) if each != HOLE]
    rows = {who: (value or b"")[:29] + (value or b"")[37:] for who, value in zip(ids, store.load(ids), strict=True)}
    return rows, store.oldest_erased(99), head.population - head.holes, head.clock_us


@given(
    log=erasing_histories(),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    until=st.none() | moments,
    kept=st.sampled_from(["730d", "30d", "1d"]),
)
@trials(60)
def test_however_the_log_is_cut_the_changes_and_what_is_held_are_the_same(
    log: Log, sizes: list[int], until: datetime | None, kept: str
) -> None:
    """An erase, a purchase after it, ties, late ones: in one batch as in many, under all dimensions."""
    product_settings = ALL.model_copy(
        update={"erase": Settings.model_validate({"erase": {"remembered_for": kept}}).erase}
    )
    whole, parts, singly = (Engine(product_settings) for _ in range(3))
    whole.feed(log)
    for batch in cut(log, sizes):
        parts.feed(batch)
    for each in log:
        singly.feed([each])
    for engine in (whole, parts, singly):
        engine.sweep(until)
    assert by_customer(whole.changes) == by_customer(parts.changes) == by_customer(singly.changes)
    if kept == "730d":  # else what stays is let go of commit by commit
        assert state(whole) == state(parts) == state(singly)


@given(log=erasing_histories())
@trials(40)
def test_chains_and_versions_have_no_gap(log: Log) -> None:
    """What a change leaves is what the next takes up, through erases and returns; effective times never go back."""
    engine = Engine(ALL)
    engine.feed(log)
    engine.sweep()
    for changes in by_customer(engine.changes).values():
        assert [change["version"] for change in changes] == list(range(1, len(changes) + 1))
        labels: dict[str, Any] = {}
        since: dict[str, Any] = {}
        for change in changes:
            dimension = change["dimension"]
            assert change["previous"] == labels.get(dimension, change["previous"])
            assert change["previous_since"] == since.get(dimension)
            moments_before = map(datetime.fromisoformat, since.values())
            assert all(before <= datetime.fromisoformat(change["effective_at"]) for before in moments_before)
            labels[dimension], since[dimension] = change["current"], change["effective_at"]


@given(log=erasing_histories())
@trials(25)
def test_shards_do_not_show_in_a_log_in_time_order(log: Log) -> None:
    """Swept to the same time, three shards tell what one does."""
    log.sort(key=lambda each: each["occurred_at"])
    lines = [json.dumps(each).encode() for each in log]
    found = []
    for shards in (1, 3):
        run = FileRun(Settings(), shards=shards)
        results = [*run.feed(lines, 0), *run.finish(to_us(START + timedelta(days=900)))]
        values = [json.loads(message.value) for result in results for message in result.changes]
        found.append(by_customer(values))
    assert found[0] == found[1]


def test_a_dimension_that_came_since_the_erase_begins_as_for_anybody() -> None:
    """There was no receipt of it, so there is no null to go on from; of one that stayed there is."""
    engine = fed(event(1, 0), event(2, 5, "erase"), product_settings=Settings(dimensions=("lifecycle",)))
    engine.rule_versions.add_definition(from_settings(Settings(dimensions=("rfm", "lifecycle")), definition=9))
    engine.feed([event(3, 9)])
    assert [(*each[:3], *each[4:6]) for each in published(engine)[2:]] == [
        ("rfm", "none", "potential_loyalist", None, 3),
        ("lifecycle", None, "new", at(5), 4),
    ]


@given(log=erasing_histories(), sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3), place=st.integers(0, 30))
@trials(25)
def test_new_cuts_pass_over_the_holes(log: Log, sizes: list[int], place: int) -> None:
    """Whoever is erased before the cuts are brought to everybody, or while they are, is not looked for."""
    cuts = replace(fixed_cuts(Settings()), version=7, frequency=(1, 2, 4, 6))
    found = []
    for batches in ([*cut(log[:place], sizes), log[place:]], [log[:place], *cut(log[place:], sizes)]):
        engine = Engine()
        for batch in batches:
            if sum(map(len, batches[: batches.index(batch)])) == place:
                engine.rule_versions.add_cuts(cuts)
            engine.feed(batch)
        engine.rule_versions.add_cuts(cuts)
        engine.sweep()
        assert engine.shard.head.adopting is None
        found.append(by_customer(engine.changes))
    assert found[0] == found[1]


def test_the_audit_takes_a_customer_who_was_let_go_of_for_a_new_one() -> None:
    """Version 1 again is right after an erase, and wrong after anything else."""
    chains = Chains(cut=False, start={"rfm": "none"})

    def add(version: int, previous: str | None, current: str | None) -> str | None:
        change = PublishedChange(
            change_id="", customer_id="c1", dimension="rfm", previous=previous, current=current, version=version
        )
        return chains.add(change)

    assert [add(1, "none", "new"), add(2, "new", None), add(3, None, "new"), add(4, "new", None)] == [None] * 4
    assert add(1, "none", "new") is None
    assert "comes again" in (add(1, "none", "new") or "")
