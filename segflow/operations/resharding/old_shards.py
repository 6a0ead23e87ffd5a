"""The shards as they are before a reshard: taken from whoever had them, and read in slices."""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from segflow.schemas.settings import Settings
from segflow.state.head import Head
from segflow.state.redis import REDIRECTS, RedisStore
from segflow.state.store import HOLE, NO_CURSOR, Cursor, Outside, TornStateError
from segflow.streams.control.topic import Control
from segflow.streams.journal.input_reader import InputReader
from segflow.streams.journal.journal import JournalReader
from segflow.streams.publish.publisher import Publisher
from segflow.streams.shard.recovery import Recovery
from segflow.streams.state_topic.reader import StateTopicReader, TopicFacts


@dataclass(kw_only=True, slots=True)
class OldShard:
    """One of them. `head`: None: no worker has acquired it yet."""

    partition: int
    store: RedisStore
    head: Head | None

    def pages(self) -> Iterator[list[str]]:
        """The ids of its customers, page by page of the directory."""
        for number in range(0 if self.head is None else self.head.pages):
            yield [name for name in self.store.page(number) if name != HOLE]

    def records(self, ids: Sequence[str]) -> list[bytes]:
        """The records of its customers.

        Raises:
            TornStateError: one is missing.
        """
        values = [value for value in self.store.load(ids) if value is not None]
        if len(values) < len(ids):
            raise TornStateError(
                f"the records of {len(ids) - len(values)} customers of shard {self.partition} are gone"
            )
        return values

    def outside(self) -> Iterator[Outside]:
        """Slices of what stands outside its directory. Redirects are looked for, in all keys, where there are any."""
        if self.head is None:
            return
        cursor: Cursor | None = NO_CURSOR
        while cursor is not None and (self.head.redirects or cursor[0] != REDIRECTS):
            found = self.store.outside_directory(cursor)
            yield found
            cursor = found.then

    def is_untouched(self) -> bool:
        """Whether nobody has taken it since."""
        return self.store.head() == self.head


async def take(
    settings: Settings,
    control: Control,
    topic_ids: tuple[str, ...],
    facts: TopicFacts,
    partition: int,
    store: RedisStore,
) -> OldShard:
    """Take a shard from whoever had it: that one can commit no more, and Redis has all that was committed.

    Raises:
        JournalError, TornStateError: Redis lacks what cannot be brought back.
        ShardLostError: a worker takes it, too.
        aiokafka.errors.KafkaError, redis.RedisError: a server does not answer or refuses.
    """
    publisher = Publisher(settings, partition)
    await publisher.start()
    await publisher.close()
    async with (
        JournalReader(settings, partition) as journal,
        InputReader(settings, partition) as inputs,
        StateTopicReader(settings, partition) as topic,
    ):
        recovery = Recovery(
            settings=settings,
            partition=partition,
            topic_ids=topic_ids,
            facts=facts,
            control=control,
            store=store,
            inputs=inputs,
            journal=journal,
            topic=topic,
        )
        stored, in_topic = await recovery.run(store.head())
    if stored is None:
        return OldShard(partition=partition, store=store, head=None)
    head = msgspec.structs.replace(stored, owner=secrets.token_hex(8), in_topic=in_topic)
    await asyncio.to_thread(store.acquire, head, stored)
    return OldShard(partition=partition, store=store, head=head)
