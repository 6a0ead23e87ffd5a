"""Customers who are one: what an alias tells and keeps, in one shard and in several, and that batches do not show."""

import json
from collections import defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.columns import events as columns
from segflow.engine.columns import merge_messages
from segflow.engine.columns.merge_messages import MergeMessage
from segflow.engine.commit.plan import plan_for
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.decode.transfers import HandoverDecoder
from segflow.engine.file_run import FileRun, MemoryShard
from segflow.engine.merging.ledger import MergeLedger
from segflow.engine.partitioner import partition_of
from segflow.schemas.settings import Settings
from segflow.segments.instant import to_us
from segflow.segments.rules import from_settings
from segflow.state.head import Head, Position
from segflow.state.redirect import Redirect, is_redirect
from segflow.state.store import HOLE
from segflow.streams.consume.input_gate import InputGate
from segflow.streams.consume.shard_inputs import ShardInputs
from segflow.streams.consume.transport import Batch, Reading
from segflow.streams.journal.entry import Entry
from segflow.streams.journal.journal import JournalError
from segflow.streams.journal.replay import positioned
from tests.support.agreement import by_customer, parsed
from tests.support.events import Log, alias, at, event
from tests.support.histories import MERGING, merging_histories, moments
from tests.support.kafka_records import Record
from tests.support.lockstep import Engine, Oracle, at_every_prefix, cut, fed, in_batches
from tests.support.placement import SHARDS, name_in
from tests.support.stored_customer import purchases_in
from tests.support.trials import trials


@given(
    log=merging_histories(),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    until=st.none() | moments,
)
@trials(80)
def test_aliases_give_the_oracles_changes(log: Log, sizes: list[int], until: datetime | None) -> None:
    """Chains, cycles, self-aliases, unknown ones, repeats and erases, in any batches."""
    changes, expected = in_batches(Engine(), Oracle(), log, sizes, until)
    assert changes == expected


@given(log=merging_histories(most=12))
@trials(30)
def test_aliases_agree_at_every_prefix(log: Log) -> None:
    """After each event, swept to the clock, nothing is missing and nothing is ahead."""
    for changes, expected in at_every_prefix(Engine(), Oracle(), log):
        assert changes == expected


@given(log=merging_histories(in_order=True), sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4))
@trials(40)
def test_the_number_of_shards_does_not_show(log: Log, sizes: list[int]) -> None:
    """A file in time order, swept to the same time: each customer's changes are the same with one shard and three."""
    runs = [FileRun(settings=Settings(), shards=shards) for shards in (1, SHARDS)]
    found = []
    for run in runs:
        changes: list[dict[str, Any]] = []
        place = 0
        for batch in cut(log, sizes):
            for result in run.feed([json.dumps(each).encode() for each in batch], place):
                changes += parsed(message.value for message in result.changes)
            place += len(batch)
        for result in run.finish(to_us(datetime.fromisoformat(at(900)))):
            changes += parsed(message.value for message in result.changes)
        found.append(by_customer(changes))
    assert found[0] == found[1]


def in_short(changes: list[dict[str, Any]], customer: str) -> list[tuple[Any, ...]]:
    """What one customer's changes say."""
    mine = [change for change in changes if change["customer_id"] == customer]
    names = ("dimension", "previous", "current", "effective_at", "version")
    return [(*(change[name] for name in names), change["cause"]["kind"]) for change in mine]


def test_both_are_published_and_one_record_is_left() -> None:
    """The previous one's labels go to null, the customer has the orders of both; the id only says whose it is."""
    engine = fed(event(1, 0, customer="a"), event(2, 1, customer="b"), alias(3, 5, "b", "a"))
    assert in_short(engine.changes, "a")[2:] == [
        ("lifecycle", "new", None, at(5), 3, "merge"),
        ("rfm", "potential_loyalist", None, at(5), 4, "merge"),
    ]
    assert in_short(engine.changes, "b")[2:] == [("lifecycle", "new", "active", at(5), 3, "merge")]
    assert all(change["cause"] == {"kind": "merge"} for change in engine.changes[4:])
    store, head = engine.shard.store, engine.shard.head
    assert (store.page(0), head.population, head.holes, head.redirects) == ([HOLE, "b"], 2, 1, 1)
    (value,) = store.load(["a"])
    assert value is not None
    assert Redirect.decode(value) == Redirect(
        to="b", published_us=to_us(datetime.fromisoformat(at(5))), version=4, rules=0
    )
    assert (store.merged_into(["a", "b"]), store.merged_from("b")) == (["b", None], ["a"])


def test_a_merged_customer_has_no_current_segments() -> None:
    """The previous id gets a tombstone; the customer's record says what they are together."""
    engine = fed(event(1, 0, customer="a"), event(2, 1, customer="b"))
    chunk = engine.decoder.decode([json.dumps(alias(3, 5, "b", "a")).encode()], None, [0])
    current = {each.key: each.value for each in engine.shard.feed(chunk, wall_us=0).current}
    assert current[b"a"] == b""
    assert json.loads(current[b"b"])["facts"]["frequency"] == 2


