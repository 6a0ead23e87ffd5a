"""One partition of a topic, read again outside any group: committed records, in slices, in their order."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition

from segflow.schemas.connection_settings import Kafka
from segflow.streams.kafka.bounded_fetch import bounded
from segflow.streams.kafka.clients import aiokafka_options
from segflow.streams.kafka.leader_epochs import UNKNOWN_EPOCH, epoch_end, leader_epoch
from segflow.streams.runtime.errors import UsageError

SLICE_RECORDS: Final = 2_000
"""Records handed out at once: a few megabytes at most, and few enough awaits a record."""
POLL_MS: Final = 200
"""The time one poll waits; records that are there come at once."""
SETTLE_S: Final = 30.0
"""The time by which an open transaction may outlive its timeout: the broker looks for such ones every 10 s."""
SETTLE_POLL_S: Final = 0.05
TAIL_STEP: Final = 64
"""Offsets looked back from the end at first; a worker that stopped cleanly needs two."""
GROWTH: Final = 4
"""The factor by which each look goes further back. Few looks are needed, and at most this many times the missing part
is read."""
FoundT = TypeVar("FoundT")


class PartitionReader:
    """A consumer of one partition. An async context.

    Never jumps: a record that retention has cut raises aiokafka.errors.OffsetOutOfRangeError where it is read.

    since: an offset; what stands before it is taken for cut.
    """

    def __init__(self, kafka: Kafka, topic: str, partition: int, since: int = 0) -> None:
        self.place = TopicPartition(topic, partition)
        self._since = since
        self._options = aiokafka_options(kafka) | {"enable_auto_commit": False, "auto_offset_reset": "none"}
        self._consumer: Any = None  # while the context is open: one that never starts would be missed by its library
        self._held: deque[Any] = deque()  # fetched, beyond what was asked for
        self._next: int | None = None  # the offset after the last one handed out

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(isolation_level="read_committed", **self._options)
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop()  # a start that failed leaves its client open
            raise
        bounded(self._consumer)
        self._consumer.assign([self.place])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def first(self) -> int:
        """The oldest offset that is kept."""
        return max(self._since, int((await self._consumer.beginning_offsets([self.place]))[self.place]))

    async def end(self) -> int:
        """The offset after the last committed record (the last stable offset)."""
        return await self.end_of(self.place)

    async def end_of(self, place: TopicPartition) -> int:
        """The same of another partition."""
        return int((await self._consumer.end_offsets([place]))[place])

    async def leader_epoch(self) -> int:
        """The epoch of the partition's leader; see streams/kafka/leader_epochs.py."""
        return await leader_epoch(self._consumer._client, self.place)  # noqa: SLF001 - it has no such question

    async def diverged_at(self, offset: int, epoch: int) -> int | None:
        """The first offset from which the partition no longer has what was read of it up to `offset`; None: it has all.

        Args:
            offset: the next one to read.
            epoch: of the leader that took the record before it, UNKNOWN_EPOCH: nothing can be said.
        """
        if epoch == UNKNOWN_EPOCH:
            return None
        found = await epoch_end(self._consumer._client, self.place, epoch)  # noqa: SLF001
        if found is None:
            return None
        if found.epoch == UNKNOWN_EPOCH:  # nothing that old is left: right only where retention has cut it
            first = await self.first()
            return first if first < offset else None
        return found.end if found.end < offset else None

    async def settled_end(self, transaction_timeout_s: float) -> int:
        """The end, once every transaction that is open now has ended.

        A transaction over several partitions ends in one a moment after the other, and that of a killed worker when the
        broker gives it up.

        Raises:
            UsageError: one stays open.
        """
        uncommitted = AIOKafkaConsumer(**self._options)
        await uncommitted.start()
        try:
            high = int((await uncommitted.end_offsets([self.place]))[self.place])
        finally:
            await uncommitted.stop()
        until = time.monotonic() + transaction_timeout_s + SETTLE_S
        while (end := await self.end()) < high:
            if time.monotonic() > until:
                raise UsageError(
                    f"{self.place.topic} partition {self.place.partition}: a transaction stays open beyond "
                    "worker.transaction_timeout, and hides what comes after it. See kafka-transactions.sh find-hanging"
                )
            await asyncio.sleep(SETTLE_POLL_S)
        return end

    async def slices(self, start: int, stop: int) -> AsyncIterator[list[Any]]:
        """The committed records of offsets [start, stop), oldest first, at most SLICE_RECORDS at a time.

        Reading on from where the last call stopped costs no new fetch of what has been fetched already.
        """
        if start >= stop:
            return
        if start != self._next:
            self._consumer.seek(self.place, start)
            self._held.clear()
        self._next = None  # unless it comes to its end
        while True:
            records = []
            while self._held and self._held[0].offset < stop:
                records.append(self._held.popleft())
            if records:
                yield records
            if self._held or await self._consumer.position(self.place) >= stop:
                self._next = stop
                return
            found = await self._consumer.getmany(self.place, timeout_ms=POLL_MS, max_records=SLICE_RECORDS)
            self._held.extend(found.get(self.place, ()))

    async def last(self, stop: int, read: Callable[[Any], FoundT | None]) -> FoundT | None:
        """The result of `read` for the last committed record before `stop` that has one; None: no record has.

        Found stepping back, so that it costs what stands behind that record, not what there is.
        """
        first, step = await self.first(), TAIL_STEP
        while True:
            start, found = max(first, stop - step), None
            async for records in self.slices(start, stop):
                for record in records:
                    made = read(record)
                    found = found if made is None else made
            if found is not None or start == first:
                return found
            step *= GROWTH

    async def record_from(self, start: int, stop: int) -> Any | None:
        """The first committed record of offsets [start, stop), None where there is none."""
        self._next = None
        self._held.clear()
        self._consumer.seek(self.place, start)
        while await self._consumer.position(self.place) < stop:
            found = await self._consumer.getmany(self.place, timeout_ms=POLL_MS, max_records=1)
            for record in found.get(self.place, ()):
                return record if record.offset < stop else None
        return None
