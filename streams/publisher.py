"""One shard's transactional producer: everything a commit publishes becomes visible at once, or not at all."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas.settings import Settings
from streams.crash_points import reach
from streams.kafka_clients import aiokafka_options
from streams.messages import Messages
from streams.record_batch import batches

Records = Mapping[str, Messages]
"""Topic to messages, all for one partition each."""


class Publisher:
    """The producer of transactional id `{group}-{partition}`; starting it fences whoever had that id before.

    Any error leaves the transaction's fate unknown: the publisher is then closed and the shard taken anew. With the
    guarantee at_least_once there is no transaction and no fencing: the journal's record goes last, and a crash before
    it repeats what was published.
    """

    def __init__(self, settings: Settings, partition: int) -> None:
        self._partition = partition
        self._transactional = settings.worker.guarantee == "exactly_once"
        self._producer = AIOKafkaProducer(
            transactional_id=f"{settings.kafka.group}-{partition}" if self._transactional else None,
            transaction_timeout_ms=int(settings.worker.transaction_timeout.total_seconds() * 1000),
            acks="all",
            linger_ms=0,
            **aiokafka_options(settings.kafka),
        )

    async def start(self) -> None:
        """InitTransactions: ends the transaction of any earlier producer with this id and fences it."""
        await self._producer.start()

    async def publish(self, records: Records, control_topics: frozenset[str] = frozenset()) -> None:
        """One transaction with all `records`, on the shard's own partition (0 in a control topic).

        Raises:
            aiokafka.errors.KafkaError: whether it was committed is known only from the journal.
        """
        if self._transactional:
            await self._producer.begin_transaction()
        futures: list[Any] = []
        for topic, messages in records.items():
            partition = 0 if topic in control_topics else self._partition
            filled = batches(messages, time.time_ns() // 1_000_000, transactional=self._transactional)
            futures += [await self._producer.send_batch(batch, topic, partition=partition) for batch in filled]
            if not self._transactional:
                await asyncio.gather(*futures)  # the journal's record, the last, only once all others are there
        await asyncio.gather(*futures)
        reach("commit:produced")
        if self._transactional:
            await self._producer.commit_transaction()

    async def close(self) -> None:
        """Stop; an open transaction is left to the next producer of this id, which ends it."""
        await self._producer.stop()
