"""Whether a shard's state could be rebuilt without Redis, from the journal and the inputs."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from kafka import TopicPartition

from segflow.schemas.settings import Settings
from segflow.streams.journal.entry import Entry
from segflow.streams.journal.entry_codec import decode
from segflow.streams.kafka.first_records import Bounds, FirstRecords
from segflow.streams.kafka.topic_kinds import READ


def obstacles(settings: Settings, topic_ids: tuple[str, ...], partitions: Iterable[int]) -> dict[int, str]:
    """By shard, the reason for which its state could not be made again; empty text where it could.

    Looks at the journal's first commit and at the oldest records kept, so it costs the same for any history. A shard
    that could not be looked at in time is left out.

    Args:
        settings: where the topics are.
        topic_ids: of what shards read, as Kafka has them now.
        partitions: the shards to look at.

    Raises:
        kafka.errors.KafkaError: Kafka does not answer or refuses.
    """
    names = settings.kafka.topics
    shards = sorted(partitions)
    control = TopicPartition(names.control, 0)
    journals = {number: TopicPartition(names.journal, number) for number in shards}
    inputs = [TopicPartition(getattr(names, role), number) for number in shards for role in READ]
    with FirstRecords(settings.kafka) as topics:
        bounds = topics.bounds([control, *journals.values(), *inputs])
        firsts = topics.oldest({place: bounds[place] for place in journals.values()})
    return {
        number: _of_journal(number, firsts[place], settings, topic_ids, bounds)
        for number, place in journals.items()
        if place in firsts
    }


def _of_journal(
    number: int,
    record: Any,
    settings: Settings,
    topic_ids: tuple[str, ...],
    bounds: Mapping[TopicPartition, Bounds],
) -> str:
    """The obstacle of a shard whose journal's first record is `record`, None where there is none."""
    names = settings.kafka.topics
    first = bounds[TopicPartition(names.journal, number)].first
    if record is None:
        return f"{names.journal} was cut at its offset {first:,}" if first else ""
    try:
        entry = decode(record.value)
    except msgspec.MsgspecError:
        return f"{names.journal} begins with a record that is no commit, at offset {record.offset:,}"
    cut = bounds[TopicPartition(names.control, 0)].first
    if cut:
        return f"{names.control} was cut at its offset {cut:,}"
    return _obstacle(entry, number, settings, topic_ids, bounds)


def _obstacle(
    entry: Entry,
    number: int,
    settings: Settings,
    topic_ids: tuple[str, ...],
    bounds: Mapping[TopicPartition, Bounds],
) -> str:
    """The reason for which a replay from the journal's first entry on would stop; empty: none is seen."""
    names = settings.kafka.topics
    if entry.plan.sequence != 1:
        return f"{names.journal} begins with commit {entry.plan.sequence:,}: those before were cut"
    starts = (entry.purchases_from, entry.interactions_from, entry.handover_from)
    for role, start, then, now in zip(READ, starts, entry.topic_ids, topic_ids, strict=False):
        topic = getattr(names, role)
        if now and then != now:
            return f"{topic} was deleted and made again"
        first = bounds[TopicPartition(topic, number)].first
        if first > start:
            return f"{topic} is kept from offset {first:,} on, and was counted from {start:,} on"
    return ""
