"""The latest records of both inputs: whether producers place keys as the settings say, and whether they are events.

A record whose key is not its customer_id becomes a dead letter and harms nobody wherever it lies, so it is passed over:
one bad record must not keep a worker from starting.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from time import monotonic
from typing import Final

import numpy as np
import numpy.typing as npt
from kafka import KafkaConsumer, TopicPartition

from segflow.engine.columns.events import INTERACTIONS, PURCHASES, Unusable
from segflow.engine.decode.merge_inputs import MISPLACED, refuse_future, refuse_misplaced
from segflow.engine.decode.records import Decoder
from segflow.engine.partitioner import PARTITIONERS, Partitioner, partition_of, partitions_of
from segflow.schemas.settings import Settings
from segflow.segments.instant import duration_us
from segflow.streams.kafka.clients import committed_reader
from segflow.streams.kafka.decompression import OversizedBatchError
from segflow.streams.runtime.wall_clock import now_us

PER_PARTITION: Final = 100
"""A wrong partitioner misplaces (n - 1) / n of the keys of n partitions: a hundred cannot all be right by chance."""
TIMEOUT_S: Final = 10.0
"""Bounds a start; what was read by then is judged."""
POLL_MS: Final = 500
CLIENTS: Final = {
    "murmur2": "Java clients; kafka-python and aiokafka; librdkafka with partitioner=murmur2_random",
    "crc32": "librdkafka clients (Python's confluent-kafka, Go, Node) by default, partitioner=consistent_random",
}
"""The clients that use each partitioner, for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeySample:
    """The place of one record, as its producer chose it. `refused`: the reason for which it cannot be used."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    refused: Unusable | None = None
    value: bytes | None = None  # of the first of its topic that is refused

    @property
    def harmless(self) -> bool:
        """Whether it becomes a dead letter wherever it lies: its key is not its customer."""
        return bool(self.key) and self.refused is not None and self.refused.kind == "key_mismatch"


def check_keys(settings: Settings, partitions: int) -> str | None:
    """A problem with the keys of the latest records of both inputs, with the setting to change; None: all is well.

    Raises:
        kafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    return placement_problem(key_samples(settings), settings.kafka.partitioner, partitions)


