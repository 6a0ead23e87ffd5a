"""One shard's partition of a topic of segflow's own: the journal, the state topic."""

from types import TracebackType
from typing import Self

from segflow.schemas.connection_settings import Kafka
from segflow.streams.kafka.partition_reader import PartitionReader


class ShardTopicReader:
    """One shard's partition of a topic of segflow's own, of which subclasses know the records. An async context."""

    def __init__(self, kafka: Kafka, topic: str, partition: int, since: int = 0) -> None:
        self.topic = topic
        self._partition = partition
        self._reader = PartitionReader(kafka, topic, partition, since)

    async def __aenter__(self) -> Self:
        await self._reader.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._reader.__aexit__(kind, error, trace)

    @property
    def where(self) -> str:
        """Topic and partition, for people."""
        return f"{self.topic}, partition {self._partition}"

    async def first(self) -> int:
        """The oldest offset."""
        return await self._reader.first()

    async def end(self) -> int:
        """The offset after the last committed record."""
        return await self._reader.end()
