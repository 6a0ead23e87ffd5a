"""What a shard has been given to read and has not taken yet, of both inputs."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from streams import events
from streams.decode import Decoder
from streams.events import Chunk


@dataclass(slots=True)
class Side:
    """One input: decoded chunks in their order, and where the next record will be."""

    decoder: Decoder
    offset: int = 0  # the next one to take
    chunks: deque[Chunk] = field(default_factory=deque)
    raw: deque[Sequence[Any]] = field(default_factory=deque)  # fetched, not decoded yet

    @property
    def waiting(self) -> int:
        """Records held."""
        return sum(map(len, self.chunks)) + sum(map(len, self.raw))

    def peek(self, most: int) -> Chunk:
        """At most `most` records from the front; decodes what it needs. The rest stays raw."""
        held = sum(map(len, self.chunks))
        while self.raw and held < most:
            records = self.raw.popleft()
            chunk = self.decoder.decode(
                [record.value for record in records],
                [record.key for record in records],
                [record.offset for record in records],
            )
            self.chunks.append(chunk)
            held += len(chunk)
        joined = events.join(list(self.chunks))
        self.chunks = deque([joined] if len(joined) else [])
        return joined if len(joined) <= most else joined.slice(0, most)

    def take(self, count: int, position: int | None) -> None:
        """Drop the first `count` records; `position`: how far the partition was read, if all that was read is taken."""
        if count:
            front = self.chunks.popleft()
            self.offset = int(front.offsets[count - 1]) + 1
            if count < len(front):
                self.chunks.appendleft(front.slice(count, len(front)))
        if position is not None and not self.waiting:
            self.offset = max(self.offset, position)


class Inbox:
    """Both sides, and a bell that rings when something came."""

    def __init__(self, purchases: Decoder, interactions: Decoder) -> None:
        self.sides = (Side(purchases), Side(interactions))
        self.arrived = asyncio.Event()

    def offer(self, side: int, records: Sequence[Any]) -> None:
        """Put records in; those before the side's offset are repeats of a fetch and are left out."""
        last = self.sides[side]
        fresh = [record for record in records if record.offset >= last.offset]
        if fresh:
            last.raw.append(fresh)
            self.arrived.set()