def test_chains_cycles_self_aliases_and_unknown_ids() -> None:
    """A chain is followed in whatever order it was told; an id is merged once, never into itself; any redirects."""
    people = [event(number, 0, customer=name) for number, name in enumerate("abc")]
    one, two = alias(3, 1, "b", "a"), alias(4, 2, "c", "b")
    for log in ([one, two], [two, one]):
        engine = fed(*people, *log, event(5, 3, customer="a"))
        assert purchases_in(engine.shard.store.load(["c"])[0]) == 4
        assert {*engine.shard.store.redirects} == {"a", "b"}
    merged = fed(*people, one)
    for again in (alias(4, 2, "a", "b"), alias(4, 2, "b", "b"), alias(4, 2, "c", "a"), alias(4, 2, "b", "a")):
        engine = fed(*people, one, again)
        assert engine.changes == merged.changes
        assert engine.shard.store.ledger == {"a": "b"}
    engine = fed(alias(1, 0, "b", "nobody"), event(2, 1, customer="nobody"))
    assert [change["customer_id"] for change in engine.changes] == ["b", "b", "b"]
    assert engine.changes[0]["cause"] == {"kind": "event", "event_id": "e1"}


def test_an_erase_takes_the_ids_that_became_the_customer() -> None:
    """Nothing redirects any more, nothing is in the ledger, and under each id what is older stays out."""
    chain = [event(1, 0, customer="a"), event(2, 1, customer="b"), alias(3, 5, "b", "a"), alias(4, 6, "c", "b")]
    for name in "abc":
        engine = fed(*chain, event(5, 9, "erase", name))
        store, count = engine.shard.store, len(engine.changes)
        assert (store.redirects, store.ledger, engine.shard.head.redirects) == ({}, {}, 0)
        engine.feed([event(6 + place, 8, customer=each) for place, each in enumerate("abc")])
        assert len(engine.changes) == count
        engine.feed([event(9, 10, customer="a")])
        assert [each[:3] + each[4:5] for each in in_short(engine.changes, "a")[-2:]] == [
            ("lifecycle", None, "new", 5),
            ("rfm", None, "potential_loyalist", 6),
        ]


def test_an_id_that_was_erased_and_became_another_goes_on_counting() -> None:
    """Versions are never met twice, whatever the id was in between."""
    log = [event(1, 0, customer="a"), event(2, 1, "erase", "a"), alias(3, 2, "b", "a"), event(4, 3, "erase", "b")]
    engine = fed(*log, event(5, 4, customer="a"))
    assert [each[4] for each in in_short(engine.changes, "a")] == [1, 2, 3, 4, 5, 6]


class Apart:
    """An installation of some shards that hand over when told to; nothing keeps them in step."""

    def __init__(self) -> None:
        rule_versions = RuleVersions(from_settings(Settings()))
        self.shards = [MemoryShard(Settings(), rule_versions, each, shards=SHARDS) for each in range(SHARDS)]
        self.queues: list[list[bytes]] = [[] for _ in self.shards]
        self.changes: list[dict[str, Any]] = []
        self._decoder, self._handover = Decoder(Settings(), None), HandoverDecoder(Settings())

    def step(self, number: int, log: Log, handed: int) -> None:
        """One commit of one shard: these of its events, and so many of its merge messages."""
        values, self.queues[number] = self.queues[number][:handed], self.queues[number][handed:]
        chunk = self._decoder.decode([json.dumps(each).encode() for each in log], None, range(len(log)))
        result = self.shards[number].feed(chunk, 0, self._handover.decode(values, range(len(values))))
        for partition, each in result.handover:
            self.queues[partition].append(each.value)
        self.changes += parsed(message.value for message in result.changes)

    def value_of(self, name: str) -> bytes | None:
        """What is stored of an id."""
        return self.shards[partition_of(name.encode(), "murmur2", SHARDS)].store.load([name])[0]


@given(
    log=merging_histories(erasing=False),
    turns=st.lists(st.tuples(st.integers(0, SHARDS - 1), st.integers(0, 3), st.integers(0, 3)), max_size=60),
)
@trials(60)
def test_shards_that_are_not_in_step_lose_nothing_and_count_nothing_twice(
    log: Log, turns: list[tuple[int, int, int]]
) -> None:
    """However events and messages meet: who is one has the orders of all their ids, once; versions have no gaps."""
    log = [body | {"event_id": f"e{number}"} for number, body in enumerate(log)]
    apart = Apart()
    waiting: list[Log] = [[] for _ in range(SHARDS)]
    for body in log:
        waiting[partition_of(body["customer_id"].encode(), "murmur2", SHARDS)].append(body)
    for number, some, handed in turns:
        apart.step(number, waiting[number][:some], handed)
        del waiting[number][:some]
    for number, left in enumerate(waiting):
        apart.step(number, left, 0)
    while any(apart.queues):
        for number in range(SHARDS):
            apart.step(number, [], len(apart.queues[number]))
    ledger = MergeLedger(apart.shards[0].store)
    orders: dict[str, int] = defaultdict(int)
    for body in log:
        orders[ledger.end_of(body["customer_id"])] += body["type"] == "purchase"
    for name in MERGING:
        assert is_redirect(apart.value_of(name)) == (ledger.end_of(name) != name)
        assert purchases_in(apart.value_of(name)) == orders[name]
    for name, changes in by_customer(apart.changes).items():
        assert [change["version"] for change in changes] == list(range(1, len(changes) + 1)), name
        for dimension in Settings().dimensions:
            mine = [change for change in changes if change["dimension"] == dimension]
            assert all(one["current"] == other["previous"] for one, other in pairwise(mine))


