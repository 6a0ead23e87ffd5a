"""The publisher of a shard: everything of a commit becomes visible at once, or not at all."""

from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka.structs import TopicPartition

from segflow.engine.columns.messages import Message, Messages
from segflow.schemas.settings import Settings
from segflow.streams.publish.packing import Packing
from segflow.streams.publish.transactional_producer import TransactionalProducer
from segflow.streams.runtime.failpoints import failpoint

Records = Mapping[str, Messages]
"""Topic to messages, all for one partition each."""

UNKNOWN_OFFSET: Final = -1
"""Kafka's where a batch was there already and it does not know any more where."""
PUBLISH_S: Final = 60.0
"""Bounds a producer that hangs; longer than the 40 s after which aiokafka itself gives a batch up."""


class JournalShortenedError(Exception):
    """The journal took a commit's entry at an offset where one stood before: it has lost its last records."""


class Publisher:
    """The producer of transactional id `{group}-{partition}`; starting it fences whoever had that id before.

    Any error leaves the transaction's fate unknown: the publisher is then closed and the shard acquired again. With the
    guarantee at_least_once there is no transaction and no fencing: the journal's record goes last, and a crash before
    it repeats what was published.

    packing: that of the worker. journal_end: where the journal ended when it was read; later entries stand behind it.
    """

    def __init__(self, settings: Settings, partition: int, packing: Packing | None = None) -> None:
        self._packing = packing or Packing(settings)
        self._partition = partition
        self.journal_end = 0
        self._topics = settings.kafka.topics
        self._transactional = settings.worker.transactional
        self._producer = TransactionalProducer(
            settings.kafka,
            f"{settings.kafka.group}-{partition}" if self._transactional else None,
            int(settings.worker.transaction_timeout.total_seconds() * 1000),
        )

    @property
    def obstacle(self) -> str:
        """Kafka's reason for which the commit under way is tried again; empty while nothing is in its way."""
        return self._producer.obstacle

    @property
    def transactional(self) -> bool:
        """Whether a commit becomes visible at once."""
        return self._transactional

    @property
    def state_end(self) -> int | None:
        """An offset of `segments.state` before which all is committed; None: not known before the first commit."""
        offset = self._producer.offsets.get(TopicPartition(self._topics.state, self._partition), UNKNOWN_OFFSET)
        return None if offset == UNKNOWN_OFFSET else offset

    async def start(self) -> None:
        """InitTransactions: ends the transaction of any earlier producer with this id and fences it."""
        names = self._topics
        await self._producer.start(
            (
                names.changes,
                names.alerts,
                names.current,
                names.dead_letters,
                names.control,
                names.handover,
                names.journal,
                *([names.state] if self.transactional else []),
            )
        )

    async def publish(
        self,
        records: Records,
        control_topics: frozenset[str] = frozenset(),
        handover: Sequence[tuple[int, Message]] = (),
    ) -> None:
        """One transaction with all `records`, on the shard's own partition (0 in a control topic).

        `handover`: what is for the shards of other partitions.

        Raises:
            JournalShortenedError: it was not committed, but with at_least_once.
            aiokafka.errors.KafkaError: whether it was committed is known only from the journal.
        """
        filled = await self._packing.packed(
            self._handed_over(handover)
            | {
                TopicPartition(topic, 0 if topic in control_topics else self._partition): messages
                for topic, messages in records.items()
                if len(messages)
            }
        )
        if self._transactional:
            await self._producer.begin(filled)
            await self._producer.send(filled)
            self._check_journal()
            failpoint("commit:produced")
            await self._producer.end()
            return
        for place, listed in filled.items():  # the journal's record, the last, only once all others are there
            await self._producer.send({place: listed})
        self._check_journal()
        failpoint("commit:produced")

    def _check_journal(self) -> None:
        """Check that the entry stands behind all earlier ones."""
        offset = self._producer.offsets.get(TopicPartition(self._topics.journal, self._partition), UNKNOWN_OFFSET)
        if UNKNOWN_OFFSET < offset < self.journal_end:
            raise JournalShortenedError(
                f"{self._topics.journal}, partition {self._partition}, has lost its records from offset {offset} on, "
                f"and reached to {self.journal_end}"
            )
        self.journal_end = max(self.journal_end, offset + 1)

    def _handed_over(self, handover: Sequence[tuple[int, Message]]) -> dict[TopicPartition, Messages]:
        """By partition, in their order."""
        found: dict[int, list[Message]] = {}
        for partition, each in handover:
            found.setdefault(partition, []).append(each)
        return {
            TopicPartition(self._topics.handover, partition): Messages.of(listed) for partition, listed in found.items()
        }

    async def close(self) -> None:
        """Stop; an open transaction is left to the next producer of this id, which ends it."""
        await self._producer.close()