def key_samples(settings: Settings) -> list[KeySample]:
    """Up to PER_PARTITION of the latest records of every partition of both inputs; reads in no consumer group.

    Raises:
        kafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    topics = settings.kafka.topics
    with closing(committed_reader(settings.kafka)) as consumer:
        parts = [
            TopicPartition(topic, partition)
            for topic in (topics.purchases, topics.interactions)
            for partition in sorted(consumer.partitions_for_topic(topic) or ())
        ]
        decoders = {
            topics.purchases: Decoder(settings, PURCHASES),
            topics.interactions: Decoder(settings, INTERACTIONS),
        }
        latest_us = now_us() + duration_us(settings.worker.future_max)
        return list(_latest(consumer, parts, decoders, latest_us, settings.kafka.partitioner)) if parts else []


def _latest(
    consumer: KafkaConsumer,
    parts: list[TopicPartition],
    decoders: dict[str, Decoder],
    latest_us: int,
    by: Partitioner,
) -> Iterator[KeySample]:
    """`latest_us`: events after it are of the future."""
    refused_topics: set[str] = set()
    counts = Counter(part.topic for part in parts)
    begins, ends = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
    left = {part for part in parts if ends[part] > begins[part]}
    if not left:
        return
    consumer.assign(sorted(left))
    for part in left:
        consumer.seek(part, max(begins[part], ends[part] - PER_PARTITION))
    until = monotonic() + TIMEOUT_S
    while left and monotonic() < until:
        try:
            found = consumer.poll(timeout_ms=POLL_MS)
        except OversizedBatchError:
            return  # a dead letter by and by; what was read until here is judged
        for part, records in found.items():
            for record in records:
                if record.offset >= ends[part]:
                    continue
                chunk = decoders[part.topic].decode([record.value], [record.key], [record.offset])
                chunk = refuse_misplaced(refuse_future(chunk, latest_us), part.partition, counts[part.topic], by)
                why = chunk.unusable.get(0)
                shown = why is not None and why.kind != MISPLACED and part.topic not in refused_topics
                refused_topics |= {part.topic} if shown else set()
                yield KeySample(
                    topic=part.topic,
                    partition=part.partition,
                    offset=record.offset,
                    key=record.key,
                    refused=why,
                    value=record.value if shown else None,
                )
        done = {
            part for part in left if consumer.position(part) >= ends[part]
        }  # the last may be a transaction's marker
        left -= done
        if done:
            consumer.pause(*done)


def placement_problem(
    samples: Iterable[KeySample], partitioner: Partitioner, partitions: int, *, before: int = 0
) -> str | None:
    """A problem with the placement of `samples`, with the producer's setting to change; None: all is well.

    `partitions` is the number of partitions of both inputs, `before` the one they had when workers ran, if it is known.
    A record without a key becomes a dead letter and harms nobody, so a few are let pass; where most of a topic's have
    none, its producer sends none.
    """
    samples = [sample for sample in samples if not sample.harmless]
    keyed = [sample for sample in samples if sample.key]
    problems = _unkeyed(samples)
    placed = np.array([sample.partition for sample in keyed], dtype=np.int64)
    wrong = np.flatnonzero(placed != _places(keyed, partitioner, partitions))
    if len(wrong):
        elsewhere = [keyed[row] for row in wrong.tolist()]
        if before and bool((placed[wrong] == _places(elsewhere, partitioner, before)).all()):
            problems.append(_from_before(elsewhere, len(keyed), before, partitions))
        else:
            problems.append(_mismatch(keyed, wrong, placed, partitioner, partitions))
    return "; ".join(problems) or None


def _unkeyed(samples: list[KeySample]) -> list[str]:
    """A problem for each topic most of whose records have no key."""
    problems = []
    for topic in sorted({sample.topic for sample in samples}):
        mine = [sample for sample in samples if sample.topic == topic]
        without = [sample for sample in mine if not sample.key]
        if 2 * len(without) > len(mine):
            problems.append(
                f"{len(without)} of {len(mine)} sampled records of {topic} have no key (such as {_where(without[0])}): "
                "the producer must send the customer_id as the key"
            )
    return problems


def _places(samples: list[KeySample], partitioner: Partitioner, partitions: int) -> npt.NDArray[np.int64]:
    return partitions_of([sample.key or b"" for sample in samples], partitioner, partitions)


def _from_before(elsewhere: list[KeySample], sampled: int, before: int, partitions: int) -> str:
    topics = ", ".join(sorted({sample.topic for sample in elsewhere}))
    return (
        f"{len(elsewhere)} of {sampled} sampled keys of {topics} are where they belonged when there were {before} "
        f"partitions, and belong elsewhere of {partitions}: partitions were added. No producer is at fault"
    )


def _mismatch(
    samples: list[KeySample],
    wrong: npt.NDArray[np.intp],
    placed: npt.NDArray[np.int64],
    partitioner: Partitioner,
    partitions: int,
) -> str:
    first = samples[int(wrong[0])]
    expected = partition_of(first.key or b"", partitioner, partitions)
    topics = ", ".join(sorted({samples[row].topic for row in wrong.tolist()}))
    found = (
        f"{len(wrong)} of {len(samples)} sampled keys of {topics} are not where kafka.partitioner = {partitioner} puts "
        f"them (the key {_shown(first)} of {_where(first)} belongs on partition {expected} of {partitions})"
    )
    others = [
        name
        for name in PARTITIONERS
        if name != partitioner and bool((placed == _places(samples, name, partitions)).all())
    ]
    if others:
        return (
            f"{found}. Every sampled key is where {others[0]} puts it ({CLIENTS[others[0]]}): set kafka.partitioner: "
            f"{others[0]} in segflow.yaml, or {_producer_advice(partitioner)}"
        )
    return (
        f"{found}. No one partitioner explains all of them: producers place keys in different ways, or partitions "
        f"were added. For the producers: {_producer_advice(partitioner)}; then `segflow dead-letters --reason "
        f"wrong_partition --replay` sends the misplaced again. Looked at are the latest {PER_PARTITION} records of "
        "each partition, so this is said until newer ones stand there"
    )


def _producer_advice(partitioner: Partitioner) -> str:
    setting = "murmur2_random" if partitioner == "murmur2" else "consistent_random"
    java = "Java's default is murmur2" if partitioner == "murmur2" else "Java clients have no crc32"
    return f"set partitioner={setting} in librdkafka producers ({java})"


def _where(sample: KeySample) -> str:
    return f"{sample.topic} partition {sample.partition} offset {sample.offset}"


def _shown(sample: KeySample) -> str:
    """The key as text, cut; what is no text in it is escaped."""
    return repr((sample.key or b"").decode(errors="backslashreplace")[:80])
