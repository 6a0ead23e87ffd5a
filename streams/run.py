"""Files in, changes out: the engine over the memory store, with no server."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from aiokafka.partitioner import murmur2

from schemas.settings import Settings
from segments.instant import LATEST_US, UNKNOWN
from segments.rules import from_settings
from state.head import Head
from state.memory import MemoryStore
from streams import events
from streams.decode import Decoder
from streams.events import Chunk
from streams.execution import Executor, Outcome, Plan, plan_for
from streams.rulebook import Rulebook

BATCH_LINES: Final = 20_000
"""Lines of one batch: a few MB of memory; larger ones gain no speed."""


@dataclass(slots=True)
class MemoryShard:
    """One shard in memory, taking its log batch by batch."""

    settings: Settings
    rulebook: Rulebook
    partition: int = 0
    store: MemoryStore = field(default_factory=MemoryStore)
    executor: Executor = field(init=False)

    def __post_init__(self) -> None:
        self.executor = Executor(self.settings, self.rulebook, self.partition)
        self.store.take(Head(rules=self.rulebook.first.version), None)

    def feed(self, chunk: Chunk, wall_us: int) -> Outcome:
        """Apply the next records of the log, in their order, and sweep what they make due."""
        head = self._head()
        plan = plan_for(
            self.settings,
            head,
            purchases_to=head.purchases.offset + len(chunk),
            interactions_to=0,
            wall_us=wall_us,
            rules=self.rulebook.latest.version,
        )
        return self._commit(msgspec.structs.replace(plan, future_us=LATEST_US), chunk)

    def sweep(self, until_us: int, wall_us: int) -> Iterator[Outcome]:
        """Everybody up to max(C, until_us), in slices, and whatever new rules are still to be brought to customers."""
        while True:
            head = self._head()
            plan = plan_for(
                self.settings,
                head,
                purchases_to=head.purchases.offset,
                interactions_to=0,
                wall_us=wall_us,
                rules=self.rulebook.latest.version,
            )
            outcome = self._commit(msgspec.structs.replace(plan, sweep_us=until_us), events.none())
            yield outcome
            if not outcome.swept and self._head().adopting is None:
                return

    def _head(self) -> Head:
        head = self.store.head()
        assert head is not None
        return head

    def _commit(self, plan: Plan, chunk: Chunk) -> Outcome:
        outcome = self.executor.execute(plan, chunk, events.none(), self._head(), self.store)
        self.store.commit(outcome.write)
        return outcome


@dataclass(slots=True)
class FileRun:
    """The run of one log over one or more shards.

    A batch is one line's worth at a time of work for every shard; the order of the file is each shard's order.
    """

    settings: Settings
    shards: int = 1
    wall_us: int = 0
    rulebook: Rulebook = field(init=False)
    _shards: list[MemoryShard] = field(init=False)
    _decoder: Decoder = field(init=False)

    def __post_init__(self) -> None:
        self.rulebook = Rulebook(from_settings(self.settings))
        self._shards = [MemoryShard(self.settings, self.rulebook, number) for number in range(self.shards)]
        self._decoder = Decoder(self.settings, None)

    def feed(self, lines: list[bytes], first_line: int) -> Iterator[Outcome]:
        """Apply lines of the file in their order; `first_line` is the number of the first."""
        numbers = range(first_line, first_line + len(lines))
        if self.shards == 1:
            yield self._shards[0].feed(self._decoder.decode(lines, None, numbers), self.wall_us)
            return
        parts: list[list[int]] = [[] for _ in self._shards]
        whole = self._decoder.decode(lines, None, numbers)
        for row, customer_id in enumerate(whole.customer_ids):
            parts[shard_of(customer_id, self.shards)].append(row)
        for shard, rows in zip(self._shards, parts, strict=True):
            if rows:
                mine, its_numbers = [lines[row] for row in rows], [numbers[row] for row in rows]
                yield shard.feed(self._decoder.decode(mine, None, its_numbers), self.wall_us)

    def finish(self, until_us: int = UNKNOWN) -> Iterator[Outcome]:
        """Sweep every shard up to max(C, until_us)."""
        for shard in self._shards:
            yield from shard.sweep(until_us, self.wall_us)


def shard_of(customer_id: str, shards: int) -> int:
    """The partition Kafka's default partitioner gives a key."""
    return (int(murmur2(customer_id.encode())) & 0x7FFFFFFF) % shards


def read_lines(path: Path, batch: int = BATCH_LINES) -> Iterator[list[bytes]]:
    """The non-empty lines of a JSON Lines file, gzip too, in batches.

    Raises:
        OSError: the file cannot be read.
        EOFError: a gzip file ends in the middle.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        lines: list[bytes] = []
        for line in file:
            stripped = line.strip()
            if stripped:
                lines.append(stripped)
            if len(lines) == batch:
                yield lines
                lines = []
        if lines:
            yield lines
