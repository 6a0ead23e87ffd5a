"""The journal: one record a commit, from which a shard's state can be made again."""

from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.settings import Settings
from streams.encode import Message
from streams.execution import Plan
from streams.kafka_clients import aiokafka_options

TAIL_STEP: Final = 64
"""Records read at first when looking back from the end; a worker that stopped cleanly needs one."""


class JournalError(Exception):
    """The journal and the stored state do not belong together; going on could lose or repeat changes."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What was committed: the plan, where its inputs began, and what came of it."""

    plan: Plan
    purchases_from: int
    interactions_from: int
    changes: int
    dead_letters: int
    adopts: int | None  # version of the rules adopted before this commit's events, None where none were
    digest: str  # hash of the changes' content


_DECODER: Final = msgspec.json.Decoder(Entry)


def message(entry: Entry) -> Message:
    """The entry as the journal keeps it."""
    return Message(key=str(entry.plan.sequence).encode(), value=msgspec.json.encode(entry), headers=[])


async def read_after(settings: Settings, partition: int, sequence: int) -> list[Entry]:
    """The entries of a shard beyond commit `sequence`, oldest first, without a gap.

    Call it when no transaction of the shard is open (after InitTransactions): the last stable offset is the end then.
    Reads backwards from the end in growing steps, so that it costs what is missing and not what there is.

    Raises:
        JournalError: the entries do not reach back to `sequence`, or end before it.
    """
    place = TopicPartition(settings.kafka.topics.journal, partition)
    consumer = AIOKafkaConsumer(
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        **aiokafka_options(settings.kafka),
    )
    await consumer.start()
    try:
        consumer.assign([place])
        first = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        step = TAIL_STEP
        while True:
            start = max(first, end - step)
            entries = await _read(consumer, place, start, end)
            if start == first or (entries and entries[0].plan.sequence <= sequence + 1):
                break
            step *= 8
    finally:
        await consumer.stop()
    last = entries[-1].plan.sequence if entries else 0
    if last < sequence:
        raise JournalError(
            f"the journal of shard {partition} ({place.topic}) ends at commit {last}, before the state's {sequence}: "
            "it was deleted, or Kafka lost its end"
        )
    entries = [entry for entry in entries if entry.plan.sequence > sequence]
    if [entry.plan.sequence for entry in entries] != list(range(sequence + 1, sequence + 1 + len(entries))):
        raise JournalError(
            f"the journal of shard {partition} ({place.topic}) has no unbroken line of commits after {sequence}: "
            "it was cut or belongs to another installation"
        )
    return entries


async def _read(consumer: AIOKafkaConsumer, place: TopicPartition, start: int, end: int) -> list[Entry]:
    """Committed entries of offsets [start, end)."""
    consumer.seek(place, start)
    entries: list[Entry] = []
    while await consumer.position(place) < end:
        found = await consumer.getmany(place, timeout_ms=200)
        entries += [_DECODER.decode(record.value) for record in found.get(place, []) if record.offset < end]
    return entries
