"""Reading given ranges of a shard's inputs again."""

from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.settings import Settings
from streams.kafka_clients import aiokafka_options


class InputReader:
    """A consumer of one shard's two inputs, outside the group. An async context."""

    def __init__(self, settings: Settings, partition: int) -> None:
        topics = settings.kafka.topics
        self._places = (TopicPartition(topics.purchases, partition), TopicPartition(topics.interactions, partition))
        self._control = TopicPartition(topics.control, 0)
        self._consumer = AIOKafkaConsumer(
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",  # an offset that retention has just cut is an error, not a leap to the end
            **aiokafka_options(settings.kafka),
        )

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(self._places)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def bounds(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The first offsets and the ends, each (purchases, interactions)."""
        first = await self._consumer.beginning_offsets(self._places)
        end = await self._consumer.end_offsets(self._places)
        purchases, interactions = self._places
        return (first[purchases], first[interactions]), (end[purchases], end[interactions])

    async def control_end(self) -> int:
        """The end of the control topic."""
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets([self._control])
        return ends[self._control]

    async def read(self, side: int, start: int, stop: int) -> list[Any]:
        """The committed records of offsets [start, stop) of one input.

        Raises:
            aiokafka.errors.OffsetOutOfRangeError: they are not all there.
        """
        if start >= stop:
            return []
        place = self._places[side]
        self._consumer.seek(place, start)
        records: list[Any] = []
        while await self._consumer.position(place) < stop:
            found = await self._consumer.getmany(place, timeout_ms=200)
            records += [record for record in found.get(place, []) if record.offset < stop]
        return records
