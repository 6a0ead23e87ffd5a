"""The state that all parts of a shard share: its clients, and how far it has come."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from segflow.schemas.settings import Settings
from segflow.segments.instant import UNKNOWN
from segflow.state.head import Head
from segflow.state.parking import Parked
from segflow.state.store import Store
from segflow.streams.consume.feed import Feed
from segflow.streams.consume.input_gate import InputGate
from segflow.streams.consume.shard_inputs import ShardInputs
from segflow.streams.control.recut import RecutCoordinator
from segflow.streams.control.topic import Control
from segflow.streams.health.metrics import Metrics
from segflow.streams.health.telemetry import Telemetry
from segflow.streams.publish.packing import Packing
from segflow.streams.publish.publisher import Publisher
from segflow.streams.shard.parking import Parking
from segflow.streams.state_topic.reader import TopicFacts

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class ShardState:
    """Partition p of the inputs, as this process has it."""

    settings: Settings
    partition: int
    partitions: int  # of each input
    topic_ids: tuple[str, ...]  # of purchases, interactions and what is handed over
    state_topic: TopicFacts
    control: Control
    store: Store
    feed: Feed
    metrics: Metrics
    packing: Packing  # of the worker
    parking: Parking  # of the worker
    look_at_topics: Callable[[], Awaitable[bool]]  # whether they are as they were; else every shard is parked by now
    short_entries: bool = False  # in the journal: no version of segflow is at work that cannot read them
    clock_is_right: Callable[[], bool] = lambda: True  # this machine's, as far as others say
    telemetry: Telemetry | None = None  # of the worker, where it is on
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    acquired: bool = False  # by this worker: its inputs are open
    copying: str = ""  # how far its state is copied, while it is; for people
    trouble: str = ""  # the error it was last released for; empty once it is acquired again
    parked: Parked | None = None  # why it does not go on; None again once it has committed, or had nothing to do
    note_stands: bool = False  # Redis may say that it is parked, and did not answer when that was to be erased
    uncommitted_since_s: float | None = None  # of monotonic; a commit is being published, and none was done yet
    concluded_us: int = UNKNOWN  # everything up to here was worked, silence too, as far as this worker knows
    labels: dict[tuple[str, str], int] | None = None  # customers by dimension and label; None: not counted, or not yet
    head: Head = field(init=False)  # as stored; from the first acquisition on
    publisher: Publisher | None = None  # while it is acquired, and while it is being
    inputs: ShardInputs = field(init=False)
    gate: InputGate = field(init=False)
    recut_coordinator: RecutCoordinator = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    @property
    def halted(self) -> bool:
        """Whether nothing more is to be begun."""
        return self.stopping.is_set() or self.parking.hold is not None

    async def goes_on(self) -> None:
        """It works; where it was parked, nobody is to say so any more."""
        if self.parked is None and not self.note_stands:
            return
        self.note_stands = not await self.parking.note(self.partition, None)
        if self.parked is not None:
            # As one text, of which there is no other: the limit on like messages must leave no shard out.
            log.warning(f"shard {self.partition} goes on; it was parked ({self.parked.reason})")  # noqa: G004
            self.parked = None

    @property
    def uncommitted_s(self) -> float:
        """Seconds for which a commit has been under way, in however many tries; 0: none is."""
        since_s = self.uncommitted_since_s
        return 0.0 if since_s is None else monotonic() - since_s

    @property
    def obstacle(self) -> str:
        """The reason that Kafka gives for not taking the commit under way; empty where it gives none."""
        publisher = self.publisher
        return "" if publisher is None else publisher.obstacle

    def worked_to(self, side: int) -> int:
        """The offset up to which an input is in the state; transaction markers behind its last record are passed over.

        Read in this order, for records travel from `reading` to the buffer to a commit: none slips by unseen.
        """
        offset = self.head.positions[side].offset
        reading, buffer = self.feed.reading(side, self.partition), self.inputs.buffers[side]
        if reading is None or buffer.read_to < reading.sent or buffer.waiting or buffer.offset > offset:
            return offset
        return max(offset, reading.position)

    def begin(self) -> None:
        """Forget what was read: the next acquisition begins where the head stands."""
        self.inputs = ShardInputs(*self.control.decoders)
        self.gate = InputGate(
            settings=self.settings,
            partition=self.partition,
            feed=self.feed,
            inputs=self.inputs,
            clock_is_right=self.clock_is_right,
        )
        self.inputs.traced = self.telemetry is not None
        self.recut_coordinator = RecutCoordinator(self.partition, self.partitions, self.control)

    def note_labels(self, counts: Sequence[tuple[str, str, int]]) -> None:
        """A commit made so many customers more, or fewer, by dimension and label."""
        if self.labels is not None:
            for dimension, label, count in counts:
                self.labels[dimension, label] = self.labels.get((dimension, label), 0) + count
