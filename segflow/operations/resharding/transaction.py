"""One Kafka transaction over the partitions of many shards: what a reshard writes is there at once, or not at all."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Final, Self

from aiokafka.errors import InvalidTransactionTimeout
from aiokafka.structs import TopicPartition

from segflow.engine.columns.messages import Messages
from segflow.schemas.settings import Settings
from segflow.streams.publish.packing import Packing
from segflow.streams.publish.transactional_producer import TransactionalProducer
from segflow.streams.runtime.errors import UsageError

TIMEOUT_S: Final = 900.0
"""Kafka's default of transaction.max.timeout.ms, the longest that a broker lets a transaction be open."""
FULL: Final = 8192
"""Records sent at once: a few megabytes."""


class LargeTransaction:
    """A transaction as the producer of shard 0. An async context; left without `commit`, it leaves nothing.

    A worker that takes shard 0 meanwhile fences it, and the other way round.
    """

    def __init__(self, settings: Settings, places: Iterable[TopicPartition]) -> None:
        self._places = list(places)
        self._packing = Packing(settings)
        self._timeout_s = max(TIMEOUT_S, settings.worker.transaction_timeout.total_seconds())
        self._producer = TransactionalProducer(settings.kafka, f"{settings.kafka.group}-0", int(self._timeout_s * 1000))
        self._waiting: dict[TopicPartition, list[Messages]] = defaultdict(list)
        self._records = 0

    async def __aenter__(self) -> Self:
        try:
            await self._producer.start(sorted({place.topic for place in self._places}))
            await self._producer.begin(self._places)
        except InvalidTransactionTimeout as error:
            await self._producer.close()
            raise UsageError(
                f"the broker refuses a transaction of {self._timeout_s:.0f} s: raise its transaction.max.timeout.ms to "
                f"{self._timeout_s * 1000:.0f}"
            ) from error
        except BaseException:
            await self._producer.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.close()

    async def add(self, place: TopicPartition, messages: Messages) -> None:
        """Write messages behind those of the same place; soon."""
        if not len(messages):
            return
        self._waiting[place].append(messages)
        self._records += len(messages)
        if self._records >= FULL:
            await self.flush()

    async def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting, self._records = self._waiting, defaultdict(list), 0
        if waiting:
            joined = {place: Messages.join(parts) for place, parts in waiting.items()}
            await self._producer.send(await self._packing.packed(joined))

    async def placed(self, single: Mapping[TopicPartition, Messages]) -> dict[TopicPartition, int]:
        """Write one message to each place, now; the offsets they got."""
        await self.flush()
        await self._producer.send(await self._packing.packed(single))
        return {place: self._producer.offsets[place] for place in single}

    async def commit(self) -> None:
        """Make all of it visible.

        Raises:
            aiokafka.errors.KafkaError: whether it is, is unknown.
        """
        await self.flush()
        await self._producer.end()
