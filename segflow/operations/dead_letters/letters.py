"""Dead letters as they stand in their topic, filtered, with those that were sent again marked."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from segflow.engine.encode.dead_letters import replayed_offset
from segflow.schemas.settings import Settings
from segflow.segments.instant import NEVER, UNKNOWN
from segflow.streams.kafka.partition_reader import PartitionReader


class Content(msgspec.Struct, frozen=True):
    """The content of a dead letter: segflow.schemas.change.DeadLetter, with its bytes as bytes."""

    reason: str
    kind: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    cut: bool = False
    key_bytes: int | None = None  # of a key that was cut

    @property
    def whole(self) -> bool:
        """Whether it has all of the record."""
        return not self.cut and self.key_bytes is None

    @property
    def source(self) -> str:
        """The record it is about, as TOPIC/PARTITION/OFFSET."""
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """One dead letter. `offset`: its own, in the partition of the dead letters that it was read from."""

    offset: int
    found_us: int  # when it was written
    content: Content
    replayed: bool  # the record was sent again, by `segflow dead-letters --replay`


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """The dead letters that are asked for; None: any."""

    kinds: frozenset[str] = frozenset()  # empty: any
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    customer: str | None = None
    since_us: int = int(UNKNOWN)
    until_us: int = int(NEVER)

    def has(self, letter: Letter) -> bool:
        """Whether it is one of them."""
        content = letter.content
        return (
            (not self.kinds or content.kind in self.kinds)
            and self.topic in (None, content.topic)
            and self.partition in (None, content.partition)
            and self.offset in (None, content.offset)
            and self.since_us <= letter.found_us < self.until_us
            and (self.customer is None or _is_of(content, self.customer))
        )


_CONTENT = msgspec.json.Decoder(Content)


class _Customer(msgspec.Struct):
    customer_id: str


_CUSTOMER = msgspec.json.Decoder(_Customer)


def _is_of(content: Content, customer: str) -> bool:
    """Whether the record has this customer as its key, or in a value that can be read."""
    if content.key == customer.encode():
        return True
    with suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
        return _CUSTOMER.decode(content.value or b"").customer_id == customer
    return False


async def letters(settings: Settings, partition: int, wanted: Wanted, stop: int | None = None) -> AsyncIterator[Letter]:
    """The dead letters of one partition that are asked for, oldest first.

    The partition is read twice: once for the marks of what was sent again, which stand behind their letters. What is no
    dead letter is passed over.

    Args:
        settings: where they are.
        partition: of the dead letters' topic.
        wanted: which to give.
        stop: the offset to end before; None: all there are now.

    Raises:
        aiokafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    async with PartitionReader(settings.kafka, settings.kafka.topics.dead_letters, partition) as reader:
        start = await reader.first()
        stop = await reader.end() if stop is None else stop
        marked = {
            offset
            async for records in reader.slices(start, stop)
            for offset in map(replayed_offset, records)
            if offset is not None
        }
        async for records in reader.slices(start, stop):
            for letter in _letters(records, marked):
                if wanted.has(letter):
                    yield letter


def _letters(records: list[Any], marked: set[int]) -> list[Letter]:
    found = []
    for record in records:
        with suppress(msgspec.MsgspecError):
            content = _CONTENT.decode(record.value or b"")
            found.append(
                Letter(
                    offset=record.offset,
                    found_us=record.timestamp * 1000,
                    content=content,
                    replayed=record.offset in marked,
                )
            )
    return found
