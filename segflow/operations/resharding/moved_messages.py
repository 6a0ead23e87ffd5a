"""Messages between shards that were not read yet: to the partitions where their customers live from now on."""

from aiokafka.structs import TopicPartition

from segflow.engine.columns import merge_messages
from segflow.engine.columns.messages import Message, Messages
from segflow.operations.resharding.division import Division
from segflow.operations.resharding.old_shards import OldShard
from segflow.operations.resharding.transaction import LargeTransaction
from segflow.schemas.settings import Settings
from segflow.streams.kafka.partition_reader import PartitionReader


async def move_messages(settings: Settings, division: Division, shard: OldShard, written: LargeTransaction) -> None:
    """Write them again, in their order, where the shards go on to read.

    Raises:
        msgspec.MsgspecError: a record is none of segflow's.
        aiokafka.errors.KafkaError: Kafka cannot be read or written.
    """
    if shard.head is None:
        return
    topic = settings.kafka.topics.handover
    async with PartitionReader(settings.kafka, topic, shard.partition) as reader:
        start = max(shard.head.handover.offset, await reader.first())
        async for records in reader.slices(start, await reader.end()):
            for record in records:
                to = merge_messages.decode(record.value).to
                home = int(division.homes([to])[0]) if to else 0  # shard 0 has the merge ledger
                message = Message(record.key or b"", record.value, record.headers or ())
                await written.add(TopicPartition(topic, home), Messages.of([message]))
