"""The protocol of a reshard: N shards become M in one Kafka transaction; Redis is copied from it afterwards."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Final, TypeVar

from aiokafka.structs import TopicPartition
from kafka import TopicPartition as AdminPartition

from segflow.engine.columns.messages import Messages
from segflow.operations.repair.rebuild import rebuild
from segflow.operations.resharding.division import Content, Division, head_after
from segflow.operations.resharding.moved_current import move_current
from segflow.operations.resharding.moved_messages import move_messages
from segflow.operations.resharding.new_shards import NewShards
from segflow.operations.resharding.old_shards import OldShard, take
from segflow.operations.resharding.transaction import LargeTransaction
from segflow.schemas.settings import Settings
from segflow.state.head import Head, Position
from segflow.state.keys import Keys
from segflow.state.redis import RedisStore
from segflow.state.redis_servers import RedisServers
from segflow.state.store import ShardLostError
from segflow.streams.control import reshards
from segflow.streams.control.topic import Control
from segflow.streams.kafka import topics
from segflow.streams.kafka.first_records import Bounds, FirstRecords
from segflow.streams.kafka.topic_kinds import INPUTS
from segflow.streams.kafka.topics_report import TopicsReport
from segflow.streams.runtime.errors import UsageError
from segflow.streams.runtime.failpoints import failpoint
from segflow.streams.runtime.wall_clock import now_us
from segflow.streams.state_topic.reader import StateTopicReader, TopicFacts
from segflow.streams.worker.installation import note_reshard

OnProgress = Callable[[int, str, int], None]
"""Called with (customers done, a note, of how many)."""
AUDITED: Final = ("changes", "alerts", "dead_letters", "journal")
"""The topics of which an audit has to know where the new shards begin."""
BOUNDED: Final = (*INPUTS, "handover", *AUDITED)
AT_ONCE: Final = 4
"""Shards taken or copied at a time: most of it is waiting for servers, and each holds a few megabytes."""
DoneT = TypeVar("DoneT")


@dataclass(frozen=True, kw_only=True, slots=True)
class Resharded:
    """The result: customers, and how many of them live in a shard of another number now."""

    shards: int
    customers: int
    moved: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Count:
    """The customers of each new shard, and how many of all move."""

    populations: list[int]
    moved: int


@dataclass(kw_only=True)
class Reshard:
    """A reshard of one installation. No worker may run."""

    settings: Settings
    control: Control  # read
    servers: RedisServers
    report: TopicsReport  # of the topics, as they were before
    division: Division
    on_progress: OnProgress = lambda *_: None

    async def run(self) -> Resharded:
        """Divide the customers.

        1. Take every shard: whoever had it can commit no more, and Redis has all that was committed.
        2. Add partitions to the topics. From here on no worker starts, until 5: the shards do not fit the topics.
        3. Write, in one Kafka transaction: the state of the new shards into `segments.state`; what shards handed over
           and nobody has read, where it belongs now; the latest segments of those who move; an entry in each journal;
           and a record in the control topic. The transaction is the reshard. What ends it leaves nothing behind.
        4. Copy each new shard into Redis, as a worker does whose Redis is too old.
        5. Note in Redis how customers are divided. Workers start again.

        Killed at any point and typed again, it goes on: before the end of 3 from the beginning, else with 4.

        Raises:
            UsageError: it cannot be done; the message says what to do.
            JournalError, TornStateError: the state is not whole.
            ShardLostError: a worker has taken a shard meanwhile.
            aiokafka.errors.KafkaError, kafka.errors.KafkaError, redis.RedisError: type it again.
        """
        old = await self._of_each(self._take, self.division.before)  # 1
        self.control.read()  # what was adopted last
        failpoint("reshard:taken")
        try:
            self._check_rules(old)
            count = await asyncio.to_thread(self._counted, old)
            await asyncio.to_thread(topics.grow, self.settings, self.division.after)  # 2
            failpoint("reshard:grown")
            await self._write(old, count.populations)  # 3
        finally:
            for shard in old:
                shard.store.close()
        failpoint("reshard:swapped")
        self.control.read()
        customers = await self.finish()
        return Resharded(shards=self.division.after, customers=customers, moved=count.moved)

    async def finish(self) -> int:
        """Steps 4 and 5; the number of customers. Raises as `run`."""
        self.report = await asyncio.to_thread(topics.check, self.settings)
        customers = sum(await self._of_each(self._copy, self.division.after))
        assert self.control.reshard is not None
        note_reshard(self.servers, self.settings, self.report, self.control.reshard)
        failpoint("reshard:noted")
        return customers

    async def _of_each(self, do: Callable[[int], Awaitable[DoneT]], count: int) -> list[DoneT]:
        """`do` for each of so many shards, AT_ONCE at a time; the first error ends it."""
        free = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> DoneT:
            async with free:
                return await do(number)

        tasks = [asyncio.create_task(one(number)) for number in range(count)]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _take(self, number: int) -> OldShard:
        return await take(self.settings, self.control, self.report.input_ids, self._facts, number, self._store(number))

    @property
    def _facts(self) -> TopicFacts:
        return TopicFacts.of(self.report.topics["state"])

    def _store(self, number: int) -> RedisStore:
        return RedisStore(self.servers, Keys(self.settings.redis.prefix, number))

    def _check_rules(self, old: list[OldShard]) -> None:
        """Raises a UsageError where a new shard's customers would be under too many versions of the rules."""
        heads, somebody = [shard.head for shard in old], Content(population=1)
        if not any(heads):
            raise UsageError("no shard has any state yet: delete the topics, and make them with the new number")
        for number in range(self.division.after):
            head_after(heads, self.division, number, somebody, [Position()] * 3, "")

    async def _write(self, old: list[OldShard], populations: list[int]) -> None:
        """Step 3; `populations`: of the new shards."""
        names, owner, wall_us = self.settings.kafka.topics, secrets.token_hex(8), now_us()
        roles = ("state", "journal", "handover", "current")
        places = [TopicPartition(getattr(names, role), each) for role in roles for each in range(self.division.after)]
        control = TopicPartition(names.control, 0)
        async with LargeTransaction(self.settings, [*places, control]) as written:
            bounds = await asyncio.to_thread(self._bounds)
            new = NewShards(
                settings=self.settings,
                division=self.division,
                written=written,
                owner=owner,
                state_id=self._facts.topic_id,
            )
            await new.begin(populations, old)
            await self._write_state(old, new, sum(populations))
            for shard in old:
                await move_messages(self.settings, self.division, shard, written)
                await move_current(self.settings, self.division, shard.partition, written)
            heads = [shard.head for shard in old]
            positions = [self._positions(heads, number, bounds) for number in range(self.division.after)]
            await new.finish(heads, positions, wall_us)
            begins = {role: [bounds[role, number].end for number in range(self.division.after)] for role in AUDITED}
            record = reshards.Reshard(
                before=self.division.before, partitions=self.division.after, at_us=wall_us, begins=begins
            )
            await written.add(control, Messages.of([reshards.message(record)]))
            await written.flush()
            failpoint("reshard:written")
            self._check_untouched(old)
            await written.commit()

    def _bounds(self) -> dict[tuple[str, int], Bounds]:
        """Of topics, by role and partition, before anything is written: every transaction of the shards has ended."""
        names = self.settings.kafka.topics
        places = {
            (role, number): AdminPartition(getattr(names, role), number)
            for role in BOUNDED
            for number in range(self.division.after)
        }
        with FirstRecords(self.settings.kafka) as kafka:
            found = kafka.bounds(list(places.values()))
        return {key: found[place] for key, place in places.items()}

    def _counted(self, old: list[OldShard]) -> _Count:
        """The customers of each new shard, and how many move.

        Raises:
            UsageError: a customer is in two shards, as earlier versions took events on wrong partitions.
        """
        counts, moved = [0] * self.division.after, 0
        strays: Counter[str] = Counter()
        for shard in old:
            for names in shard.pages():
                homes = self.division.homes(names)
                moved += int((homes != shard.partition).sum())
                for home in homes.tolist():
                    counts[home] += 1
                former = self.division.former_homes(names)
                strays.update(names[row] for row in (former != shard.partition).nonzero()[0].tolist())
        ids = list(strays)
        at_home = dict(zip(ids, self.division.former_homes(ids).tolist(), strict=True)) if ids else {}
        for name, home in at_home.items():
            if strays[name] > 1 or old[home].store.load([name])[0] is not None:
                raise UsageError(
                    f"customer {name!r} is in two shards: an event lay on a wrong partition, and an earlier version "
                    "took it. Such customers cannot be divided anew. Nothing was touched"
                )
        return _Count(populations=counts, moved=moved)

    async def _write_state(self, old: list[OldShard], new: NewShards, total: int) -> None:
        done = 0
        for shard in old:
            for names in shard.pages():
                await new.add_customers(names, shard.records(names), shard.partition)
                done += len(names)
                self.on_progress(done, f"written, of shard {shard.partition}", total)
            redirects: dict[str, bytes] = {}
            for outside in shard.outside():
                redirects.update(outside.redirects)
                new.add_erasures(dict(outside.erased), shard.partition)
                await new.add_ledger(dict(outside.merged_into))
            await new.add_redirects(redirects, shard.partition)

    def _positions(
        self, heads: list[Head | None], number: int, bounds: dict[tuple[str, int], Bounds]
    ) -> list[Position]:
        """The positions of a new shard: where the old one of its number stood, else at the first record there is.

        What shards handed over begins with what this transaction writes.
        """
        head = heads[number] if number < len(heads) else None
        found = [
            getattr(head, role)
            if head is not None
            else Position(topic_id=self.report.topics[role].topic_id, offset=bounds[role, number].first)
            for role in INPUTS
        ]
        handed = Position(topic_id=self.report.topics["handover"].topic_id, offset=bounds["handover", number].end)
        return [*found, handed]

    def _check_untouched(self, old: list[OldShard]) -> None:
        taken = [shard.partition for shard in old if not shard.is_untouched()]
        if taken:
            raise ShardLostError(f"a worker has acquired shards {taken} meanwhile")

    async def _copy(self, number: int) -> int:
        """Step 4 for one shard, where it is not done yet; its customers."""
        with closing(self._store(number)) as store:
            stored = await asyncio.to_thread(store.head)
            async with StateTopicReader(self.settings, number) as topic:
                last = await topic.last_head(await topic.end())
            if last is not None and stored is not None and _is_same(stored, last):
                return stored.population - stored.holes
            done = await rebuild(
                self.settings,
                self.control,
                self.report.input_ids,
                self._facts,
                number,
                store,
                lambda at, _, total: self.on_progress(at, f"copying shard {number}", total),
            )
        failpoint("reshard:one-copied")
        return done.customers


def _is_same(stored: Head, last: Head) -> bool:
    """Whether a store is at the last commit that the topic has."""
    same = (stored.sequence, stored.committed_by) == (last.sequence, last.committed_by)
    return same and not stored.partial
