"""One shard's life: take it, work it batch by batch, let go of it.

The commit is one numbered protocol, in `_commit`; taking a shard, in `_take`, is its other half.
"""

import asyncio
import gc
import logging
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec
import redis
from aiokafka.errors import KafkaError, ProducerFenced

from schemas.settings import Settings
from segments.instant import UNKNOWN, duration_us
from state.head import Head, Position
from state.store import RolledBackError, ShardLostError, Store
from streams import events, journal
from streams.control import Control
from streams.crash_points import reach
from streams.decode import Decoder
from streams.encode import Message
from streams.events import INTERACTIONS, PURCHASES, Chunk
from streams.execution import Executor, Outcome, Plan, plan_for
from streams.inbox import Inbox
from streams.journal import Entry, JournalError
from streams.merge import ready
from streams.metrics import Metrics
from streams.publisher import Publisher
from streams.recutting import Recutting
from streams.replay import InputReader
from streams.transport import HEARTBEAT_SHARE, Batch, Reading, now_us

log = logging.getLogger(__name__)

RETRY_S: Final = (0.1, 5.0)
"""First and longest pause before a shard is taken anew after an error."""
HEARTBEATS: Final = 2
"""Heartbeats that a fenced worker waits before it takes the shard again: in one of them its group says whether the
shard is still its own. Taking it at once would fence the heir, who would fence this worker in return."""
SMALL_RECORDS: Final = 256
"""Up to here a commit's work is done on the event loop: a few milliseconds, where handing it to a thread and the
interpreter lock back and forth took thirty. Larger ones go to a thread, so that heartbeats and other shards go on."""
INPUTS: Final = (PURCHASES, INTERACTIONS)
TOPICS: Final = ("purchases", "interactions")


class ShardStoppedError(Exception):
    """The shard cannot go on without a person; the message says why and what to do."""


class OutOfRangeError(Exception):
    """An input has not got the offset that is next; taking the shard says why."""


class Feed(Protocol):
    """How a shard opens and reads its two inputs; the worker's consumer, or a test's."""

    async def open(self, partition: int, offsets: tuple[int, int]) -> None:
        """Read both inputs of `partition` from the given offsets on."""
        ...

    def close(self, partition: int) -> None:
        """Read nothing more of `partition`."""
        ...

    def reading(self, side: int, partition: int) -> Reading | None:
        """How far an input was read, None while nothing was fetched."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A commit that has been worked out and not been published yet."""

    entry: Entry
    outcome: Outcome
    control: list[Message]  # for the control topic


