"""Reading given ranges of a shard's inputs again."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from aiokafka import TopicPartition

from segflow.schemas.settings import Settings
from segflow.state.head import Position
from segflow.streams.kafka.partition_reader import PartitionReader
from segflow.streams.kafka.topic_kinds import READ


class InputReader:
    """Readers of what one shard reads, outside the group. An async context."""

    def __init__(self, settings: Settings, partition: int) -> None:
        names = [getattr(settings.kafka.topics, role) for role in READ]
        self._sides = [PartitionReader(settings.kafka, name, partition) for name in names]
        self._control = TopicPartition(settings.kafka.topics.control, 0)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for side in self._sides:
                await stack.enter_async_context(side)
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def bounds(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The first offsets and the ends, each of purchases, interactions and what was handed over."""
        first = [await each.first() for each in self._sides]
        return tuple(first), tuple([await each.end() for each in self._sides])

    async def leader_epochs(self) -> tuple[int, ...]:
        """The epochs of their leaders, UNKNOWN_EPOCH where the broker does not say."""
        return tuple([await each.leader_epoch() for each in self._sides])

    async def diverged_at(self, positions: Sequence[Position]) -> tuple[int | None, ...]:
        """From where on each no longer has what was read of it; None: it has all of it."""
        asked = zip(self._sides, positions, strict=True)
        return tuple([await side.diverged_at(each.offset, each.leader_epoch) for side, each in asked])

    async def control_end(self) -> int:
        """The end of the control topic."""
        return await self._sides[0].end_of(self._control)

    async def read(self, side: int, start: int, stop: int) -> list[Any]:
        """The committed records of offsets [start, stop) of one input: a commit's, so as many as one takes."""
        return [record async for slice_ in self._sides[side].slices(start, stop) for record in slice_]