def test_claims_of_each_other_at_once_end_in_one_customer() -> None:
    """A cycle of three, each claimed before any is decided: two are granted, the third is refused."""
    names = [name_in(shard) for shard in range(SHARDS)]
    apart = Apart()
    for number, name in enumerate(names):
        apart.step(number, [event(number, 0, customer=name)], 0)
    for number, name in enumerate(names):
        apart.step(number, [alias(10 + number, 1, name, names[number - 1])], 0)
    assert [len(queue) for queue in apart.queues] == [3, 0, 0]
    while any(apart.queues):
        for number in range(SHARDS):
            apart.step(number, [], len(apart.queues[number]))
    (root,) = [name for name in names if not is_redirect(apart.value_of(name))]
    assert purchases_in(apart.value_of(root)) == 3


def test_a_journal_from_before_shards_handed_anything_over_goes_on() -> None:
    """Its entries have two topics, its state no third position; the first entry with three begins wherever it does."""
    plan: dict[str, Any] = {
        "sequence": 3,
        "purchases_to": 5,
        "interactions_to": 6,
        "wall_us": 0,
        "future_us": 0,
        "sweep_us": 0,
    }
    plan |= {"sweep_limit": 1, "rules": 0, "pages": 1, "mode": "live"}
    written: dict[str, Any] = {"plan": plan, "topic_ids": ["p", "i"], "purchases_from": 4, "interactions_from": 6}
    written |= {"changes": 0, "dead_letters": 0, "adopts": None, "digest": ""}
    head = Head(sequence=2, purchases=Position(topic_id="p", offset=4), interactions=Position(topic_id="i", offset=6))
    assert positioned(head, msgspec.convert(written, Entry)) == head
    written |= {"topic_ids": ["p", "i", "h"], "handover_from": 7}
    moved = positioned(head, msgspec.convert(written, Entry))
    assert moved.positions == (*head.positions[:2], Position(topic_id="h", offset=7))
    with pytest.raises(JournalError):
        positioned(moved, msgspec.convert(written | {"handover_from": 8}, Entry))


def test_a_merge_message_of_a_shard_that_is_ahead_waits() -> None:
    """Behind, a shard takes what is no later than itself; with everything read, all of it. The inputs never wait."""
    inputs = ShardInputs(Decoder(Settings(), 0), Decoder(Settings(), 1), HandoverDecoder(Settings()))
    for buffer in inputs.buffers:
        buffer.begin(0)

    class Feed:
        position = 0

        async def open(self, partition: int, offsets: tuple[int, ...], inputs: ShardInputs) -> None: ...

        def close(self, partition: int) -> None: ...

        def reading(self, side: int, partition: int) -> Reading:  # noqa: ARG002 - the protocol's
            read = inputs.buffers[side].read_to
            return Reading(read, read + (side == 0) * self.position, 0, read)

    feed = Feed()
    gate = InputGate(settings=Settings(), partition=0, feed=feed, inputs=inputs)
    sent = [MergeMessage(kind="event", to="a", value=json.dumps(event(number, number)).encode()) for number in (1, 3)]
    raw = [Record(value=merge_messages.encode(each).value, offset=number) for number, each in enumerate(sent)]
    inputs.offer(2, Batch(raw, 0, 2))
    at_us = [to_us(datetime.fromisoformat(at(days))) for days in (0, 2)]
    feed.position = 1  # one more purchase is still to come
    assert [len(gate.chunks(at_us[1], clock_us)[2]) for clock_us in at_us] == [0, 1]
    assert not gate.caught_up()
    feed.position = 0
    assert len(gate.chunks(at_us[1], at_us[0])[2]) == 2


def test_a_commit_of_a_version_that_merged_nobody_is_done_again_as_it_was() -> None:
    """Its aliases are the dead letters they were, and move no clock."""
    engine = fed(event(1, 0, customer="a"))
    shard, head = engine.shard, engine.shard.head
    chunk = engine.decoder.decode([json.dumps(alias(2, 5, "b", "a")).encode()], None, [0])
    plan = plan_for(
        Settings(), head, purchases_to=1, interactions_to=1, wall_us=to_us(datetime.now(UTC)), rules=0, shards=0
    )
    result = shard.executor.execute(plan, columns.none(), chunk, head, shard.store)
    assert (result.dead_kinds, len(result.changes), result.write.head.clock_us) == (
        ["unsupported_type"],
        0,
        head.clock_us,
    )
