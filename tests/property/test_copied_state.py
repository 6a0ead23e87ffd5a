"""What commits write makes the same state by way of the state topic: in slices, compacted, or begun without it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Any, cast

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from segflow.engine.commit.engine_version import ENGINE
from segflow.state import topic_layout
from segflow.state.erasure import Erasure
from segflow.state.head import Head, InTopic, Position
from segflow.state.memory import MemoryStore
from segflow.state.store import HOLE, Write
from segflow.state.topic_layout import Pair, StatePart, of_write
from segflow.streams.journal.replay import ReplayedCommit
from segflow.streams.state_topic.commit_state import state_of
from segflow.streams.state_topic.copier import Copier
from segflow.streams.state_topic.filling import Filling
from segflow.streams.state_topic.reader import StateTopicReader
from tests.support.golden_journal import GoldenJournal
from tests.support.trials import trials

SHARDS = 2  # of that journal
FRESH = InTopic(complete=True)

ids = st.text(min_size=1, max_size=5)
erasures = st.builds(
    Erasure, st.integers(-(2**40), 2**40), st.integers(-(2**40), 2**40), st.integers(0, 9), st.integers(0, 9)
)
parts = st.builds(
    StatePart,
    customers=st.dictionaries(ids, st.none() | st.binary(min_size=1)),
    places=st.dictionaries(st.integers(0, 2**40), st.just(HOLE) | ids),
    erased=st.dictionaries(st.binary(min_size=16, max_size=16), st.none() | erasures),
    merged_into=st.dictionaries(ids, st.none() | ids),
    head=st.none() | st.builds(Head, sequence=st.integers(0, 9), purchases=st.builds(Position, offset=st.integers(0))),
)


@given(part=parts)
@trials(100)
def test_what_is_written_is_read_again(part: StatePart) -> None:
    """Every kind of record, present and gone; a key is of one kind."""
    keys, values = topic_layout.encode(part)
    assert len(set(keys)) == len(keys)
    assert topic_layout.decode(zip(keys, values, strict=True)) == part


@dataclass(frozen=True)
class _Topic:
    """Stands in for StateTopicReader: records by offset."""

    records: Sequence[tuple[int, Pair]]
    slice_records: int
    where: str = "topic"

    async def parts(self, start: int, end: int) -> AsyncIterator[tuple[StatePart, int, int]]:
        wanted = [(offset, pair) for offset, pair in self.records if start <= offset < end]
        for first in range(0, len(wanted), self.slice_records):
            taken = wanted[first : first + self.slice_records]
            yield topic_layout.decode(pair for _, pair in taken), len(taken), taken[-1][0] + 1


def compacted(records: Sequence[tuple[int, Pair]], upto: int) -> list[tuple[int, Pair]]:
    """What compaction leaves: before the offset `upto`, of each key the last of all, and no tombstones."""
    last = {key: offset for offset, (key, _) in records}
    return [
        (offset, (key, value)) for offset, (key, value) in records if offset >= upto or (last[key] == offset and value)
    ]


@cache
def commits(shard: int) -> tuple[Any, tuple[ReplayedCommit, ...]]:
    """The golden journal's commits of a shard: erases, aliases, cuts and definitions among them."""
    golden = GoldenJournal.read(f"engine-{ENGINE}")
    replay = golden.replay_of(shard)

    async def run() -> list[ReplayedCommit]:
        return [each async for each in replay.run(None)]

    return replay.control.rule_versions, tuple(asyncio.run(run()))


@dataclass
class Told:
    """A store to which commits were written, and the topic they were written to."""

    store: MemoryStore
    records: list[tuple[int, Pair]]
    end: int = 0

    def commit(self, write: Write, plan: Any, filling: Filling | None = None) -> None:
        """One commit, as a worker does it."""
        held = self.store.head()
        in_topic = None if held is None else held.in_topic
        write = knowing(write, in_topic)
        filled = None if filling is None or held is None else filling.next_slice(held, self.store)
        write, messages = state_of(write, plan, filled, self.end)
        for each in messages:
            self.records.append((self.end, (each.key, each.value or None)))
            self.end += 1
        self.end += 1  # the transaction's marker
        self.store.commit(write)


def knowing(write: Write, in_topic: InTopic | None) -> Write:
    """The write, its head knowing of the topic what the head before it knew."""
    return replace(write, head=msgspec.structs.replace(write.head, in_topic=in_topic))


