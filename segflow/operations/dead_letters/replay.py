"""Records of dead letters into their inputs again, each once (docs/decisions/084-a-replay-marks-the-dead-letter.md)."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from aiokafka.structs import TopicPartition

from segflow.engine.columns.messages import Message, Messages
from segflow.engine.encode.dead_letters import REPLAYED
from segflow.engine.partitioner import partition_of
from segflow.operations.dead_letters.letters import Letter, Wanted, letters
from segflow.schemas.settings import Settings
from segflow.streams.kafka.partition_reader import PartitionReader
from segflow.streams.publish.packing import Packing
from segflow.streams.publish.transactional_producer import TransactionalProducer

TRANSACTION_LETTERS: Final = 200
TRANSACTION_BYTES: Final = 4 << 20
"""Of one transaction, whichever is reached first: little memory, and a fraction of a second on the wire."""


@dataclass(slots=True)
class Outcome:
    """The outcome of a replay."""

    sent: int = 0
    before: int = 0  # were sent by an earlier replay
    refused: list[tuple[Letter, str]] = field(default_factory=list)  # with why they cannot be sent


class _NothingToSendError(Exception):
    """A record that cannot be sent again; the message says why."""


class Replay:
    """Sends what dead letters are about to their input topics again. An async context.

    One transaction has the records and, beside each dead letter, a mark that it was sent. The transactional id is the
    installation's own: a second replay that begins fences this one, and sees all marks of it. With
    `worker.guarantee: at_least_once` there is no transaction: one that is killed may send up to TRANSACTION_LETTERS
    again, and events count once by their `event_id`.

    Args:
        settings: of the installation.
        partitions: of both inputs, and of the dead letters.
    """

    def __init__(self, settings: Settings, partitions: int) -> None:
        self._settings = settings
        self._partitions = partitions
        self._transactional = settings.worker.transactional
        self._timeout_s = settings.worker.transaction_timeout.total_seconds()
        self._packing = Packing(settings)
        self._producer = TransactionalProducer(
            settings.kafka,
            f"{settings.kafka.group}-replay" if self._transactional else None,
            int(self._timeout_s * 1000),
        )
        self.outcome = Outcome()

    async def __aenter__(self) -> Self:
        names = self._settings.kafka.topics
        try:
            await self._producer.start((names.purchases, names.interactions, names.dead_letters))
        except BaseException:
            await self._producer.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.close()

    async def run(self, wanted: Wanted) -> Outcome:
        """Send every wanted record that was not sent before.

        Raises:
            UsageError: another transaction stays open.
            aiokafka.errors.KafkaError: what is sent by then is marked; type it again.
        """
        for partition, stop in enumerate(await self._ends()):
            batch: list[tuple[Letter, bytes, bytes]] = []
            async for letter in letters(self._settings, partition, wanted, stop):
                if letter.replayed:
                    self.outcome.before += 1
                    continue
                try:
                    batch.append((letter, *await self._record(letter)))
                except _NothingToSendError as why:
                    self.outcome.refused.append((letter, str(why)))
                size_bytes = sum(len(value) for _, _, value in batch)
                if len(batch) == TRANSACTION_LETTERS or size_bytes >= TRANSACTION_BYTES:
                    await self._send(partition, batch)
                    batch = []
            await self._send(partition, batch)
        return self.outcome

    async def _ends(self) -> list[int]:
        """The end of the dead letters in each partition, before anything is sent: what comes back is not sent anew.

        Transactions that are open now are waited for: one of them may hide marks that are committed already.
        """
        topic = self._settings.kafka.topics.dead_letters
        ends = []
        for partition in range(self._partitions):
            async with PartitionReader(self._settings.kafka, topic, partition) as reader:
                ends.append(await reader.settled_end(self._timeout_s))
        return ends

    async def _record(self, letter: Letter) -> tuple[bytes, bytes]:
        """The record's key and value.

        Raises:
            _NothingToSendError: there are none.
        """
        content = letter.content
        if content.value is None:
            raise _NothingToSendError("it has no value (a tombstone, or a batch that is too large as a whole)")
        if not content.key:
            raise _NothingToSendError(
                "it has no key, and would be refused again: send the event anew, keyed by its customer_id"
            )
        if content.whole:
            return content.key, content.value
        async with PartitionReader(self._settings.kafka, content.topic, content.partition) as reader:
            if await reader.first() <= content.offset < await reader.end():
                record = await reader.record_from(content.offset, content.offset + 1)
                if record is not None and record.value is not None:
                    return bytes(record.key), bytes(record.value)
        raise _NothingToSendError("the dead letter has only its beginning, and the input no longer has the record")

    async def _send(self, partition: int, batch: list[tuple[Letter, bytes, bytes]]) -> None:
        """One transaction: the records, and their marks beside the dead letters."""
        if not batch:
            return
        topic = self._settings.kafka.topics.dead_letters
        records: dict[TopicPartition, list[Message]] = {}
        for letter, key, value in batch:
            place = partition_of(key, self._settings.kafka.partitioner, self._partitions)
            came = (REPLAYED, f"{topic}/{partition}/{letter.offset}".encode())
            records.setdefault(TopicPartition(letter.content.topic, place), []).append(Message(key, value, [came]))
        marks = [
            Message(letter.content.key or b"", b"", [(REPLAYED, str(letter.offset).encode())]) for letter, _, _ in batch
        ]
        filled = await self._packing.packed(
            {place: Messages.of(each) for place, each in records.items()}
            | {TopicPartition(topic, partition): Messages.of(marks)}
        )
        if self._transactional:
            await self._producer.begin(filled)
            await self._producer.send(filled)
            await self._producer.end()
        else:
            for place, listed in filled.items():  # the marks, the last, only once all records are there
                await self._producer.send({place: listed})
        self.outcome.sent += len(batch)
