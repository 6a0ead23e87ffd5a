"""The latest segments of customers who change shards: from one partition of `segments.current` to another."""

from typing import Final

from aiokafka.structs import TopicPartition

from segflow.engine.columns.messages import Header, Message, Messages
from segflow.operations.resharding.division import Division
from segflow.operations.resharding.transaction import LargeTransaction
from segflow.schemas.settings import Settings
from segflow.streams.kafka.partition_reader import PartitionReader

MOVED: Final = "resharded"
"""The header of a record that only moves: its value is the partition where the customer's records stand from now on."""


async def move_current(settings: Settings, division: Division, partition: int, written: LargeTransaction) -> None:
    """Move them out of one partition: their records go to the other, byte for byte, and a tombstone takes their place.

    Raises:
        aiokafka.errors.KafkaError: Kafka cannot be read or written.
    """
    topic = settings.kafka.topics.current
    moved: dict[bytes, int] = {}
    async with PartitionReader(settings.kafka, topic, partition) as reader:
        async for records in reader.slices(await reader.first(), await reader.end()):
            keyed = [record for record in records if record.key]
            homes = division.homes_of_keys([record.key for record in keyed]).tolist()
            going: dict[int, list[Message]] = {}
            for record, home in zip(keyed, homes, strict=True):
                if home == partition or not (record.value or record.key in moved):
                    continue
                moved[record.key] = home
                headers = [*(record.headers or ()), _said(home)]
                going.setdefault(home, []).append(Message(record.key, record.value or b"", headers))
            for home, messages in going.items():
                await written.add(TopicPartition(topic, home), Messages.of(messages))
    tombstones = [Message(key, b"", [_said(home)]) for key, home in moved.items()]
    await written.add(TopicPartition(topic, partition), Messages.of(tombstones))


def _said(home: int) -> Header:
    return MOVED, str(home).encode()
