"""Reading one shard's partition of `segments.state`."""

from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple, Protocol

from segflow.schemas.settings import Settings
from segflow.segments.instant import SECOND_US
from segflow.state import topic_layout
from segflow.state.head import Head
from segflow.state.layout import LayoutError
from segflow.state.topic_layout import Pair, StatePart
from segflow.streams.journal.journal import JournalError
from segflow.streams.kafka.shard_topic_reader import ShardTopicReader
from segflow.streams.kafka.topic_kinds import TOMBSTONE_RETENTION
from segflow.streams.kafka.topics_report import Topic

KAFKAS_RETENTION_MS: Final = 86_400_000
"""Kafka's default of delete.retention.ms."""
MARGIN: Final = 2
"""A state is brought up to date while it is younger than the time for which tombstones stay, divided by this: clocks
differ, and copying takes a while."""


class StateTopicError(JournalError):
    """`segments.state` cannot be read; its message says what to do."""


class TopicFacts(NamedTuple):
    """The facts about the topic without which it cannot be used."""

    topic_id: str
    fresh_us: int  # a state that is older may have missed a tombstone

    @classmethod
    def of(cls, topic: Topic) -> "TopicFacts":
        """Those of the topic as Kafka has it."""
        kept_ms = int(topic.configs.get(TOMBSTONE_RETENTION, KAFKAS_RETENTION_MS))
        return cls(topic.topic_id, kept_ms * SECOND_US // 1000 // MARGIN)


class StateSource(Protocol):
    """Records of `segments.state`, to be copied: in the topic, or in a file."""

    @property
    def where(self) -> str:
        """The place, for people."""
        ...

    def parts(self, start: int, end: int) -> AsyncIterator[tuple[StatePart, int, int]]:
        """The records of offsets [start, end) in slices: each with the number of its records and where it ends.

        Raises:
            StateTopicError: a record cannot be read.
        """
        ...


class StateTopicReader(ShardTopicReader):
    """One shard's partition. Use it when no transaction of the shard is open."""

    def __init__(self, settings: Settings, partition: int) -> None:
        super().__init__(settings.kafka, settings.kafka.topics.state, partition)

    async def last_head(self, end: int) -> Head | None:
        """The last head before `end`: what the topic has is the state of that commit. None: there is none.

        Raises:
            StateTopicError: it cannot be read.
        """
        return await self._reader.last(end, self._head)

    async def parts(self, start: int, end: int) -> AsyncIterator[tuple[StatePart, int, int]]:
        """See StateSource."""
        async for records in self._reader.slices(start, end):
            try:
                part = topic_layout.decode((record.key or b"", record.value) for record in records)
            except LayoutError as error:
                raise self._unreadable(error) from error
            yield part, len(records), records[-1].offset + 1

    async def pairs(self, start: int, end: int) -> AsyncIterator[list[Pair]]:
        """The same records as they are, in slices."""
        async for records in self._reader.slices(start, end):
            yield [(record.key or b"", record.value) for record in records]

    def _head(self, record: Any) -> Head | None:
        if not topic_layout.is_head(record):
            return None
        try:
            return topic_layout.head_of(record.key, record.value)
        except LayoutError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> StateTopicError:
        return StateTopicError(f"{self.where}: {error}")