@dataclass(kw_only=True)
class Shard:
    """Partition p of both inputs, worked by this process."""

    settings: Settings
    partition: int
    partitions: int  # of each input
    topic_ids: tuple[str, str]  # of purchases and interactions
    control: Control
    store: Store
    feed: Feed
    metrics: Metrics
    inbox: Inbox = field(init=False)
    head: Head = field(init=False)
    _publisher: Publisher | None = None
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _held_since_us: int | None = None  # since when one input keeps the other waiting
    _more_due: bool = False
    _executor: Executor = field(init=False)
    _recutting: Recutting = field(init=False)

    def __post_init__(self) -> None:
        self._executor = Executor(self.settings, self.control.rulebook, self.partition)
        self._fresh_inbox()

    def stop(self) -> None:
        """Finish the commit under way, then let go."""
        self._stopped.set()
        self.inbox.arrived.set()

    async def run(self) -> None:
        """Take the shard and work it until it is stopped.

        An error of Kafka or Redis leaves unknown what was committed: everything is dropped and the shard taken anew.

        Raises:
            ShardStoppedError: it cannot go on without a person.
        """
        retry_s = RETRY_S[0]
        while not self._stopped.is_set():
            pause_s = 0.0
            try:
                await self._take()
                retry_s = RETRY_S[0]
                await self._work()
            except (JournalError, msgspec.MsgspecError) as error:
                raise ShardStoppedError(f"shard {self.partition}: {error}") from error
            except (KafkaError, redis.RedisError, ShardLostError, OutOfRangeError, OSError) as error:
                log.warning("shard %d: %s: %s; taking it anew", self.partition, type(error).__name__, error)
                self.metrics.retakes.inc()
                pause_s = max(retry_s, self._heartbeats_s if _is_fenced(error) else 0.0)
                retry_s = min(RETRY_S[1], retry_s * 2)
            finally:
                await self._let_go()
            await self._pause(pause_s)

    @property
    def _heartbeats_s(self) -> float:
        return HEARTBEATS * HEARTBEAT_SHARE * self.settings.worker.session_timeout.total_seconds()

    async def _pause(self, pause_s: float) -> None:
        """Wait about that long, or until it is time to let go."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), pause_s * (0.75 + secrets.randbelow(500) / 1000))

    def _fresh_inbox(self) -> None:
        self.inbox = Inbox(Decoder(self.settings, PURCHASES), Decoder(self.settings, INTERACTIONS))
        self._recutting = Recutting(self.settings, self.partition, self.partitions, self.control)

    async def _take(self) -> None:
        """Take the shard.

        1. InitTransactions: an earlier owner's open transaction is ended, and it can commit no more.
        2. Read the stored head.
        3. Read the journal beyond it: commits that were published but did not reach the store.
        4. Execute them again from the input, unpublished, checking that they give what they gave.
        5. Write the head with an own token, if it is still the one that was read: from here on, whoever held the
           shard before fails at its next commit.
        6. Open the inputs where the state stands.
        """
        self._fresh_inbox()
        self._publisher = Publisher(self.settings, self.partition)
        await self._publisher.start()  # 1
        reach("take:fenced")
        stored = await asyncio.to_thread(self.store.head)  # 2
        reach("take:head-read")
        head = stored or Head(rules=self.control.rulebook.first.version)
        entries = await journal.read_after(self.settings, self.partition, head.sequence)  # 3
        reach("take:journal-read")
        async with InputReader(self.settings, self.partition) as reader:
            await self.control.reaches(await reader.control_end())  # an earlier owner may have adopted what is newest
            head = await self._positions(head, reader)
            if entries:
                head, stored = await self._execute_again(entries, head, stored, reader)  # 4
                reach("take:done-again")
        self.head = msgspec.structs.replace(head, owner=secrets.token_hex(8))
        await asyncio.to_thread(self.store.take, self.head, stored)  # 5
        reach("take:owned")
        for side, position in zip(self.inbox.sides, (self.head.purchases, self.head.interactions), strict=True):
            side.begin(position.offset)
        await self.feed.open(self.partition, (self.head.purchases.offset, self.head.interactions.offset))  # 6
        reach("take:opened")
        self.metrics.taken(self.partition, self.head.sequence)
        log.info("took shard %d at commit %d", self.partition, self.head.sequence)

    async def _positions(self, head: Head, reader: InputReader) -> Head:
        """The head with its offsets checked against the topics."""
        first, end = await reader.bounds()
        places = []
        for side, (name, position) in enumerate((("purchases", head.purchases), ("interactions", head.interactions))):
            topic = getattr(self.settings.kafka.topics, name)
            where = f"shard {self.partition}: {topic}"
            if not position.topic_id:
                places.append(Position(topic_id=self.topic_ids[side], offset=first[side]))
                continue
            if position.topic_id != self.topic_ids[side]:
                raise ShardStoppedError(f"{where} was deleted and made again; the state belongs to the old one")
            if position.offset < first[side]:
                raise ShardStoppedError(
                    f"{where} was cut to offset {first[side]} by retention; the state needs {position.offset}"
                )
            if position.offset > end[side]:
                raise ShardStoppedError(f"{where} ends at {end[side]}, before the state's offset {position.offset}")
            places.append(position)
        return msgspec.structs.replace(head, purchases=places[0], interactions=places[1])

    async def _execute_again(
        self, entries: list[Entry], head: Head, stored: Head | None, reader: InputReader
    ) -> tuple[Head, Head | None]:
        """Commits of the journal, from the input, into the store."""
        if stored is None:
            self.store.take(head, None)
            stored = head
        elif stored != head:
            raise JournalError("the stored head has no topic ids but the journal has commits beyond it")
        first, _ = await reader.bounds()
        for entry in entries:
            if entry.purchases_from < first[PURCHASES] or entry.interactions_from < first[INTERACTIONS]:
                raise JournalError(
                    f"commit {entry.plan.sequence} cannot be done again: it read purchases from "
                    f"{entry.purchases_from} and interactions from {entry.interactions_from}, but retention has cut "
                    f"them to {first[PURCHASES]} and {first[INTERACTIONS]}"
                )
            chunks = []
            for side, (start, stop) in enumerate(
                ((entry.purchases_from, entry.plan.purchases_to), (entry.interactions_from, entry.plan.interactions_to))
            ):
                records = await reader.read(side, start, stop)
                self.inbox.sides[side].begin(start)
                self.inbox.offer(side, Batch(records, start, stop))
                chunks.append(self.inbox.sides[side].peek(len(records)) if records else events.none())
                self.inbox.sides[side].take(len(records))
            if not self.control.rulebook.has(entry.plan.rules):
                raise JournalError(
                    f"commit {entry.plan.sequence} used rules {entry.plan.rules}, which the control topic lacks"
                )
            await asyncio.to_thread(self.store.begin, head)
            outcome = await asyncio.to_thread(
                self._executor.execute, entry.plan, chunks[0], chunks[1], head, self.store
            )
            if outcome.digest != entry.digest:
                raise JournalError(
                    f"commit {entry.plan.sequence} done again gives other changes than it published: "
                    "the input, the settings or the version of segflow is not what it was"
                )
            await asyncio.to_thread(self.store.commit, outcome.write)
            head = outcome.write.head
            self.metrics.reexecuted.inc()
            reach("take:one-done-again")
        log.info("shard %d: %d commits of the journal executed again", self.partition, len(entries))
        return head, head

    async def _work(self) -> None:
        """Commit whatever there is to do; wait where there is nothing."""
        sweep_every_s = self.settings.worker.sweep_every.total_seconds()
        linger_s = self.settings.worker.linger.total_seconds()
        most = self.settings.worker.batch_max_records
        while not self._stopped.is_set():
            self.inbox.arrived.clear()
            small = sum(side.waiting for side in self.inbox.sides) <= SMALL_RECORDS
            prepared = self._prepare(now_us()) if small else await asyncio.to_thread(self._prepare, now_us())
            if prepared is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.inbox.arrived.wait(), timeout=sweep_every_s)
                continue
            await self._commit(prepared)
            if max(side.waiting for side in self.inbox.sides) < most:
                await asyncio.sleep(linger_s)  # a commit costs the same for one event as for fifty

    def _takeable(self, wall_us: int) -> tuple[Chunk, Chunk]:
        """The records of both inputs that are next in the shard's order."""
        most = self.settings.worker.batch_max_records
        purchases, interactions = (side.peek(most) for side in self.inbox.sides)
        latest_us = wall_us + duration_us(self.settings.worker.future_max)
        waits = (self._more_to_come(PURCHASES, len(purchases)), self._more_to_come(INTERACTIONS, len(interactions)))
        counts = ready(purchases, interactions, waits, latest_us)
        if not any(counts) and (len(purchases) or len(interactions)):
            self._held_since_us = self._held_since_us or wall_us
            if wall_us - self._held_since_us >= duration_us(self.settings.worker.merge_wait):
                counts = (len(purchases), len(interactions))  # waited long enough for the other input
        if any(counts):
            self._held_since_us = None
        return purchases.slice(0, counts[0]), interactions.slice(0, counts[1])

    def _more_to_come(self, side: int, seen: int) -> bool:
        """Whether the input has records beyond those `seen` that are not at hand.

        Asked in this order, for records travel from Kafka to `read_to` to `waiting`: none slips by unseen.
        """
        reading = self.feed.reading(side, self.partition)
        if reading is not None and reading.out_of_range:
            raise OutOfRangeError(f"{TOPICS[side]} has not got offset {self.inbox.sides[side].read_to}")
        if reading is None or reading.end is None or reading.position < reading.end:
            return True
        mine = self.inbox.sides[side]
        return mine.read_to < reading.sent or mine.waiting > seen

    def _caught_up(self) -> bool:
        return not any(self._more_to_come(side, 0) for side in INPUTS)

    def _horizon_us(self, wall_us: int) -> int:
        """How far the sweep may go beyond C: to when both inputs were last seen read to their end, less the grace."""
        if self.settings.clock == "event" or not self._caught_up():
            return UNKNOWN
        readings = [self.feed.reading(side, self.partition) for side in INPUTS]
        seen_us = min(reading.fetched_us for reading in readings if reading is not None)
        return min(seen_us, wall_us) - duration_us(self.settings.worker.grace)

    def _has_other_work(self, horizon_us: int) -> bool:
        if self._more_due or self.head.adopting is not None:
            return True
        if self.control.rulebook.latest.version != self.head.rules:
            return True
        until_us = max(self.head.clock_us, horizon_us)
        return until_us != UNKNOWN and bool(self.store.due(until_us, 1))

    def _plan(self, chunks: tuple[Chunk, Chunk], wall_us: int, horizon_us: int) -> Plan:
        sides = self.inbox.sides
        plan = plan_for(
            self.settings,
            self.head,
            purchases_to=sides[PURCHASES].offset,
            interactions_to=sides[INTERACTIONS].offset,
            wall_us=wall_us,
            rules=self.control.rulebook.latest.version,
        )
        newest_us = max((int(chunk.occurred_us.max()) for chunk in chunks if chunk.usable.any()), default=wall_us)
        old = newest_us < wall_us - duration_us(self.settings.worker.backfill_after)
        mode = "backfill" if old or self.settings.clock == "event" else "live"
        return msgspec.structs.replace(plan, sweep_us=horizon_us, mode=mode)

    async def _commit(self, prepared: Prepared) -> None:
        """One commit.

        1. Watch the head: it must be what this worker last wrote. Read the records, advance them in memory
           (`_prepare`).
        2. In one Kafka transaction: the changes, current segments, dead letters, control records, and the journal's
           record of this commit. It is the commit: from here on the changes are published.
        3. In one Redis transaction that fails if the head was touched since 1: records, timers, directory, head.

        A crash before 2 leaves nothing; between 2 and 3, the journal has a commit that the store lacks, which taking
        the shard executes again.
        """
        outcome, topics = prepared.outcome, self.settings.kafka.topics
        assert self._publisher is not None
        reach("commit:prepared")
        with self.metrics.step("publish"):
            await self._publisher.publish(  # 2
                {
                    topics.changes: outcome.changes,
                    topics.current: outcome.current,
                    topics.dead_letters: outcome.dead,
                    topics.control: prepared.control,
                    topics.journal: [journal.message(prepared.entry)],
                },
                frozenset({topics.control}),
            )
        reach("commit:published")
        with self.metrics.step("store"):  # 3
            if len(outcome.write.records) <= SMALL_RECORDS:
                self.store.commit(outcome.write)
            else:
                await asyncio.to_thread(self.store.commit, outcome.write)
        reach("commit:stored")
        self.head = outcome.write.head
        self._more_due = outcome.swept >= prepared.entry.plan.sweep_limit
        self.metrics.committed(self.partition, outcome, self.head, self.settings.dimensions)

    def _prepare(self, wall_us: int) -> Prepared | None:
        """Step 1 of a commit; None where there is nothing to do."""
        chunks = self._takeable(wall_us)
        horizon_us = self._horizon_us(wall_us)
        control = self._recutting.work(self.head, self.store, self._caught_up, horizon_us)
        if not (any(map(len, chunks)) or control or self._has_other_work(horizon_us)):
            return None
        starts = [side.offset for side in self.inbox.sides]
        for side, chunk in zip(self.inbox.sides, chunks, strict=True):
            side.take(len(chunk))
        plan = self._plan(chunks, wall_us, horizon_us)
        with self.metrics.step("execute"):
            self.store.begin(self.head)
            outcome = self._executor.execute(plan, chunks[PURCHASES], chunks[INTERACTIONS], self.head, self.store)
        entry = Entry(
            plan=plan,
            purchases_from=starts[PURCHASES],
            interactions_from=starts[INTERACTIONS],
            changes=len(outcome.changes),
            dead_letters=len(outcome.dead),
            adopts=outcome.adopts,
            digest=outcome.digest,
        )
        return Prepared(entry=entry, outcome=outcome, control=control)

    async def _let_go(self) -> None:
        self.feed.close(self.partition)
        if self._publisher is not None:
            publisher, self._publisher = self._publisher, None
            try:
                await publisher.close()
            except (KafkaError, OSError) as error:
                log.warning("shard %d: closing its producer: %s", self.partition, error)
        await asyncio.to_thread(self.store.close)
        gc.collect()  # Kafka's clients end in cycles, which the calmed collector would leave for hours


def _is_fenced(error: Exception) -> bool:
    """Whether the error says that another worker has the shard, or had it."""
    return isinstance(error, ProducerFenced | ShardLostError) and not isinstance(error, RolledBackError)
