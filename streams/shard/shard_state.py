"""The state that all parts of a shard share: its clients, and how far it has come."""

import asyncio
from dataclasses import dataclass, field

from segflow.schemas.settings import Settings
from segflow.segments.instant import UNKNOWN
from segflow.state.head import Head
from segflow.state.store import Store
from segflow.streams.consume.feed import Feed
from segflow.streams.consume.input_gate import InputGate
from segflow.streams.consume.shard_inputs import ShardInputs
from segflow.streams.control.recut import RecutCoordinator
from segflow.streams.control.topic import Control
from segflow.streams.health.metrics import Metrics
from segflow.streams.publish.packing import Packing
from segflow.streams.publish.publisher import Publisher


@dataclass(kw_only=True)
class ShardState:
    """Partition p of the inputs, as this process has it."""

    settings: Settings
    partition: int
    partitions: int  # of each input
    topic_ids: tuple[str, ...]  # of purchases, interactions and what is handed over
    control: Control
    store: Store
    feed: Feed
    metrics: Metrics
    packing: Packing  # of the worker
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    acquired: bool = False  # by this worker: its inputs are open
    trouble: str = ""  # the error it was last released for; empty once it is acquired again
    concluded_us: int = UNKNOWN  # everything up to here was worked, silence too, as far as this worker knows
    head: Head = field(init=False)  # as stored; from the first acquisition on
    publisher: Publisher | None = None  # while it is acquired, and while it is being
    inputs: ShardInputs = field(init=False)
    gate: InputGate = field(init=False)
    recut_coordinator: RecutCoordinator = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was read: the next acquisition begins where the head stands."""
        self.inputs = ShardInputs(*self.control.decoders)
        self.gate = InputGate(settings=self.settings, partition=self.partition, feed=self.feed, inputs=self.inputs)
        self.recut_coordinator = RecutCoordinator(self.partition, self.partitions, self.control)
