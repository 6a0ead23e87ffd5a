"""One shard's life: acquire it, work it batch by batch, release it.

The commit is one numbered protocol, in `_commit`; acquiring a shard, in `_acquire`, is its other half.
"""

import asyncio
import gc
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic, perf_counter
from typing import Final

import msgspec
import redis
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from segflow.engine.columns.events import HANDOVER, INTERACTIONS, PURCHASES, Chunk
from segflow.engine.columns.messages import Message, Messages
from segflow.engine.commit.execute import CommitResult, execute_single
from segflow.engine.commit.load import Loader
from segflow.engine.commit.plan import Plan, plan_for
from segflow.schemas.settings import Settings
from segflow.segments.instant import UNKNOWN
from segflow.state.head import Head
from segflow.state.store import RolledBackError, ShardLostError, Store, TornStateError, Write
from segflow.streams.consume.feed import Feed
from segflow.streams.consume.input_gate import InputGate, OutOfRangeError
from segflow.streams.consume.shard_inputs import InputBuffer, ShardInputs
from segflow.streams.consume.transport import HEARTBEAT_SHARE, now_us
from segflow.streams.control.recut import RecutCoordinator
from segflow.streams.control.topic import Control
from segflow.streams.health.metrics import Metrics
from segflow.streams.journal import journal
from segflow.streams.journal.input_reader import InputReader
from segflow.streams.journal.journal import Entry, JournalError, JournalReader
from segflow.streams.journal.replay import JournalReplay
from segflow.streams.publish.packing import Packing
from segflow.streams.publish.publisher import Publisher
from segflow.streams.runtime.backoff import Backoff
from segflow.streams.runtime.failpoints import failpoint
from segflow.streams.shard.commit_batcher import SMALL_SIZE, CommitBatcher, LoadedCommit
from segflow.streams.shard.input_positions import InputLostError, starting_head

log = logging.getLogger(__name__)

RETRY_S: Final = (0.1, 5.0)
"""First and longest pause before a shard is acquired anew after an error."""
HEARTBEATS: Final = 2
"""Heartbeats that a fenced worker waits before it acquires the shard again: in one of them its group says whether the
shard is still its own. Acquiring it at once would fence the heir, who would fence this worker in return."""
STEADY_S: Final = 10.0
"""A shard that was held so long met a new error: the pauses begin with the first again."""
COMMIT_S: Final = 60.0
"""Bounds a producer that hangs; longer than the 40 s after which aiokafka itself gives a batch up."""
CLOSE_S: Final = 1.0
"""For closing a producer before the shard goes on without it: one without a broker takes up to 40 s, in the back."""


