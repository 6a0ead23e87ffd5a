"""The ceiling: what Kafka, Redis and their clients allow when nothing is decided in between."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.installation import PARTITIONS
from segflow.schemas.settings import Settings
from segflow.state.redis_connection import client
from segflow.streams.kafka.clients import aiokafka_options

KEY: Final = b"c000000000"
"""A compacted topic takes no record without one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """Sizes of what a worker stored and published, for each event."""

    changes_per_event: float
    change_bytes: int  # key, value and headers of one
    current_per_event: float
    current_bytes: int
    record_bytes: int  # of a customer in Redis

    @property
    def bytes_per_event(self) -> float:
        """Published."""
        return self.changes_per_event * self.change_bytes + self.current_per_event * self.current_bytes


def rate(settings: Settings, limit_s: float, traffic: Traffic) -> float:
    """Events a second of a bare aiokafka loop over both inputs, for `limit_s` seconds or to their end.

    Per partition and fetch: one MGET, one transaction with as many records of the same sizes, one MSET.
    """
    with client(settings.redis) as connected:
        keys: set[str] = set()
        try:
            return asyncio.run(_Loop(settings, traffic, connected, keys).rate(limit_s))
        finally:
            for group in _groups(list(keys), 1000):
                connected.unlink(*group)


@dataclass
class _Loop:
    settings: Settings
    traffic: Traffic
    redis: redis.Redis
    keys: set[str]

    async def rate(self, limit_s: float) -> float:
        options = aiokafka_options(self.settings.kafka)
        consumer = AIOKafkaConsumer(isolation_level="read_committed", enable_auto_commit=False, **options)
        producers = [
            AIOKafkaProducer(
                transactional_id=f"{self.settings.kafka.group}-ceiling-{p}", max_batch_size=2**19, **options
            )
            for p in range(PARTITIONS)
        ]
        await asyncio.gather(consumer.start(), *(producer.start() for producer in producers))
        try:
            names = (self.settings.kafka.topics.purchases, self.settings.kafka.topics.interactions)
            places = [TopicPartition(name, p) for name in names for p in range(PARTITIONS)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            left = sum((await consumer.end_offsets(places)).values())
            events = 0
            started = time.perf_counter()
            while left and time.perf_counter() - started < limit_s:
                found = await consumer.getmany(timeout_ms=200)
                batches: dict[int, list[Any]] = {}
                for place, records in found.items():
                    batches.setdefault(place.partition, []).extend(records)
                await asyncio.gather(*(self._commit(p, producers[p], batch) for p, batch in batches.items()))
                events += sum(map(len, batches.values()))
                left -= sum(map(len, batches.values()))
            return events / (time.perf_counter() - started)
        finally:
            await asyncio.gather(consumer.stop(), *(producer.stop() for producer in producers))

    async def _commit(self, partition: int, producer: AIOKafkaProducer, records: Sequence[Any]) -> None:
        start = f"{self.settings.redis.prefix}:{{{partition}}}:ceiling:"
        keys = list({start + record.key.decode(): None for record in records})
        await asyncio.to_thread(self.redis.execute_command, "MGET", *keys)
        topics, traffic = self.settings.kafka.topics, self.traffic
        await producer.begin_transaction()
        answers = [
            answer
            for topic, size, count in (
                (topics.changes, traffic.change_bytes, traffic.changes_per_event),
                (topics.current, traffic.current_bytes, traffic.current_per_event),
            )
            for answer in await _send(
                producer, topic, partition, bytes(max(0, size - len(KEY))), round(count * len(records))
            )
        ]
        for answer in answers:
            await answer
        await producer.commit_transaction()
        value = bytes(traffic.record_bytes)
        await asyncio.to_thread(self.redis.execute_command, "MSET", *chain.from_iterable((key, value) for key in keys))
        self.keys.update(keys)


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, value: bytes, count: int) -> list[Any]:
    """`count` records in as few batches as they fit into."""
    answers = []
    batch = producer.create_batch()
    for _ in range(count):
        if batch.append(key=KEY, value=value, timestamp=None) is None:
            answers.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(key=KEY, value=value, timestamp=None)
    if batch.record_count():
        answers.append(await producer.send_batch(batch, topic, partition=partition))
    return answers


def _groups(keys: list[str], size: int) -> list[list[str]]:
    return [keys[start : start + size] for start in range(0, len(keys), size)]
