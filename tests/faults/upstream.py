"""A producer of the inputs that works in transactions and aborts some."""

from aiokafka import AIOKafkaProducer

from segflow.engine.partitioner import partition_of
from tests.faults.installation import Installation
from tests.faults.stream import Record


async def in_transactions(installed: Installation, records: list[Record], *, committed: int = 2) -> int:
    """Each record in a transaction of its own; how many were committed: one of so many, 0: none."""
    producer = AIOKafkaProducer(
        bootstrap_servers=installed.direct, transactional_id=f"{installed.settings.kafka.group}-upstream"
    )
    await producer.start()
    try:
        for number, record in enumerate(records):
            await producer.begin_transaction()
            topic = getattr(installed.settings.kafka.topics, record.role)
            partition = partition_of(record.customer.encode(), "murmur2", installed.partitions)
            await producer.send_and_wait(topic, key=record.key, value=record.value, partition=partition)
            commits = committed and number % committed == 0
            await (producer.commit_transaction() if commits else producer.abort_transaction())
    finally:
        await producer.stop()
    return -(-len(records) // committed) if committed else 0