class ShardStoppedError(Exception):
    """The shard cannot go on without a person; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingCommit:
    """A commit that has been executed and not been published yet."""

    entry: Entry
    result: CommitResult
    control: list[Message]  # for the control topic
    records: int
    started_s: float  # when the commit began, of perf_counter

    @property
    def written(self) -> int:
        """Customers whose records it writes: those of its events, and those whom silence or an adoption concerned."""
        return len(self.result.write.records)


@dataclass(kw_only=True)
class Shard:
    """Partition p of the inputs, worked by this process."""

    settings: Settings
    partition: int
    partitions: int  # of each input
    topic_ids: tuple[str, ...]  # of purchases, interactions and what is handed over
    control: Control
    store: Store
    feed: Feed
    metrics: Metrics
    turn: asyncio.Lock  # of the worker: one large batch at a time, as threads would only fight for the interpreter lock
    batcher: CommitBatcher  # of the worker: small commits of its shards together
    packing: Packing  # of the worker
    store_answers: Callable[[], bool] = lambda: True  # as last seen from outside
    inputs: ShardInputs = field(init=False)
    head: Head = field(init=False)
    acquired: bool = False  # by this worker: its inputs are open
    trouble: str = ""  # the error it was last released for; empty once it is acquired again
    concluded_us: int = UNKNOWN  # everything up to here was worked, silence too, as far as this worker knows
    _publisher: Publisher | None = None
    _closing: set[asyncio.Task[None]] = field(default_factory=set)  # earlier publishers on their way out
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _more_due: bool = False
    _loader: Loader = field(init=False)
    _recut_coordinator: RecutCoordinator = field(init=False)
    _gate: InputGate = field(init=False)

    def __post_init__(self) -> None:
        self._loader = Loader(self.settings, self.control.rule_versions, self.partition)
        self._fresh_inputs()

    def stop(self) -> None:
        """Finish the commit under way, then release the shard."""
        self._stopping.set()
        self.inputs.arrived.set()
        self.batcher.flush()

    async def run(self) -> None:
        """Acquire the shard and work it until it is stopped.

        An error of Kafka or Redis leaves unknown what was committed: everything is dropped and the shard acquired anew.

        Raises:
            ShardStoppedError: it cannot go on without a person.
        """
        backoff = Backoff(*RETRY_S, steady_s=STEADY_S)
        while not self._stopping.is_set():
            started_s = monotonic()
            least_s = 0.0
            try:
                await self._acquire()
                await self._work()
            except TornStateError as error:
                raise ShardStoppedError(
                    f"{error}. To make the state again, stop the workers and type "
                    f"`segflow rebuild --shard {self.partition}`"
                ) from error
            except InputLostError as error:
                raise ShardStoppedError(str(error)) from error
            except (JournalError, msgspec.MsgspecError) as error:
                raise ShardStoppedError(f"shard {self.partition}: {error}") from error
            except (KafkaError, redis.RedisError, ShardLostError, OutOfRangeError, OSError) as error:
                self._failed(error)
                least_s = self._heartbeats_s if _is_fenced(error) else 0.0
            finally:
                self.acquired = False
                await self._release()
            pause_s = backoff.next_s(after_s=monotonic() - started_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), max(least_s, pause_s))

    @property
    def _heartbeats_s(self) -> float:
        return HEARTBEATS * HEARTBEAT_SHARE * self.settings.worker.session_timeout.total_seconds()

    def _failed(self, error: Exception) -> None:
        log.warning("shard %d: %s: %s; taking it anew", self.partition, type(error).__name__, error)
        self.trouble = f"{type(error).__name__}: {error}"
        self.metrics.reacquisitions.inc()
        if isinstance(error, ShardLostError):
            self.metrics.fenced.labels("redis").inc()
        elif isinstance(error, ProducerFenced | InvalidProducerEpoch):
            self.metrics.fenced.labels("kafka").inc()

    def _fresh_inputs(self) -> None:
        self.inputs = ShardInputs(*self.control.decoders)
        self._gate = InputGate(settings=self.settings, partition=self.partition, feed=self.feed, inputs=self.inputs)
        self._recut_coordinator = RecutCoordinator(self.partition, self.partitions, self.control)

    async def _acquire(self) -> None:
        """Acquire the shard.

        1. InitTransactions: an earlier owner's open transaction is ended, and it can commit no more.
        2. Read the stored head.
        3. Read the journal beyond it: commits that were published but did not reach the store.
        4. Replay them from the input, unpublished, checking that they give what they gave.
        5. Write the head with an own token, if it is still the one that was read: from here on, whoever held the
           shard before fails at its next commit.
        6. Open the inputs where the state stands.
        """
        self._fresh_inputs()
        self._publisher = Publisher(self.settings, self.partition, self.packing)
        await asyncio.wait_for(self._publisher.start(), COMMIT_S)  # 1
        failpoint("acquire:fenced")
        stored = await asyncio.to_thread(self.store.head)  # 2
        failpoint("acquire:head-read")
        async with (
            JournalReader(self.settings, self.partition) as entries,
            InputReader(self.settings, self.partition) as inputs,
        ):
            await self.control.reaches(await inputs.control_end())  # an earlier owner may have adopted what is newest
            stored = await self._replay(stored, entries, inputs)  # 3, 4
            failpoint("acquire:replayed")
            head = stored or Head(rules=self.control.rule_versions.first.version)
            head = await starting_head(self.settings, self.partition, head, self.topic_ids, *await inputs.bounds())
        self.head = msgspec.structs.replace(head, owner=secrets.token_hex(8))
        await asyncio.to_thread(self.store.acquire, self.head, stored)  # 5
        failpoint("acquire:owned")
        offsets = tuple(position.offset for position in self.head.positions)
        for buffer, offset in zip(self.inputs.buffers, offsets, strict=True):
            buffer.begin(offset)
        await self.feed.open(self.partition, offsets, self.inputs)  # 6
        failpoint("acquire:opened")
        self.metrics.acquisitions.inc()
        if self.trouble:
            log.warning("shard %d is taken again", self.partition)
        self.acquired, self.trouble, self.concluded_us = True, "", UNKNOWN
        log.info("took shard %d at commit %d", self.partition, self.head.sequence)

    async def _replay(self, stored: Head | None, entries: JournalReader, inputs: InputReader) -> Head | None:
        """Replay the journal's commits beyond the stored head into the store; the head stored then."""
        replay = JournalReplay(
            settings=self.settings,
            partition=self.partition,
            topic_ids=self.topic_ids,
            control=self.control,
            inputs=inputs,
            journal=entries,
            store=self.store,
        )
        count = 0
        async for _ in replay.run(stored):
            self.metrics.replayed.inc()
            failpoint("acquire:one-replayed")
            count += 1
        if count:
            log.info("shard %d: %d commits of the journal executed again", self.partition, count)
        return replay.head

    async def _work(self) -> None:
        """Commit whatever there is to do; wait where there is nothing."""
        sweep_every_s = self.settings.worker.sweep_every.total_seconds()
        linger_s = self.settings.worker.linger.total_seconds()
        most = self.settings.worker.batch_max_records
        while not self._stopping.is_set():
            self.inputs.arrived.clear()
            pending = await self._prepare()
            if pending is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.inputs.arrived.wait(), timeout=sweep_every_s)
                continue
            async with asyncio.timeout(COMMIT_S):
                await self._commit(pending)
            if pending.written > SMALL_SIZE and max(buffer.waiting for buffer in self.inputs.buffers) < most:
                await asyncio.sleep(linger_s)  # the next one costs hardly more for having more

    async def _prepare(self) -> PendingCommit | None:
        """Step 1 of a commit; None where there is nothing to do.

        A small one is worked on the event loop, together with other shards'. A large one goes to a thread; so do all
        while the store does not answer, one after the other.
        """
        if self.ready():
            reply = await self.batcher.work(self)
            if reply.commit is not None and reply.result is not None:
                return self._pending(reply.commit, reply.result, perf_counter() - reply.commit.loaded_s)
            if reply.commit is not None:
                async with self.turn:
                    return await asyncio.to_thread(self._execute, reply.commit)
            if not reply.single:
                return None
        async with self.turn:
            return await asyncio.to_thread(self._prepare_single)

    def _prepare_single(self) -> PendingCommit | None:
        commit = self.next_commit()
        return None if commit is None else self._execute(commit)

    def _execute(self, commit: LoadedCommit) -> PendingCommit:
        started_s = perf_counter()
        result = execute_single(commit.loaded, self.batcher.encoder)
        return self._pending(commit, result, perf_counter() - started_s)

    def _pending(self, commit: LoadedCommit, result: CommitResult, took_s: float) -> PendingCommit:
        """`took_s`: working it, loading not included."""
        self.metrics.steps.labels("execute").observe(commit.loading_s + took_s)
        return PendingCommit(
            entry=journal.entry(commit.loaded.plan, self.head, result),
            result=result,
            control=commit.control,
            records=commit.records,
            started_s=commit.started_s,
        )

    def _has_other_work(self) -> bool:
        """Whether new rules are to be brought to customers, or more timers are known to be due."""
        newest = self.control.rule_versions.latest.version
        return self._more_due or self.head.adopting is not None or newest != self.head.rules

    def _due(self, horizon_us: int) -> list[str]:
        """Customers whose timers are due, of a shard that has nothing else to do: as many as one commit takes."""
        until_us = max(self.head.clock_us, horizon_us)
        limit = slice_of(self.settings.worker.sweep_max_customers, 0)
        due = [] if until_us == UNKNOWN else self.store.due(until_us, limit)
        if not due:
            self.concluded_us = max(self.concluded_us, until_us)
        return due

    def _plan(self, chunks: tuple[Chunk, ...], wall_us: int, horizon_us: int) -> Plan:
        buffers = self.inputs.buffers
        plan = plan_for(
            self.settings,
            self.head,
            purchases_to=buffers[PURCHASES].offset,
            interactions_to=buffers[INTERACTIONS].offset,
            handover_to=buffers[HANDOVER].offset,
            shards=self.partitions,
            wall_us=wall_us,
            rules=self.control.rule_versions.next_version(self.head.rules),
        )
        sweep_limit = slice_of(self.settings.worker.sweep_max_customers, sum(map(len, chunks)))
        return msgspec.structs.replace(plan, sweep_us=horizon_us, sweep_limit=sweep_limit)

    async def _commit(self, pending: PendingCommit) -> None:
        """One commit.

        1. Watch the head: it must be what this worker last wrote. Read the records (`next_commit`), advance them in
           memory (`_prepare`).
        2. In one Kafka transaction: the changes, current segments, dead letters, control records, and the journal's
           record of this commit. It is the commit: from here on the changes are published.
        3. In one Redis transaction that fails if the head was touched since 1: records, timers, directory, head.

        A crash before 2 leaves nothing; between 2 and 3, the journal has a commit that the store lacks, which a
        replay makes good when the shard is acquired.
        """
        result, names = pending.result, self.settings.kafka.topics
        assert self._publisher is not None
        failpoint("commit:prepared")
        with self.metrics.step("publish"):
            await self._publisher.publish(  # 2
                {
                    names.changes: result.changes,
                    names.alerts: result.alerts,
                    names.current: result.current,
                    names.dead_letters: Messages.of(result.dead),
                    names.control: Messages.of(pending.control),
                    names.journal: Messages.of([journal.message(pending.entry)]),
                },
                frozenset({names.control}),
                result.handover,
            )
        failpoint("commit:published")
        with self.metrics.step("store"):  # 3
            if self.store_answers() and pending.written <= SMALL_SIZE:
                await self._store(result.write)
            else:
                await asyncio.to_thread(self.store.commit, result.write)
        failpoint("commit:stored")
        self.head = result.write.head
        self._more_due = result.swept >= pending.entry.plan.sweep_limit
        if not self._more_due:
            self.concluded_us = max(self.concluded_us, self.head.clock_us, pending.entry.plan.sweep_us)
        self.metrics.committed(result, pending.records, perf_counter() - pending.started_s)

    async def _store(self, write: Write) -> None:
        """A small write, on the event loop, which goes on while Redis works on it."""
        self.store.send(write)
        await self.store.answered(self.settings.redis.timeout.total_seconds())
        self.store.settle()

    @property
    def buffers(self) -> tuple[InputBuffer, ...]:
        """See streams.shard.commit_batcher.Member."""
        return self.inputs.buffers

    def ready(self) -> bool:
        """See streams.shard.commit_batcher.Member."""
        return self.store_answers() and sum(buffer.waiting for buffer in self.inputs.buffers) <= SMALL_SIZE

    def next_commit(self) -> LoadedCommit | None:
        """See streams.shard.commit_batcher.Member."""
        if self._stopping.is_set():
            return None
        started_s, wall_us = perf_counter(), now_us()
        chunks = self._gate.chunks(wall_us, self.head.clock_us)
        decoded_s = perf_counter()
        horizon_us = self._gate.horizon_us(wall_us)
        control = self._recut_coordinator.work(self.head, self.store, self._gate.caught_up, horizon_us)
        due = None
        if not (any(map(len, chunks)) or control or self._has_other_work()):
            due = self._due(horizon_us)
            if not due:
                return None
        self.metrics.steps.labels("decode").observe(decoded_s - started_s)
        for buffer, chunk in zip(self.inputs.buffers, chunks, strict=True):
            buffer.consume(len(chunk))
        plan = self._plan(chunks, wall_us, horizon_us)
        purchases, interactions, handed = chunks
        planned_s = perf_counter()
        loaded = self._loader.load(plan, purchases, interactions, self.head, self.store, handed=handed, due=due)
        loaded_s = perf_counter()
        return LoadedCommit(
            loaded=loaded,
            control=control,
            records=sum(map(len, chunks)),
            started_s=started_s,
            loading_s=loaded_s - planned_s,
            loaded_s=loaded_s,
        )

    async def _release(self) -> None:
        self.feed.close(self.partition)
        if self._publisher is not None:
            publisher, self._publisher = self._publisher, None
            closing = asyncio.create_task(self._close(publisher))
            self._closing.add(closing)  # or nobody would hold the task
            closing.add_done_callback(self._closing.discard)
            await asyncio.wait({closing}, timeout=CLOSE_S)
        await asyncio.to_thread(self.store.close)
        gc.collect()  # Kafka's clients end in cycles, which the calmed collector would leave for hours

    async def _close(self, publisher: Publisher) -> None:
        try:
            await publisher.close()
        except (KafkaError, OSError) as error:
            log.warning("shard %d: closing its producer: %s", self.partition, error)


def slice_of(least: int, records: int) -> int:
    """Due customers of a commit of so many records: no more than take as long as the records do, but `least`."""
    return max(least, records)


def _is_fenced(error: Exception) -> bool:
    """Whether the error says that another worker has the shard, or had it."""
    return isinstance(error, ProducerFenced | ShardLostError) and not isinstance(error, RolledBackError)
