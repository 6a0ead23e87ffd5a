"""Do the producers of both inputs place keys as the settings say? A look at the latest records.

A record whose key is not its customer_id becomes a dead letter and harms nobody wherever it lies, so it is passed over:
one bad record must not keep a worker from starting.
"""

from collections.abc import Iterator
from contextlib import closing
from time import monotonic
from typing import Final

from kafka import KafkaConsumer, TopicPartition

from segflow.engine.decode.records import Decoder
from segflow.engine.partitioner import Sample, placement_problem
from segflow.schemas.settings import Settings
from segflow.streams.kafka.clients import kafka_python_options
from segflow.streams.kafka.topics import BOOTSTRAP_TIMEOUT_MS

PER_PARTITION: Final = 100
"""A wrong partitioner misplaces (n - 1) / n of the keys of n partitions: a hundred cannot all be right by chance."""
TIMEOUT_S: Final = 10.0
"""Bounds a start; what was read by then is judged."""
POLL_MS: Final = 500


def check_keys(settings: Settings, partitions: int) -> str | None:
    """What is wrong with the keys of the latest records of both inputs, and which setting to change; None: nothing.

    Raises:
        kafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    return placement_problem(samples(settings), settings.kafka.partitioner, partitions)


def samples(settings: Settings) -> list[Sample]:
    """Up to PER_PARTITION of the latest records of every partition of both inputs; reads in no consumer group.

    Raises:
        kafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    topics = settings.kafka.topics
    consumer = KafkaConsumer(
        **kafka_python_options(settings.kafka),
        enable_auto_commit=False,
        isolation_level="read_committed",
        bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT_MS,
    )
    with closing(consumer):
        parts = [
            TopicPartition(topic, partition)
            for topic in (topics.purchases, topics.interactions)
            for partition in sorted(consumer.partitions_for_topic(topic) or ())
        ]
        return list(_latest(consumer, parts, Decoder(settings, None))) if parts else []


def _latest(consumer: KafkaConsumer, parts: list[TopicPartition], decoder: Decoder) -> Iterator[Sample]:
    begins, ends = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
    left = {part for part in parts if ends[part] > begins[part]}
    if not left:
        return
    consumer.assign(sorted(left))
    for part in left:
        consumer.seek(part, max(begins[part], ends[part] - PER_PARTITION))
    until = monotonic() + TIMEOUT_S
    while left and monotonic() < until:
        for part, records in consumer.poll(timeout_ms=POLL_MS).items():
            for record in records:
                why = decoder.decode([record.value], [record.key], [record.offset]).unusable.get(0)
                refused = record.key and why is not None and why.kind == "key_mismatch"
                if record.offset < ends[part] and not refused:
                    yield Sample(topic=part.topic, partition=part.partition, offset=record.offset, key=record.key)
        done = {
            part for part in left if consumer.position(part) >= ends[part]
        }  # the last may be a transaction's marker
        left -= done
        if done:
            consumer.pause(*done)
