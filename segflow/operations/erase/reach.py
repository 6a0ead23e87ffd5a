"""Everything within reach that holds something of a customer: Redis, and the latest record of `segments.current`."""

from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import redis

from segflow.engine.merging.ledger import MergeLedger
from segflow.engine.partitioner import partition_of
from segflow.schemas.settings import Settings
from segflow.state import lookup
from segflow.state.keys import Keys
from segflow.state.redis import RedisStore
from segflow.state.redis_servers import RedisServers
from segflow.state.store import TornStateError
from segflow.streams.kafka.partition_reader import PartitionReader
from segflow.streams.runtime.errors import UsageError


@dataclass(kw_only=True)
class Reach:
    """All ids of one customer, and what is held under them.

    `ids`: who the customer is by now, and every id that became it; an erase forgets them together.
    """

    settings: Settings
    servers: RedisServers
    partitions: int
    ids: list[str]
    _ends: dict[int, int] = field(default_factory=dict)  # of segments.current by partition, when it was opened

    @classmethod
    async def open(cls, settings: Settings, servers: RedisServers, customer_id: str) -> "Reach":
        """Look whose ids there are, and where `segments.current` ends; what comes later is looked at first.

        Raises:
            UsageError: no worker has run, or the settings place customers in another way.
            redis.RedisError, aiokafka.errors.KafkaError: a server cannot be reached or refuses.
        """
        installation = lookup.installation(servers, settings.redis.prefix)
        if installation is None:
            raise UsageError(f"no worker has run yet on this Redis with redis.prefix {settings.redis.prefix}")
        if installation.partitioner != settings.kafka.partitioner:
            raise UsageError(
                f"kafka.partitioner is {settings.kafka.partitioner}, but the workers run with "
                f"{installation.partitioner}: take their settings"
            )
        with closing(RedisStore(servers, Keys(settings.redis.prefix, 0))) as store:
            ids = MergeLedger(store).ids_of(customer_id)
        reach = cls(settings=settings, servers=servers, partitions=installation.partitions, ids=ids)
        for shard in {reach.shard_of(each) for each in ids}:
            async with reach._current(shard) as reader:
                reach._ends[shard] = await reader.end()
        return reach

    def shard_of(self, customer_id: str) -> int:
        """The shard that has the id."""
        return partition_of(customer_id.encode(), self.settings.kafka.partitioner, self.partitions)

    def server(self) -> redis.Redis:
        """The client of the server that has the customer."""
        return self.servers.of(Keys(self.settings.redis.prefix, self.shard_of(self.ids[0])).head)

    def in_redis(self) -> list[str]:
        """The keys and entries in Redis, in words; empty: nothing but the keyed hashes that keep older events out."""
        prefix, found = self.settings.redis.prefix, []
        ledger = Keys(prefix, 0)
        for each in self.ids:
            keys = Keys(prefix, self.shard_of(each))
            pipeline = self.servers.of(keys.head).pipeline(transaction=True)
            pipeline.exists(keys.record(each))
            pipeline.zscore(keys.timers, each)
            record, timer = pipeline.execute()
            merged_into = self.servers.of(ledger.head).hget(ledger.merged_into, each)
            held = {"record": record, "timer": timer is not None, "alias": merged_into is not None}
            found += [f"the {name} of {each}" for name, there in held.items() if there]
        return found

    def offset_read(self, partition: int) -> int:
        """The offset up to which the shard has read the interactions; 0 without a state that can be read."""
        with closing(RedisStore(self.servers, Keys(self.settings.redis.prefix, partition))) as store:
            try:
                head = store.head()
            except TornStateError:
                head = None
        return 0 if head is None else head.interactions.offset

    async def in_current(self) -> list[str]:
        """Ids whose latest record in `segments.current` has a value."""
        return [each for each in self.ids if await self._has_value(each)]

    async def _has_value(self, customer_id: str) -> bool:
        shard, key = self.shard_of(customer_id), customer_id.encode()
        async with self._current(shard) as reader:
            before, end = self._ends[shard], await reader.end()
            latest = await _latest(reader, key, before, end)
            if latest is None:  # nothing since then: so it was never there, or is gone for longer
                latest = await _latest(reader, key, await reader.first(), before)
            return latest is not None and latest.value is not None

    def _current(self, shard: int) -> PartitionReader:
        return PartitionReader(self.settings.kafka, self.settings.kafka.topics.current, shard)


async def _latest(reader: PartitionReader, key: bytes, start: int, stop: int) -> Any | None:
    found = None
    async for records in reader.slices(start, stop):
        for record in records:
            if record.key == key:
                found = record
    return found
