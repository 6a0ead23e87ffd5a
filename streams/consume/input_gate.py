"""The gate of a shard's inputs: the records it may work on now, and whether more must be waited for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from segflow.engine.columns.events import HANDOVER, INTERACTIONS, PURCHASES, Chunk
from segflow.engine.decode.merge_inputs import ready
from segflow.engine.decode.transfers import UnreadableMessageError
from segflow.schemas.settings import Settings
from segflow.segments.instant import UNKNOWN, duration_us
from segflow.streams.consume.feed import Feed
from segflow.streams.consume.shard_inputs import ShardInputs
from segflow.streams.kafka.topic_kinds import READ

INPUTS: Final = (PURCHASES, INTERACTIONS, HANDOVER)


class OutOfRangeError(Exception):
    """An input has not got the offset that is next; acquiring the shard says why."""


class NewLeaderError(OutOfRangeError):
    """Records of another leader have come; acquiring the shard compares its log with what was read before."""


class UnreadableRecordError(Exception):
    """A record that other shards handed over, and is no merge message; the message has the way past it."""


@dataclass(kw_only=True)
class InputGate:
    """One shard's, from when it is acquired until it is released."""

    settings: Settings
    partition: int
    feed: Feed
    inputs: ShardInputs
    clock_is_right: Callable[[], bool] = lambda: True  # this machine's; while it is not, nothing is judged by it
    _held_since_us: int | None = None  # since when one input keeps the other waiting

    def chunks(self, wall_us: int, clock_us: int) -> tuple[Chunk, Chunk, Chunk]:
        """The records of all inputs that are next in the shard's order; they stay where they are.

        What was handed over waits, while an input is behind, until the shard (whose time is `clock_us`) has come as far
        as the shard that handed it over had; nothing waits for it.

        While this machine's clock is not to be trusted, an event ahead of it waits, and what comes behind it.

        Raises:
            NewLeaderError, OutOfRangeError: an input cannot be read on.
            UnreadableRecordError: the next record that was handed over is no merge message.
        """
        if self.inputs.new_leader:
            raise NewLeaderError(f"an input has a new leader ({self.inputs.new_leader}): has it all that was read?")
        most = self.settings.worker.batch_max_records
        try:
            purchases, interactions, handed = (buffer.peek(most) for buffer in self.inputs.buffers)
        except UnreadableMessageError as error:
            raise UnreadableRecordError(
                f"{self.settings.kafka.topics.handover}, partition {self.partition}, {error}: another program wrote "
                f"it. To go on behind it, type `segflow reset --shard {self.partition} --input handover --to "
                f"{error.offset + 1} --force`; and take that program's right to write to the topic"
            ) from error
        latest_us = wall_us + duration_us(self.settings.worker.future_max)
        waits = (self._more_to_come(PURCHASES, len(purchases)), self._more_to_come(INTERACTIONS, len(interactions)))
        counts = ready(purchases, interactions, waits, latest_us)
        if not any(counts) and (len(purchases) or len(interactions)):
            self._held_since_us = self._held_since_us or wall_us
            if wall_us - self._held_since_us >= duration_us(self.settings.worker.merge_wait):
                counts = (len(purchases), len(interactions))  # waited long enough for the other input
        if any(counts):
            self._held_since_us = None
        if not self.clock_is_right():
            counts = _before(purchases, counts[0], latest_us), _before(interactions, counts[1], latest_us)
        taken = purchases.slice(0, counts[0]), interactions.slice(0, counts[1])
        if not len(handed):
            return *taken, handed
        behind = any(self._more_to_come(side, counts[side]) for side in (PURCHASES, INTERACTIONS))
        times_us = [int(part.occurred_us[part.usable].max(initial=UNKNOWN)) for part in taken]
        return *taken, _up_to(handed, max(clock_us, *times_us)) if behind else handed

    def caught_up(self) -> bool:
        """Whether all inputs were read to their end, and all of that was worked."""
        return not any(self._more_to_come(side, 0) for side in INPUTS)

    def horizon_us(self, wall_us: int) -> int:
        """The sweep's horizon by the wall clock: when all inputs were last seen read to their end, less the grace.

        UNKNOWN where the sweep may go to C only.
        """
        if self.settings.clock == "event" or not self.clock_is_right() or not self.caught_up():
            return UNKNOWN
        readings = [self.feed.reading(side, self.partition) for side in INPUTS]
        seen_us = min(reading.fetched_us for reading in readings if reading is not None)
        return min(seen_us, wall_us) - duration_us(self.settings.worker.grace)

    def _more_to_come(self, side: int, seen: int) -> bool:
        """Whether the input has records beyond those `seen` that are not at hand.

        Asked in this order, for records travel from Kafka to `read_to` to `waiting`: none slips by unseen.
        """
        reading = self.feed.reading(side, self.partition)
        if reading is not None and reading.out_of_range:
            raise OutOfRangeError(f"{READ[side]} has not got offset {self.inputs.buffers[side].read_to}")
        if reading is None or reading.end is None or reading.position < reading.end:
            return True
        mine = self.inputs.buffers[side]
        return mine.read_to < reading.sent or mine.waiting > seen


def _before(chunk: Chunk, count: int, latest_us: int) -> int:
    """The number of the first `count` records that come before one that would be refused as of the future."""
    ahead = np.flatnonzero(chunk.usable[:count] & (chunk.occurred_us[:count] > latest_us))
    return int(ahead[0]) if len(ahead) else count


def _up_to(handed: Chunk, time_us: int) -> Chunk:
    """The first records that are no later."""
    later = np.flatnonzero(handed.occurred_us > time_us)
    return handed.slice(0, int(later[0])) if len(later) else handed
