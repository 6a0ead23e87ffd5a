"""The one topic that all peers read, filled once, with the answer it must bring."""

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer

from benchmarks.bench import Bench
from benchmarks.history import BEGIN_US, History, purchase
from benchmarks.installation import PARTITIONS
from benchmarks.peers.job import HISTORY_DAYS, Answer
from segflow.engine.partitioner import partitions_of
from segflow.operations.line_files import Lines
from segflow.operations.produce import produce
from segflow.schemas.connection_settings import Kafka, KafkaTopics
from segflow.schemas.settings import Settings
from segflow.segments.instant import DAY_US, SECOND_US, to_text
from segflow.streams.kafka.clients import aiokafka_options
from segflow.streams.kafka.topics import admin


@dataclass(kw_only=True)
class InputLog:
    """Purchases of `customers` customers in order of time, and what they must bring."""

    kafka: Kafka
    customers: int
    answer: Answer = field(default_factory=Answer)

    @property
    def topic(self) -> str:
        """Its name."""
        return self.kafka.topics.purchases

    def append(self) -> str:
        """One more purchase, by a customer nobody knows, acknowledged on return; who it was."""
        number = self.customers + self.answer.events  # each is higher than the one before
        at_us = BEGIN_US + HISTORY_DAYS * DAY_US + self.answer.events * SECOND_US
        value = purchase(self.answer.events, number, to_text(at_us).removesuffix("Z"), 4500)
        key = b"c%09d" % number
        (partition,) = partitions_of([key], self.kafka.partitioner, PARTITIONS).tolist()
        asyncio.run(_send(self.kafka, self.topic, partition, key, value))
        self.answer.take([value], [partition])
        return key.decode()


async def _send(kafka: Kafka, topic: str, partition: int, key: bytes, value: bytes) -> None:
    producer = AIOKafkaProducer(**aiokafka_options(kafka))
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, key=key, partition=partition)
    finally:
        await producer.stop()


def filled(bench: Bench, customers: int, events: int) -> InputLog:
    """The topic, made and filled."""
    name = f"peers-{secrets.token_hex(3)}"
    kafka = Kafka(
        address=bench.kafka.address,
        topics=KafkaTopics(purchases=f"{name}.purchases", interactions=f"{name}.interactions"),
    )
    log = InputLog(kafka=kafka, customers=customers)
    make_topics(kafka, [kafka.topics.purchases, kafka.topics.interactions])
    history = History(customers=customers, events=events, days=HISTORY_DAYS, purchase_share=1.0)
    asyncio.run(produce(Settings(kafka=kafka), _noted(log, history), lambda _sent, _bytes: None))
    bench.say(f"{log.answer.events:,} events of {customers:,} customers must bring {log.answer.count:,} changes")
    return log


def make_topics(kafka: Kafka, names: list[str]) -> None:
    """Topics of PARTITIONS partitions in which the broker's clock stamps each record.

    So the pace of every peer is read off one clock, with nobody looking on while it runs.
    """
    with admin(kafka) as client:
        client.create_topics(
            {
                name: {
                    "num_partitions": PARTITIONS,
                    "replication_factor": 1,
                    "configs": {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"},
                }
                for name in names
            }
        )
        client.wait_for_topics(names)


def _noted(log: InputLog, history: History) -> Iterator[Lines]:
    """The history's lines, each told to the answer on its way."""
    for lines in history.lines():
        keys = [value[KEY_AT] for value in lines.values]
        log.answer.take(lines.values, partitions_of(keys, log.kafka.partitioner, PARTITIONS).tolist())
        yield lines


def _key_at() -> slice:
    """The place of the customer's id in a purchase of the history: all purchases have one form."""
    sample = purchase(0, 0, "", 0)
    start = sample.index(b"c000000000")
    return slice(start, start + 10)


KEY_AT = _key_at()
