"""Events as they happen: a process that sends new customers' purchases, and a read_committed subscriber."""

import multiprocessing
import signal
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer

from benchmarks.history import purchase
from benchmarks.installation import PARTITIONS
from segflow.schemas.settings import Settings
from segflow.segments.instant import EPOCH, MICROSECOND
from segflow.streams.kafka.clients import aiokafka_options

TICK_S: Final = 0.002
"""Between two looks at how many events are due: well below the delays measured."""
LINGER_MS: Final = 5
"""The sender's: Kafka 4's own default for a producer, and librdkafka's. It is part of the delays measured."""
FETCH_WAIT_MS: Final = 10
"""The longest time the broker may hold back the subscriber's empty fetch; the default of 500 would hide the figure."""
POLL_MS: Final = 100
ACKNOWLEDGED_S: Final = 30.0
"""The broker takes milliseconds, and seconds where it has just made the topic."""
PAID_CENTS: Final = 4500


@contextmanager
def live_events(settings: Settings, per_s: int, first_number: int = 0) -> Iterator[None]:
    """While the block lasts, a process of its own sends `per_s` purchases a second, each of a new customer.

    The customers' ids count up from `first_number`; `occurred_at` is the moment an event is handed to the producer.
    """
    process = multiprocessing.get_context("spawn").Process(
        target=_send, args=(settings, per_s, first_number), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _send(settings: Settings, per_s: int, first_number: int) -> None:
    stopping = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    producer = _producer(settings)
    started_s, sent = time.perf_counter(), 0
    while not stopping:
        for _ in range(sent, int((time.perf_counter() - started_s) * per_s)):
            _hand_over(producer, settings.kafka.topics.purchases, first_number + sent)
            sent += 1
        producer.poll(TICK_S)
    producer.flush()


def _producer(settings: Settings) -> Producer:
    return Producer(
        {
            "bootstrap.servers": settings.kafka.address,
            "linger.ms": LINGER_MS,
            "partitioner": "murmur2_random",  # librdkafka's name for what Kafka's own producer does with a key
        }
    )


def _hand_over(producer: Producer, topic: str, number: int) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    value = purchase(number, number, now.isoformat(timespec="microseconds"), PAID_CENTS)
    producer.produce(topic, value, key=b"c%09d" % number)


def send_one(settings: Settings, number: int) -> None:
    """One purchase, now, of the customer `number`; acknowledged on return.

    Raises:
        TimeoutError: the broker did not acknowledge it within ACKNOWLEDGED_S.
    """
    producer = _producer(settings)
    _hand_over(producer, settings.kafka.topics.purchases, number)
    if producer.flush(ACKNOWLEDGED_S):
        raise TimeoutError(f"the broker at {settings.kafka.address} did not acknowledge an event")


@dataclass(slots=True)
class Seen:
    """Changes of one dimension as a subscriber saw them, as growing columns."""

    customers: list[bytes] = field(default_factory=list)
    effective: list[bytes] = field(default_factory=list)  # the header ce_time
    seen_us: list[int] = field(default_factory=list)  # wall clock when the poll that brought it returned

    def times_us(self) -> npt.NDArray[np.int64]:
        """Each change's `effective_at`: for a live event, when it was handed to its producer; shape (n,)."""
        return np.array([_to_us(text) for text in self.effective], dtype=np.int64)

    def delays_ms(self, effective_us: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """From the event to the subscriber, shape (n,)."""
        return (np.array(self.seen_us) - effective_us) / 1000


@dataclass(slots=True)
class Subscriber:
    """Reads `segments.changes` from the end on, committed records only."""

    consumer: Any  # aiokafka has no types
    dimension: bytes

    async def poll(self, seen: Seen) -> None:
        """Take what came, waiting at most POLL_MS for something."""
        found = await self.consumer.getmany(timeout_ms=POLL_MS)
        now_us = time.time_ns() // 1000
        for records in found.values():
            for record in records:
                headers = dict(record.headers)
                if headers["dimension"] == self.dimension:
                    seen.customers.append(record.key)
                    seen.effective.append(headers["ce_time"])
                    seen.seen_us.append(now_us)


@asynccontextmanager
async def newest_changes(settings: Settings, partitions: Iterable[int] = range(PARTITIONS)) -> AsyncIterator[Any]:
    """A read_committed consumer of `segments.changes`, standing at the end of these partitions."""
    consumer = AIOKafkaConsumer(
        isolation_level="read_committed",
        enable_auto_commit=False,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        **aiokafka_options(settings.kafka),
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(settings.kafka.topics.changes, p) for p in partitions])
        for place, end in (await consumer.end_offsets(consumer.assignment())).items():
            consumer.seek(place, end)
        yield consumer
    finally:
        await consumer.stop()


@asynccontextmanager
async def subscriber(
    settings: Settings, dimension: str = "lifecycle", partitions: Iterable[int] = range(PARTITIONS)
) -> AsyncIterator[Subscriber]:
    """A subscriber to one dimension's changes, from the end of these partitions on."""
    async with newest_changes(settings, partitions) as consumer:
        yield Subscriber(consumer, dimension.encode())


def _to_us(text: bytes) -> int:
    return (datetime.fromisoformat(text.decode()) - EPOCH) // MICROSECOND


def ago(span: timedelta) -> int:
    """The moment `span` before now, microseconds."""
    return time.time_ns() // 1000 - span // MICROSECOND
