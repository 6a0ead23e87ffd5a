"""Event files into Kafka: each event to its topic and its key's partition, as fast as the broker takes them."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic, time_ns
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer

from segflow.engine.decode.records import TOPIC_OF
from segflow.engine.partitioner import partitions_of
from segflow.operations.line_files import Lines
from segflow.schemas.settings import Settings
from segflow.streams.kafka.clients import aiokafka_options
from segflow.streams.runtime.errors import UsageError

BATCH_BYTES: Final = 256 << 10
"""Below the broker's default limit of 1 MiB a batch; measured, larger batches gain no speed."""
PENDING_BATCHES: Final = 256
"""Batches on their way whose answers are still out: 64 MiB at most."""
SLICE_S: Final = 0.02
"""At a limited rate, events go out in slices of this length: smooth, and few enough requests."""


class _Address(msgspec.Struct, gc=False):
    """The fields of an event that decide its topic and partition."""

    customer_id: str
    type: str


@dataclass(slots=True)
class Sent:
    """The numbers of records sent, by topic."""

    purchases: int = 0
    interactions: int = 0
    unreadable: int = 0  # among the purchases, without a key

    @property
    def records(self) -> int:
        """All of them."""
        return self.purchases + self.interactions


@dataclass(frozen=True, slots=True)
class Target:
    """One input topic and its number of partitions."""

    topic: str
    partitions: int


@dataclass(slots=True)
class Sender:
    """Places events and hands them to aiokafka in whole batches (20 times the speed of one `send` an event).

    Args:
        settings: topics and partitioner.
        producer: started.
        purchases, interactions: the topics, with their partitions.
        raw: lines that are no event go to the purchases topic as they are, with no key.
        rate: events a second, None: as fast as they are taken.
    """

    settings: Settings
    producer: Any  # aiokafka has no types
    purchases: Target
    interactions: Target
    raw: bool = False
    rate: float | None = None
    sent: Sent = field(default_factory=Sent)
    _open: dict[tuple[str, int], Any] = field(default_factory=dict)  # topic, partition -> batch being filled
    _answers: list[asyncio.Future[Any]] = field(default_factory=list)
    _started: float = field(default_factory=monotonic)
    _decoder: msgspec.json.Decoder[_Address] = field(default_factory=lambda: msgspec.json.Decoder(_Address))

    async def send(self, lines: Lines) -> None:
        """Send `lines`, at the rate asked for; returns when the last are handed over, not yet acknowledged.

        Raises:
            UsageError: a line is no event, and `raw` is not set; those before it are sent.
        """
        size = len(lines.values) if self.rate is None else max(1, int(self.rate * SLICE_S))
        for start in range(0, len(lines.values), size):
            if self.rate is not None:
                await asyncio.sleep(self._started + self.sent.records / self.rate - monotonic())
            await self._slice(lines, start, min(start + size, len(lines.values)))
            if self.rate is not None:
                await self._hand_over()

    async def flush(self) -> None:
        """Wait until everything is acknowledged.

        Raises:
            aiokafka.errors.KafkaError: something was not.
        """
        await self._hand_over()
        answers, self._answers = self._answers, []
        await asyncio.gather(*answers)

    async def _slice(self, lines: Lines, start: int, stop: int) -> None:
        values = lines.values[start:stop]
        keys: list[bytes | None] = []
        targets: list[Target] = []
        refused: UsageError | None = None
        for row, value in enumerate(values):
            try:
                address = self._decoder.decode(value)
                key = address.customer_id.encode()
            except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
                if not self.raw:
                    refused = UsageError(
                        f"{lines.file} line {lines.numbers[start + row]}: is no event ({error}). The lines before it "
                        "are sent; --raw sends such lines too, as they are and without a key."
                    )
                    break
                keys.append(None)
                targets.append(self.purchases)
                self.sent.unreadable += 1
                continue
            keys.append(key)
            targets.append(self.purchases if address.type in TOPIC_OF else self.interactions)
        await self._append(keys, targets, values)
        if refused is not None:
            await self.flush()
            raise refused

    async def _append(self, keys: list[bytes | None], targets: list[Target], values: list[bytes]) -> None:
        """Records into the batches of their partitions; a full batch is handed over."""
        now_ms = time_ns() // 1_000_000  # not the event's time: retention would delete history as it arrives
        hashed = [key or b"" for key in keys]
        partitioner = self.settings.kafka.partitioner
        places = {
            count: partitions_of(hashed, partitioner, count).tolist()
            for count in {self.purchases.partitions, self.interactions.partitions}
        }
        for row, (key, target) in enumerate(zip(keys, targets, strict=True)):
            place = (target.topic, places[target.partitions][row])
            batch = self._open.get(place) or self._begin(place)
            while batch.append(timestamp=now_ms, key=key, value=values[row]) is None:
                await self._send_batch(place)
                batch = self._begin(place)
            if target is self.purchases:
                self.sent.purchases += 1
            else:
                self.sent.interactions += 1

    def _begin(self, place: tuple[str, int]) -> Any:
        batch = self._open[place] = self.producer.create_batch()
        return batch

    async def _send_batch(self, place: tuple[str, int]) -> None:
        topic, partition = place
        self._answers.append(await self.producer.send_batch(self._open.pop(place), topic, partition=partition))
        if len(self._answers) >= PENDING_BATCHES:
            done, self._answers = self._answers[: PENDING_BATCHES // 2], self._answers[PENDING_BATCHES // 2 :]
            await asyncio.gather(*done)

    async def _hand_over(self) -> None:
        for place in list(self._open):
            await self._send_batch(place)


async def produce(
    settings: Settings,
    log: Iterable[Lines],
    on_progress: Callable[[Sent, int], None],
    *,
    raw: bool = False,
    rate: float | None = None,
) -> Sent:
    """Send every line of `log`; returns when all are acknowledged by all in-sync replicas.

    `on_progress` gets what was sent and how many bytes of the files were read. Within a partition the log's order
    holds. A retry never writes twice, except with `worker.guarantee: at_least_once`: a broker without transactions need
    not have idempotent producers either.

    Raises:
        UsageError: a topic is missing, the inputs' partitions differ, or a line is no event and `raw` is not set.
        aiokafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    producer = producer_of(settings)
    try:
        await producer.start()
        topics = settings.kafka.topics
        purchases, interactions = [await target(producer, name) for name in (topics.purchases, topics.interactions)]
        if purchases.partitions != interactions.partitions:
            raise UsageError(
                f"{purchases.topic} has {purchases.partitions} partitions, {interactions.topic} has "
                f"{interactions.partitions}: both must have equally many; see `segflow topics`"
            )
        sender = Sender(settings, producer, purchases, interactions, raw, rate)
        for lines in log:
            await sender.send(lines)
            on_progress(sender.sent, lines.done_bytes)
        await sender.flush()
        return sender.sent
    finally:
        await producer.stop()


def producer_of(settings: Settings) -> Any:
    """A producer that waits for all in-sync replicas; a retry never writes twice, where the broker can see to that."""
    return AIOKafkaProducer(
        **aiokafka_options(settings.kafka),
        acks="all",
        enable_idempotence=settings.worker.transactional,
        max_batch_size=BATCH_BYTES,
    )


async def target(producer: Any, topic: str) -> Target:
    """The topic's partitions, without making the topic.

    Raises:
        UsageError: there is no such topic.
    """
    metadata = await producer.client.fetch_all_metadata()
    partitions = metadata.partitions_for_topic(topic)
    if not partitions:
        raise UsageError(f"the topic {topic} does not exist: make it with `segflow topics --create`")
    return Target(topic, len(partitions))
