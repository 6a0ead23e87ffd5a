"""The commits of one shard, one after the other: plan and load, execute, publish, store."""

import asyncio
import logging
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Final

import msgspec

from segflow.engine.columns.events import HANDOVER, INTERACTIONS, PURCHASES, Chunk
from segflow.engine.columns.messages import Message, Messages
from segflow.engine.commit.execute import CommitResult, execute_single
from segflow.engine.commit.load import Loader
from segflow.engine.commit.plan import Plan, plan_for
from segflow.engine.decode.merge_inputs import MISPLACED
from segflow.segments.instant import UNKNOWN
from segflow.state.store import Write
from segflow.streams.health.telemetry import Traced
from segflow.streams.journal import journal
from segflow.streams.journal.entry import Entry
from segflow.streams.publish.publisher import PUBLISH_S
from segflow.streams.runtime.failpoints import failpoint
from segflow.streams.runtime.wall_clock import now_us
from segflow.streams.shard.commit_batcher import SMALL_SIZE, BatchReply, CommitBatcher, LoadedCommit
from segflow.streams.shard.shard_state import ShardState
from segflow.streams.state_topic.commit_state import state_of
from segflow.streams.state_topic.filling import Filling

log = logging.getLogger(__name__)

STANDS_S: Final = 5.0
"""A commit that is not done by then stands: the worker is not ready. The largest take a second on a slow machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingCommit:
    """A commit that has been executed and not been published yet."""

    entry: Entry
    traced: Traced
    write: Write  # what it writes to the store; its head says what the state topic has, too
    state: Messages  # the same for the state topic
    control: list[Message]  # for the control topic
    records: int
    started_s: float  # when the commit began, of perf_counter

    @property
    def result(self) -> CommitResult:
        """Its writes and publications."""
        return self.traced.result

    @property
    def written(self) -> int:
        """Customers whose records it writes: those of its events, and those whom silence or an adoption concerned."""
        return len(self.write.records)


class CommitLoop:
    """The commits of one shard, while it is acquired. A member of its worker's batcher.

    A commit is one numbered protocol:

    1. Watch the head: it must be what this worker last wrote. Read the records (`next_commit`), advance them in memory.
       For a small commit the batcher does both, on the event loop, together with other shards' commits. A large one is
       executed in a thread. So is every commit while the store does not answer; these are loaded there, too.
    2. In one Kafka transaction: the changes, current segments, dead letters, control records, what 3 writes
       (`segments.state`), and the journal's record of this commit. It is the commit: from here on the changes are
       published.
    3. In one Redis transaction that fails if the head was touched since 1: records, timers, directory, head.

    A crash before 2 leaves nothing. After a crash between 2 and 3 the topics have a commit that the store lacks: it is
    copied when the shard is acquired.
    """

    def __init__(self, state: ShardState, batcher: CommitBatcher) -> None:
        self._state = state
        self._batcher = batcher
        self._loader = Loader(state.settings, state.control.rule_versions, state.partition)
        self._more_due = False  # the latest sweep took as many customers as it may
        self._filling = Filling()

    async def run(self) -> None:
        """Commit whatever there is to do, until the shard is stopped or every shard is to be parked.

        Raises:
            Exception: whatever hinders a commit; whether it was published is then unknown.
        """
        state, worker = self._state, self._state.settings.worker
        self._filling = Filling()
        idle = False
        while not state.halted:
            pending = await self._execute(await self._batcher.next_reply(self, state.inputs, idle=idle))
            idle = pending is None
            if pending is None:
                if not state.halted and state.gate.caught_up():
                    await state.goes_on()
                continue
            if MISPLACED in pending.result.dead_kinds and not await state.look_at_topics():
                return  # they are where they belong by now, and wait there
            state.uncommitted_since_s = state.uncommitted_since_s or monotonic()
            standing = asyncio.get_running_loop().call_later(STANDS_S, self._stands)
            try:
                async with asyncio.timeout(PUBLISH_S):
                    await self._commit(pending)
            finally:
                standing.cancel()
            await state.goes_on()
            fullest = max(buffer.waiting for buffer in state.inputs.buffers)
            if pending.written > SMALL_SIZE and fullest < worker.batch_max_records:
                await asyncio.sleep(worker.linger.total_seconds())  # the next one costs hardly more for having more

    def _stands(self) -> None:
        """The commit under way takes too long: say so, once each time it is tried."""
        state = self._state
        log.warning(
            "shard %d has something to commit, and nothing was for %.0f s: %s",
            state.partition,
            state.uncommitted_s,
            state.obstacle or "a server has not answered yet",
        )

    def stop(self) -> None:
        """End `run` after the commit under way; the state is `halted`."""
        self._batcher.dismiss(self)

    def fail(self, error: Exception) -> None:
        """End `run` with the error, unless a commit is under way: what is wrong shows in that."""
        self._batcher.fail(self, error)

    def next_commit(self) -> LoadedCommit | None:
        """See segflow.streams.shard.commit_batcher.Member."""
        state = self._state
        state.inputs.arrived = False
        if state.halted:
            return None
        started_s, wall_us = perf_counter(), now_us()
        rules = state.control.rule_versions.next_version(state.head.rules)
        state.inputs.use(state.control.decoders)  # after the version was looked up: they know what it keeps
        chunks = state.gate.chunks(wall_us, state.head.clock_us)
        decoded_s = perf_counter()
        horizon_us = state.gate.horizon_us(wall_us)
        control = state.recut_coordinator.work(state.head, state.store, state.gate.caught_up, horizon_us)
        due = None
        if not (any(map(len, chunks)) or control or self._has_other_work()):
            due = self._due(horizon_us)
            if not due:
                state.uncommitted_since_s = None
                if (state.parked is not None or state.note_stands) and state.gate.caught_up():
                    self._batcher.dismiss(self)  # `run` is to see that there is nothing to do: the shard works again
                return None
        state.metrics.steps.labels("decode").observe(decoded_s - started_s)
        for buffer, chunk in zip(state.inputs.buffers, chunks, strict=True):
            buffer.consume(len(chunk))
        plan = self._plan(chunks, rules, wall_us, horizon_us)
        purchases, interactions, handed = chunks
        planned_s = perf_counter()
        loaded = self._loader.load(plan, purchases, interactions, state.head, state.store, handed=handed, due=due)
        filled = self._filling.next_slice(state.head, state.store)
        loaded_s = perf_counter()
        return LoadedCommit(
            loaded=loaded,
            filled=filled,
            control=control,
            records=sum(map(len, chunks)),
            started_s=started_s,
            loading_s=loaded_s - planned_s,
            loaded_s=loaded_s,
            contexts=state.inputs.take_contexts() if state.telemetry is not None else {},
        )

    def _has_other_work(self) -> bool:
        """Whether new rules are to be brought to customers, more timers are known to be due, or the topic is filled."""
        head = self._state.head
        newest = self._state.control.rule_versions.latest.version
        unfilled = head.in_topic is not None and not head.is_in_topic
        return self._more_due or head.adopting is not None or newest != head.rules or unfilled

    def _due(self, horizon_us: int) -> list[str]:
        """Customers whose timers are due, of a shard that has nothing else to do: as many as one commit takes."""
        state = self._state
        until_us = max(state.head.clock_us, horizon_us)
        limit = slice_of(state.settings.worker.sweep_max_customers, 0)
        due = [] if until_us == UNKNOWN else state.store.due(until_us, limit)
        if not due:
            state.concluded_us = max(state.concluded_us, until_us)
        return due

    def _plan(self, chunks: tuple[Chunk, ...], rules: int, wall_us: int, horizon_us: int) -> Plan:
        state = self._state
        buffers = state.inputs.buffers
        plan = plan_for(
            state.settings,
            state.head,
            purchases_to=buffers[PURCHASES].offset,
            interactions_to=buffers[INTERACTIONS].offset,
            handover_to=buffers[HANDOVER].offset,
            shards=state.partitions,
            leader_epochs=tuple(buffer.leader_epoch for buffer in buffers),
            wall_us=wall_us,
            rules=rules,
        )
        sweep_limit = slice_of(state.settings.worker.sweep_max_customers, sum(map(len, chunks)))
        return msgspec.structs.replace(
            plan, sweep_us=horizon_us, sweep_limit=sweep_limit, partitioner=state.settings.kafka.partitioner
        )

    async def _execute(self, reply: BatchReply) -> PendingCommit | None:
        """The commit of a batch's reply, executed where it is not yet; None where there is nothing to do."""
        commit = reply.commit
        if commit is not None and reply.result is not None:
            return self._pending(commit, reply.result, perf_counter() - commit.loaded_s)
        if commit is None and not reply.single:
            return None
        async with self._batcher.turn:
            return await asyncio.to_thread(self._execute_single, commit)

    def _execute_single(self, commit: LoadedCommit | None) -> PendingCommit | None:
        commit = commit or self.next_commit()
        if commit is None:
            return None
        started_s = perf_counter()
        result = execute_single(commit.loaded, self._batcher.encoder)
        return self._pending(commit, result, perf_counter() - started_s)

    def _pending(self, commit: LoadedCommit, result: CommitResult, took_s: float) -> PendingCommit:
        """`took_s`: executing it, loading not included."""
        self._state.metrics.steps.labels("execute").observe(commit.loading_s + took_s)
        traced = Traced(result)
        if commit.contexts and self._state.telemetry is not None:
            traced = self._state.telemetry.traced(commit.loaded, result, commit.contexts)
        write, messages = state_of(result.write, commit.loaded.plan, commit.filled, self._written_to)
        return PendingCommit(
            write=write,
            state=messages,
            entry=journal.entry(commit.loaded.plan, self._state.head, result, short=self._state.short_entries),
            traced=traced,
            control=commit.control,
            records=commit.records,
            started_s=commit.started_s,
        )

    @property
    def _written_to(self) -> int | None:
        publisher = self._state.publisher
        return None if publisher is None else publisher.state_end

    async def _commit(self, pending: PendingCommit) -> None:
        """Steps 2 and 3."""
        state, result, names = self._state, pending.result, self._state.settings.kafka.topics
        assert state.publisher is not None
        failpoint("commit:prepared")
        with state.metrics.step("publish"):
            await state.publisher.publish(  # 2
                {
                    names.changes: result.changes,
                    names.alerts: result.alerts,
                    names.current: result.current,
                    names.dead_letters: Messages.of(result.dead),
                    names.control: Messages.of(pending.control),
                    names.state: pending.state,
                    names.journal: Messages.of([journal.message(pending.entry)]),
                },
                frozenset({names.control}),
                result.handover,
            )
        failpoint("commit:published")
        with state.metrics.step("store"):
            await self._store(pending)  # 3
        failpoint("commit:stored")
        state.head, state.uncommitted_since_s = pending.write.head, None
        pending.traced.end()
        state.note_labels(result.write.counts)
        self._more_due = result.swept >= pending.entry.plan.sweep_limit
        if not self._more_due:
            state.concluded_us = max(state.concluded_us, state.head.clock_us, pending.entry.plan.sweep_us)
        state.metrics.committed(result, pending.records, perf_counter() - pending.started_s)

    async def _store(self, pending: PendingCommit) -> None:
        """A small write goes on the event loop, which goes on while Redis works on it; a large one in a thread."""
        store, write = self._state.store, pending.write
        if pending.written > SMALL_SIZE or not self._batcher.store_answers():
            await asyncio.to_thread(store.commit, write)
            return
        store.send(write)
        await store.answered(self._state.settings.redis.timeout.total_seconds())
        store.settle()


def slice_of(least: int, records: int) -> int:
    """Due customers of a commit of so many records: no more than take as long as the records do, but `least`."""
    return max(least, records)
