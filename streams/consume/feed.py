"""The feed of shards: each opens its partitions, gets what the consumer reads of them, and closes them."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from faust.types import TP

from segflow.schemas.settings import Settings
from segflow.streams.consume.placement import Claim
from segflow.streams.consume.shard_inputs import ShardInputs
from segflow.streams.consume.transport import Batch, PartitionGate, Reading
from segflow.streams.health.stalls import Reach
from segflow.streams.kafka.topic_kinds import READ

HELD_BATCHES: Final = 2
"""Batches of an input that a shard holds before nothing more is fetched from it: one under way, one ready."""

HELD_BYTES: Final = 2**23
"""Likewise bytes of keys and values. Two batches of 8,192 events of 500 bytes; records of 60 kB would take a gigabyte
before there are two batches of them. Bounds a commit, too, which takes no more than is held."""


class Feed(Protocol):
    """The source of a shard's inputs: the worker's consumer, or a test's."""

    async def open(self, partition: int, offsets: tuple[int, ...], inputs: ShardInputs) -> None:
        """Read all inputs of `partition` from the given offsets on, into `inputs`."""
        ...

    def close(self, partition: int) -> None:
        """Read nothing more of `partition`."""
        ...

    def reading(self, side: int, partition: int) -> Reading | None:
        """The position up to which an input was read; None while nothing was fetched."""
        ...


class KafkaFeed:
    """The worker's.

    Args:
        settings: the inputs' topics, and how many records a commit takes.
        consumer: Faust's, once there is one.
    """

    def __init__(self, settings: Settings, consumer: Callable[[], Any]) -> None:
        self.gate = PartitionGate(settings, self.full)
        self.topics: Final = tuple(str(getattr(settings.kafka.topics, role)) for role in READ)
        self._most_held = HELD_BATCHES * settings.worker.batch_max_records
        self._consumer = consumer
        self._inputs: dict[int, ShardInputs] = {}  # of the partitions that are open

    def claim(self, claim: Claim) -> None:
        """Say, when the group is divided next, that the worker has these shards."""
        self.gate.assignor.claim = claim

    async def open(self, partition: int, offsets: tuple[int, ...], inputs: ShardInputs) -> None:
        """See Feed."""
        places = {TP(topic, partition): offset for topic, offset in zip(self.topics, offsets, strict=True)}
        for place in places:
            self.gate.readings.pop(place, None)
        await self._consumer().open(places)
        self._inputs[partition] = inputs
        self.gate.open.update(places)

    def close(self, partition: int) -> None:
        """See Feed."""
        for topic in self.topics:
            self.gate.open.discard(TP(topic, partition))
        self._inputs.pop(partition, None)

    def reading(self, side: int, partition: int) -> Reading | None:
        """See Feed."""
        return self.gate.readings.get(TP(self.topics[side], partition))

    def full(self, place: TP) -> bool:
        """Whether a shard holds enough of an input: what is fetched is bounded, whatever waits in Kafka."""
        inputs = self._inputs.get(place.partition)
        if inputs is None:
            return True
        buffer = inputs.buffers[self._side(place)]
        return buffer.waiting >= self._most_held or buffer.waiting_bytes >= HELD_BYTES

    def deliver(self, place: TP, batch: Batch) -> None:
        """Put what the consumer read of a partition into its shard's buffer, unless it has been closed since."""
        inputs = self._inputs.get(place.partition)
        if inputs is not None:
            inputs.offer(self._side(place), batch)

    def reaches(self) -> dict[tuple[str, int], Reach]:
        """The progress of inputs that nothing holds back, by topic and partition. Called from the watchdog's thread."""
        reaches = {}
        for partition, inputs in list(self._inputs.items()):
            for side, topic in enumerate(self.topics):
                place = TP(topic, partition)
                if place not in self.gate.open or self.full(place):
                    continue
                arrived = inputs.buffers[side].read_to
                reading = self.gate.readings.get(place)
                position = arrived if reading is None else reading.position
                if reading is None or arrived >= reading.sent:
                    arrived = position  # past the transaction markers that no batch brings
                reaches[topic, partition] = Reach(position, arrived)
        return reaches

    def _side(self, place: TP) -> int:
        return self.topics.index(place.topic)
