"""A worker's shard over real Kafka and Redis whose inputs are given to it, so that each commit is of known events."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import msgspec

from benchmarks.installation import Installation, WorkerFailedError
from segflow.engine.columns.events import INTERACTIONS, PURCHASES
from segflow.engine.commit.execute import CommitResult
from segflow.engine.decode.records import TOPIC_OF
from segflow.engine.encode.change_json import Encoder
from segflow.state.parking import ParkingNotes
from segflow.streams.consume.shard_inputs import ShardInputs
from segflow.streams.consume.transport import Batch, Reading
from segflow.streams.control.topic import Control
from segflow.streams.health.metrics import Metrics
from segflow.streams.kafka import topics
from segflow.streams.publish.packing import Packing
from segflow.streams.runtime.wall_clock import now_us
from segflow.streams.shard.commit_batcher import CommitBatcher
from segflow.streams.shard.parking import Parking
from segflow.streams.shard.shard import Shard
from segflow.streams.shard.shard_state import ShardState
from segflow.streams.state_topic.reader import TopicFacts

PARTITION: Final = 0
"""All customers are in this shard, whatever their keys: what a commit costs does not depend on the others."""
POLL_S: Final = 0.05
"""Between two looks whether the shard is acquired, which takes some tenths of a second."""
GIVE_UP_S: Final = 60.0
"""For that, or for a commit; a shard gives one up itself after so long."""


class _Address(msgspec.Struct):
    """The fields of an event that decide its topic and partition."""

    customer_id: str
    type: str


@dataclass(frozen=True, slots=True)
class InputRecord:
    """The fields of a record that a shard needs, under aiokafka's names."""

    offset: int
    key: bytes
    value: bytes


Portion = tuple[list[InputRecord], list[InputRecord]]
"""Purchases and interactions, each in its order."""


def portions(values: Sequence[bytes], sizes: Sequence[int]) -> list[Portion]:
    """The events, as JSON in their order, in portions of so many; offsets count from 0 in each input."""
    decoder = msgspec.json.Decoder(_Address)
    found: list[Portion] = []
    offsets = [0, 0]
    start = 0
    for size in sizes:
        portion: Portion = ([], [])
        for value in values[start : start + size]:
            address = decoder.decode(value)
            side = TOPIC_OF.get(address.type, INTERACTIONS)
            portion[side].append(InputRecord(offsets[side], address.customer_id.encode(), value))
            offsets[side] += 1
        found.append(portion)
        start += size
    return found


@dataclass(slots=True)
class Inputs:
    """A shard's inputs, all that there is of them read at any time; see segflow.streams.consume.feed.Feed."""

    read_to: list[int] = field(default_factory=lambda: [0, 0, 0])

    async def open(self, partition: int, offsets: tuple[int, ...], inputs: ShardInputs) -> None:  # noqa: ARG002 - Feed's signature
        """From the given offsets on."""
        self.read_to = list(offsets)

    def close(self, partition: int) -> None:
        """Nothing is held."""

    def reading(self, side: int, partition: int) -> Reading:  # noqa: ARG002 - Feed's signature
        """Up to what was given."""
        offset = self.read_to[side]
        return Reading(position=offset, end=offset, fetched_us=now_us(), sent=offset)


class _Committed(Metrics):
    """Rings when a commit is done, before the shard begins its pause after it."""

    def __init__(self) -> None:
        super().__init__()
        self.bell = asyncio.Event()

    def committed(self, result: CommitResult, records: int, took_s: float) -> None:
        super().committed(result, records, took_s)
        self.bell.set()


@dataclass(frozen=True, slots=True)
class FedShard:
    """A shard that is being worked by a task."""

    shard: Shard
    inputs: Inputs
    working: asyncio.Task[None]
    bell: asyncio.Event

    async def commit(self, portion: Portion) -> None:
        """Let the shard have these events, which it takes into one commit, and wait until that is done.

        Raises:
            WorkerFailedError: the shard stopped, or it takes longer than GIVE_UP_S.
        """
        for side, records in zip((PURCHASES, INTERACTIONS), portion, strict=True):
            start = self.inputs.read_to[side]
            self.inputs.read_to[side] += len(records)
            self.shard.state.inputs.offer(side, Batch(records, start, self.inputs.read_to[side]))
        while [each.offset for each in self.shard.state.head.positions] != self.inputs.read_to:
            self.bell.clear()
            rung = asyncio.create_task(self.bell.wait())
            await asyncio.wait({rung, self.working}, timeout=GIVE_UP_S, return_when=asyncio.FIRST_COMPLETED)
            rung.cancel()
            if not self.bell.is_set():
                raise WorkerFailedError(f"the shard did not commit what it was given: {self._trouble}")

    async def until_taken(self) -> None:
        """Until the shard reads its inputs.

        Raises:
            WorkerFailedError: the shard stopped, or it takes longer than GIVE_UP_S.
        """
        give_up_s = monotonic() + GIVE_UP_S
        while not self.shard.state.acquired:
            stopped = self.working.done() or self.shard.state.parked is not None
            if stopped or monotonic() > give_up_s:
                raise WorkerFailedError(f"the shard was not acquired: {self._trouble}")
            await asyncio.sleep(POLL_S)

    @property
    def _trouble(self) -> str:
        state = self.shard.state
        return state.trouble if state.parked is None else state.parked.why


async def as_ever() -> bool:
    """The topics are as they were."""
    return True


@asynccontextmanager
async def fed_shard(site: Installation) -> AsyncIterator[FedShard]:
    """The shard, acquired, while the block lasts; worked on this event loop as a worker does it."""
    settings, inputs, metrics = site.settings, Inputs(), _Committed()
    control = Control(settings)
    await asyncio.to_thread(control.start, lambda: 0)
    report = await asyncio.to_thread(topics.check, settings)
    state = ShardState(
        settings=settings,
        partition=PARTITION,
        partitions=1,  # whatever its key, every record of the history is this shard's
        topic_ids=report.input_ids,
        state_topic=TopicFacts.of(report.topics["state"]),
        control=control,
        store=site.stores()[PARTITION],
        feed=inputs,
        metrics=metrics,
        packing=Packing(settings),
        parking=Parking(ParkingNotes(site.servers, settings.redis.prefix)),
        look_at_topics=as_ever,
    )
    look_every_s = settings.worker.sweep_every.total_seconds()
    batcher = CommitBatcher(encoder=Encoder(settings.currency), linger_s=0.0, look_every_s=look_every_s)
    shard = Shard(state, batcher)  # no other shard is waited for
    following = asyncio.create_task(control.follow())
    fed = FedShard(shard, inputs, asyncio.create_task(shard.run()), metrics.bell)
    try:
        await fed.until_taken()
        yield fed
    finally:
        shard.stop()
        await fed.working
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
