"""Commits of several shards in one batch: each comes to what it comes to alone, and none can harm another."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.advance.erasures import start_labels
from segflow.engine.columns import events as columns
from segflow.engine.columns.events import PURCHASES
from segflow.engine.commit.execute import CommitResult, execute_batch, execute_single
from segflow.engine.commit.load import CommitInput, Loader
from segflow.engine.commit.plan import Plan, plan_for
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.decode.transfers import decoders
from segflow.engine.encode.change_json import Encoder
from segflow.schemas.settings import BUILT_IN, Settings
from segflow.schemas.settings_file import parse
from segflow.segments.cuts import Cuts
from segflow.segments.instant import LATEST_US, UNKNOWN, to_us
from segflow.segments.rules import from_settings
from segflow.state import record
from segflow.state.head import Head
from segflow.state.memory import MemoryStore
from segflow.state.store import RolledBackError, ShardLostError, Write
from segflow.streams.consume.shard_inputs import ShardInputs, decode_buffers
from segflow.streams.consume.transport import Batch
from segflow.streams.shard import commit_batcher
from segflow.streams.shard.commit_batcher import BatchReply, CommitBatcher, LoadedCommit
from tests.support.events import Log, event
from tests.support.histories import histories, merging_histories, moments
from tests.support.kafka_records import Record
from tests.support.trials import trials

ALL = parse(
    {"dimensions": list(BUILT_IN), "alerts": {"into": {"lifecycle": ["at_risk", "churned"]}, "value": []}},
    name="all",
)


@dataclass
class Standing:
    """One shard over the memory store."""

    settings: Settings
    rule_versions: RuleVersions
    partition: int
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.loader = Loader(self.settings, self.rule_versions, self.partition)
        self.encoder = Encoder(self.settings.currency)
        self.store.acquire(Head(rules=self.rule_versions.first.version), None)

    @property
    def head(self) -> Head:
        """What the store has."""
        head = self.store.head()
        assert head is not None
        return head

    def load(self, log: Log, until_us: int = UNKNOWN) -> CommitInput:
        """The commit of these events and of a slice of whoever is due."""
        chunk = Decoder(self.settings, None).decode([json.dumps(each).encode() for each in log], None, range(len(log)))
        head = self.head
        plan: Plan = plan_for(
            self.settings,
            head,
            purchases_to=head.purchases.offset + len(chunk),
            interactions_to=0,
            wall_us=1000 + self.partition,
            rules=self.rule_versions.next_version(head.rules),
        )
        plan = msgspec.structs.replace(plan, future_us=LATEST_US, sweep_us=until_us, sweep_limit=3)
        return self.loader.load(plan, chunk, columns.none(), head, self.store)

    def execute(self, log: Log, until_us: int = UNKNOWN) -> CommitResult:
        """The result of that commit, alone."""
        return execute_single(self.load(log, until_us), self.encoder)


def content(result: CommitResult) -> dict[str, Any]:
    """All there is in a result, as far as it can be compared."""
    found = {each.name: getattr(result, each.name) for each in fields(CommitResult)}
    del found["make_current"]
    for name in ("changes", "alerts"):
        found[name] = list(found[name])
    found["current"] = list(result.current)
    found["published"] = [
        (rules.version, [column.tolist() for table in (changes.steps, changes.moves) for column in table_of(table)])
        for rules, changes in result.published
    ]
    return found


def table_of(table: Any) -> list[Any]:
    """A table's columns."""
    return [getattr(table, each.name) for each in fields(table)]


def recut(version: int) -> Cuts:
    """Cuts that move customers."""
    return Cuts(
        version=version,
        recency_us=(1, 2, 3, 4),
        frequency=(1, 2, 3, version + 4),
        monetary_minor=(1, 2, 3, 4),
        value_minor=(0, 100),
    )