def copied(told: Told, into: MemoryStore, versions: Any, slice_records: int, upto: int) -> None:
    """Bring a store to the topic's end; `upto`: before this offset the topic was compacted."""
    last = told.store.head()
    assert last is not None
    topic = cast("StateTopicReader", _Topic(compacted(told.records, upto), slice_records))
    copier = Copier(topic=topic, last=last, end=told.end, store=into, versions=versions)
    stored = into.head()
    asyncio.run(copier.anew(None, 0) if stored is None else copier.beyond(stored))


def content(store: MemoryStore) -> dict[str, Any]:
    """All that a store holds, but what its head knows of owners and of the topic."""
    head = store.head()
    assert head is not None
    found = dict(vars(store))
    found["_head"] = msgspec.structs.replace(head, owner="", in_topic=None)
    found["_counts"] = store.counts()
    found["_merged_from"] = {name: others for name, others in store._merged_from.items() if others}
    return {name: value for name, value in found.items() if name not in ("_queue", "_places")}


@pytest.mark.parametrize("shard", range(SHARDS))
@given(seed=st.integers(0, 2**31))
@example(seed=466)  # from before the first commit
@trials(20)
def test_a_state_is_copied_from_any_commit_on(shard: int, seed: int) -> None:
    """From nothing and from a commit in between, in slices of any size, of a topic that was compacted or not."""
    random = Random(seed)
    versions, found = commits(shard)
    begun = random.randrange(len(found))
    told, behind = Told(MemoryStore(), []), MemoryStore()
    told.store.acquire(Head(rules=versions.first.version, in_topic=FRESH), None)
    behind_at = 0
    for number, each in enumerate(found):
        if number == begun:
            behind = MemoryStore()
            behind.acquire(Head(rules=versions.first.version, in_topic=FRESH), None)
            for earlier in found[:number]:
                behind.commit(knowing(earlier.result.write, FRESH))
            behind_at = told.end
            head = behind.head()
            assert head is not None
            behind.acquire(msgspec.structs.replace(head, in_topic=InTopic(complete=True, offset=behind_at)), head)
        told.commit(each.result.write, each.entry.plan)
    empty = MemoryStore()
    copied(told, empty, versions, random.randint(1, 60), random.randint(0, told.end))
    assert content(empty) == content(told.store)
    copied(told, behind, versions, random.randint(1, 60), random.randint(0, behind_at))
    assert content(behind) == content(told.store)


@pytest.mark.parametrize("shard", range(SHARDS))
@given(seed=st.integers(0, 2**31))
@trials(20)
def test_a_state_that_was_begun_without_the_topic_is_all_there_once_it_is_filled(shard: int, seed: int) -> None:
    """Filled in slices beside commits, from any commit on, with records of an earlier life of the topic before them."""
    random = Random(seed)
    versions, found = commits(shard)
    begun = random.randrange(len(found))
    told = Told(MemoryStore(), [])
    told.store.acquire(Head(rules=versions.first.version), None)
    for each in found[:begun]:
        told.store.commit(knowing(each.result.write, None))
    stale = StatePart(customers={"erased": b"\x02stale"}, places={0: "erased"}, merged_into={"erased": "other"})
    told.records += enumerate((key, value) for key, value in zip(*topic_layout.encode(stale), strict=True))
    told.end = len(told.records)
    head = told.store.head()
    assert head is not None
    in_topic = InTopic(since=told.end, offset=told.end, until=head.population)
    told.store.acquire(msgspec.structs.replace(head, in_topic=in_topic), head)
    filling = Filling()
    plan = found[-1].entry.plan
    for each in found[begun:]:
        if random.random() < 0.2:
            filling = Filling()  # another owner
        told.commit(each.result.write, plan, filling)
    while not (told.store.head() or Head()).in_topic.complete:  # type: ignore[union-attr]
        head = told.store.head()
        assert head is not None
        told.commit(Write(records=[], timers=[], born=[], head=head), plan, filling)
    empty = MemoryStore()
    copied(told, empty, versions, random.randint(1, 60), random.randint(0, told.end))
    assert content(empty) == content(told.store)


def test_a_write_is_told_as_it_is_stored() -> None:
    """Born, gone and holes by place; the last word of each key counts."""
    write = Write(
        records=[("b", b"2")], timers=[], born=["b"], gone=["a"], holes=[0], head=Head(population=2, sequence=3)
    )
    part = of_write(write, write.head)
    assert (part.customers, part.places) == ({"b": b"2", "a": None}, {0: HOLE, 1: "b"})