logs = st.lists(histories() | merging_histories(), min_size=2, max_size=4)
turns = st.lists(
    st.tuples(st.lists(st.integers(0, 9), min_size=4, max_size=4), st.none() | moments, st.integers(0, 9)),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@given(logs=logs, turns=turns, chosen=st.sampled_from((Settings(), ALL)))
@trials(150)
def test_a_commit_worked_with_others_comes_to_what_it_comes_to_alone(
    logs: list[Log], turns: list[tuple[list[int], datetime | None, int]], chosen: Settings
) -> None:
    """Every shard, every commit: the same bytes published and stored, whatever the others bring.

    Repeats, late events, erases, aliases, sweeps ahead of the clock, and new cuts that some shards adopt sooner.
    """
    rule_versions = RuleVersions(from_settings(chosen))
    alone, batched = ([Standing(chosen, rule_versions, each) for each in range(len(logs))] for _ in range(2))
    left = [list(log) for log in logs]
    encoder = Encoder(chosen.currency)
    for number, (counts, until, dice) in enumerate(turns):
        if dice == 0:
            rule_versions.add_cuts(recut(number + 1))
        until_us = UNKNOWN if until is None else to_us(until)
        taken = [log[:count] for log, count in zip(left, counts, strict=False)]
        left = [log[count:] for log, count in zip(left, counts, strict=False)]
        inputs = [each.load(batch, until_us) for each, batch in zip(batched, taken, strict=True)]
        results = execute_batch(inputs, encoder)
        for mine, its, batch, result in zip(alone, batched, taken, results, strict=True):
            expected = mine.execute(batch, until_us)
            assert isinstance(result, CommitResult)
            assert content(result) == content(expected)
            mine.store.commit(expected.write)
            its.store.commit(result.write)


def purchase_of(customer: str) -> bytes:
    """A purchase's record."""
    return json.dumps(event(1, 0, customer=customer)).encode()


def test_records_of_several_shards_are_decoded_at_once_and_each_keeps_its_own() -> None:
    """Unusable ones too; buffers with another decoder have theirs."""
    made = decoders(Settings())
    shards_inputs = [ShardInputs(*made), ShardInputs(*made), ShardInputs(*decoders(Settings()))]
    for number, inputs in enumerate(shards_inputs):
        inputs.buffers[PURCHASES].begin(10 * number)
        held = [Record(10 * number, b"c", purchase_of("c")), Record(10 * number + 1, b"c", b"no event")]
        inputs.offer(PURCHASES, Batch(held[: 2 - number % 2], 10 * number, 10 * number + 2))
    decode_buffers([buffer for inputs in shards_inputs for buffer in inputs.buffers])
    for number, inputs in enumerate(shards_inputs):
        chunk = inputs.buffers[PURCHASES].peek(10)
        assert not inputs.buffers[PURCHASES].raw
        assert chunk.offsets.tolist() == [10 * number, 10 * number + 1][: 2 - number % 2]
        assert list(chunk.unusable) == [1][: 1 - number % 2]


def fresh_inputs() -> ShardInputs:
    """Inputs that hold nothing."""
    return ShardInputs(*decoders(Settings()))


@dataclass(eq=False)
class Asking:
    """A member of the batcher: a shard with one commit after the other."""

    standing: Standing
    logs: list[Log]
    inputs: ShardInputs = field(default_factory=fresh_inputs)
    error: Exception | None = None
    asked: int = 0  # how often

    def next_commit(self) -> LoadedCommit | None:
        """The next one."""
        self.asked += 1
        self.inputs.arrived = False
        if self.error is not None:
            raise self.error
        if not self.logs:
            return None
        log = self.logs.pop(0)
        loaded = self.standing.load(log)
        return LoadedCommit(
            loaded=loaded, control=[], filled=None, records=len(log), started_s=0.0, loading_s=0.0, loaded_s=0.0
        )

    async def reply(self, batcher: CommitBatcher, *, idle: bool = False) -> BatchReply:
        """What its next commit comes to."""
        return await batcher.next_reply(self, self.inputs, idle=idle)

    async def is_asked(self, times: int) -> None:
        """Wait until it was asked so often."""
        async with asyncio.timeout(30):
            while self.asked < times:  # noqa: ASYNC110 - polled, with a bound
                await asyncio.sleep(0)

    def arrives(self, *logs: Log) -> None:
        """These are to be worked now."""
        self.logs += logs
        self.inputs.offer(PURCHASES, Batch([], 0, 0))


def fill(inputs: ShardInputs) -> None:
    """More than a small commit takes."""
    count = commit_batcher.SMALL_SIZE + 1
    inputs.offer(PURCHASES, Batch([Record(offset=each) for each in range(count)], 0, count))


def batcher_of(linger_s: float = 0.0, look_every_s: float = 3600.0) -> CommitBatcher:
    """One whose quiet members are not asked again by themselves."""
    return CommitBatcher(encoder=Encoder("EUR"), linger_s=linger_s, look_every_s=look_every_s)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many commits each batch had."""
    sizes: list[int] = []

    def noted(inputs: list[CommitInput], encoder: Encoder) -> list[CommitResult | Exception]:
        sizes.append(len(inputs))
        return execute_batch(inputs, encoder)

    with monkeypatch.context() as patch:
        patch.setattr(commit_batcher, "execute_batch", noted)
        yield sizes


def members(count: int, *logs: Log) -> list[Asking]:
    """Shards that all have these commits to do."""
    rule_versions = RuleVersions(from_settings(Settings()))
    return [Asking(Standing(Settings(), rule_versions, each), list(logs)) for each in range(count)]


async def commits(batcher: CommitBatcher, member: Asking) -> int:
    """Work until there is nothing to do; how many commits there were."""
    count = 0
    while member.logs:
        result = (await member.reply(batcher)).result
        assert result is not None
        await asyncio.sleep(0)  # publishing
        member.standing.store.commit(result.write)
        count += 1
    return count


def test_shards_that_ask_while_a_batch_is_away_are_the_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight shards with three commits each: three batches of eight."""

    async def everybody() -> list[int]:
        batcher = batcher_of()
        logs = [[event(number, number)] for number in range(3)]
        return await asyncio.gather(*(commits(batcher, each) for each in members(8, *logs)))

    with counted(monkeypatch) as sizes:
        assert asyncio.run(everybody()) == [3] * 8
    assert [size for size in sizes if size] == [8, 8, 8]


def test_a_shard_that_does_not_come_back_holds_nobody_up_for_longer_than_a_moment() -> None:
    """Its server hangs: the others go on without it."""

    async def without_one() -> list[int]:
        batcher = batcher_of()
        hanging, *others = members(3, *([event(number, number)] for number in range(3)))
        first = hanging.reply(batcher)
        counts = asyncio.gather(*(commits(batcher, each) for each in others))
        assert (await first).result is not None
        return await asyncio.wait_for(counts, 30)

    assert asyncio.run(without_one()) == [3, 3]


def rich(standing: Standing) -> Standing:
    """A shard whose customer has nearly all the money there is: one more purchase is too much."""
    first = standing.execute([event(0, 0)])
    rules = standing.rule_versions.first
    customers = record.decode(["c1"], [first.write.records[0][1]], start_labels(rules), 0)
    customers.fixed["net_minor"] = 2**63 - 2
    standing.store.commit(
        Write(records=[("c1", record.encode(customers)[0])], timers=[], born=["c1"], head=first.write.head)
    )
    return standing


def test_what_hinders_one_shard_in_working_is_told_to_that_shard_alone() -> None:
    """Its money no longer fits: the others are worked, each event once, aliases too."""

    async def together_with_one_that_fails() -> list[Any]:
        batcher = batcher_of()
        failing, aliasing, *others = members(4, [event(1, 0)])
        rich(failing.standing)
        aliasing.logs = [[event(0, 0, customer="c2"), event(1, 1, "alias", "c1", previous_id="c2")]]
        everybody = (each.reply(batcher) for each in (failing, aliasing, *others))
        return await asyncio.gather(*everybody, return_exceptions=True)

    failed, aliased, *others = asyncio.run(together_with_one_that_fails())
    assert isinstance(failed, OverflowError)
    (alone,) = members(1)
    expected = alone.standing.execute([event(0, 0, customer="c2"), event(1, 1, "alias", "c1", previous_id="c2")])
    assert (aliased.result.digest, aliased.result.merged) == (expected.digest, 1)
    assert [len(each.result.changes) for each in others] == [2, 2]


class Broken(MemoryStore):
    """Its connection breaks at the first look into the directory, and is there again at the next."""

    asked = 0

    def places(self, ids: Sequence[str], head: Head) -> dict[str, int]:
        """See Store."""
        self.asked += 1
        if self.asked == 1:
            raise redis.ConnectionError("closed by the server")
        return super().places(ids, head)


def test_a_store_that_failed_is_not_asked_again() -> None:
    """A new connection does not watch the head, so a commit that went on would not see that it is another's."""
    rule_versions = RuleVersions(from_settings(Settings()))
    broken = Standing(Settings(), rule_versions, 0, Broken())
    fine = Standing(Settings(), rule_versions, 1)
    broken.store.commit(broken.execute([event(0, 0)]).write)
    inputs = [broken.load([event(1, 1, "erase"), event(2, 2)]), fine.load([event(0, 0)])]
    failed, result = execute_batch(inputs, Encoder("EUR"))
    assert isinstance(failed, redis.ConnectionError)
    assert isinstance(result, CommitResult)
    assert isinstance(broken.store, Broken)
    assert broken.store.asked == 1


def test_where_one_shard_cannot_load_the_others_look_for_themselves() -> None:
    """Their server may be gone, too: nobody waits for one timeout after the other, and nothing is taken from them."""

    async def three() -> list[Any]:
        batcher = batcher_of()
        unready, lost, last = members(3, [event(1, 0)])
        fill(unready.inputs)
        lost.error = ShardLostError("another has it")
        everybody = (each.reply(batcher) for each in (unready, lost, last))
        return [*await asyncio.gather(*everybody, return_exceptions=True), *unready.logs, *last.logs]

    unready, lost, last, *left = asyncio.run(three())
    assert unready.single
    assert isinstance(lost, ShardLostError)
    assert last.single
    assert left == [[event(1, 0)]] * 2


def test_what_a_look_from_outside_saw_is_told_to_a_shard_that_waits() -> None:
    """It waits for events that may never come; another shard goes on waiting."""

    async def lost() -> tuple[Any, bool]:
        batcher = batcher_of()
        gone, fine = members(2)
        waiting = [asyncio.create_task(each.reply(batcher, idle=True)) for each in (gone, fine)]
        await asyncio.sleep(0)  # they ask
        batcher.fail(gone, RolledBackError("emptied"))
        found = await asyncio.gather(waiting[0], return_exceptions=True)
        still = not waiting[1].done()
        waiting[1].cancel()
        return found[0], still

    error, still = asyncio.run(lost())
    assert isinstance(error, RolledBackError)
    assert still


def test_a_shard_that_is_to_stop_does_not_wait_for_the_pause() -> None:
    """The pause after a batch may be long; whoever stops is let go at once."""

    async def hurried() -> Any:
        batcher = batcher_of(linger_s=3600.0)
        (member,) = members(1, [event(1, 0)])
        await member.reply(batcher)
        last = asyncio.create_task(member.reply(batcher))
        await asyncio.sleep(0)  # it asks
        batcher.dismiss(member)
        return await asyncio.wait_for(last, 30)

    assert asyncio.run(hurried()).commit is None


def test_a_batch_of_many_customers_leaves_the_other_shards_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five slices of a wave are worked two at a time, so that the event loop is free in between."""

    async def everybody() -> list[int]:
        batcher = batcher_of()
        wave = [event(n, 0, customer=f"c{n}") for n in range(commit_batcher.BATCH_SIZE * 3 // 5)]
        return await asyncio.gather(*(commits(batcher, each) for each in members(5, wave)))

    with counted(monkeypatch) as sizes:
        assert asyncio.run(everybody()) == [1] * 5
    assert [size for size in sizes if size] == [2, 2, 1]


def test_a_large_commit_is_left_to_its_shard() -> None:
    """A wave of one shard is not worked on the event loop, where all would wait for it."""

    async def one() -> Any:
        batcher = batcher_of()
        (large,) = members(1, [event(n, 0, customer=f"c{n}") for n in range(commit_batcher.BATCH_SIZE + 1)])
        return await large.reply(batcher)

    reply = asyncio.run(one())
    assert reply.result is None
    assert len(reply.commit.loaded.ids) == commit_batcher.BATCH_SIZE + 1


def test_a_quiet_shard_is_asked_again_when_something_arrives() -> None:
    """Until then it waits, and so it does again."""

    async def quiet() -> list[int]:
        batcher = batcher_of()
        (member,) = members(1)
        found = []
        for number in range(2):
            replying = asyncio.create_task(member.reply(batcher))
            await member.is_asked(2 * number + 1)  # and has nothing
            assert not replying.done()
            member.arrives([event(number, number)])
            result = (await asyncio.wait_for(replying, 30)).result
            assert result is not None
            member.standing.store.commit(result.write)
            found.append(result.events)
        return found

    assert asyncio.run(quiet()) == [1, 1]


def test_what_arrived_while_a_shard_looked_for_itself_is_not_left_lying() -> None:
    """It has just found nothing, in a thread; but something came meanwhile."""

    async def looked() -> BatchReply:
        batcher = batcher_of()
        (member,) = members(1)
        member.arrives([event(0, 0)])
        return await asyncio.wait_for(member.reply(batcher, idle=True), 30)

    assert asyncio.run(looked()).result is not None


def test_a_quiet_shard_is_asked_now_and_then() -> None:
    """Nothing arrives, but its timers may be due."""

    async def silent() -> BatchReply:
        batcher = batcher_of(look_every_s=0.01)
        (member,) = members(1)
        replying = asyncio.create_task(member.reply(batcher))
        await member.is_asked(3)
        member.logs.append([event(0, 0)])
        return await asyncio.wait_for(replying, 30)

    assert asyncio.run(silent()).result is not None


def test_a_shard_that_waits_and_gets_much_is_to_look_for_itself_at_once() -> None:
    """Also within the pause after a batch: that is for small commits."""

    async def much() -> BatchReply:
        batcher = batcher_of(linger_s=3600.0)
        first, second = members(2, [event(0, 0)])
        await first.reply(batcher)
        replying = asyncio.create_task(second.reply(batcher))
        await asyncio.sleep(0)  # it asks
        fill(second.inputs)
        return await asyncio.wait_for(replying, 30)

    assert asyncio.run(much()).single
