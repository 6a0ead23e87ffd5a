"""State written straight into Redis, through the real executor and store but without Kafka."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks.bench import Bench
from benchmarks.installation import PARTITIONS, Installation
from schemas.settings import Settings
from segments.instant import LATEST_US, UNKNOWN
from segments.rules import from_settings
from state.head import Head
from state.store import Store
from streams import events
from streams.events import Chunk, Kind
from streams.execution import Executor, plan_for
from streams.partitioner import partitions_of
from streams.rulebook import Rulebook

BATCH_EVENTS: Final = 8192
"""As a worker's batch."""
SLICE: Final = 100_000
"""Customers named and placed at once."""


@dataclass(slots=True)
class FilledShard:
    """One shard being filled. Its head says that nothing was read yet, so a worker can take it from there."""

    settings: Settings
    rulebook: Rulebook
    partition: int
    store: Store
    head: Head = field(init=False)
    _executor: Executor = field(init=False)

    def __post_init__(self) -> None:
        self._executor = Executor(self.settings, self.rulebook, self.partition)
        self.head = Head(rules=self.rulebook.first.version)
        self.store.take(self.head, None)

    def apply(self, chunk: Chunk, sweep_us: int = UNKNOWN) -> int:
        """One commit: the events of `chunk`, then due customers up to `sweep_us`; returns how many were due."""
        plan = plan_for(
            self.settings,
            self.head,
            purchases_to=0,
            interactions_to=0,
            wall_us=0,
            rules=self.rulebook.latest.version,
        )
        plan = msgspec.structs.replace(plan, future_us=LATEST_US, sweep_us=sweep_us, sweep_limit=BATCH_EVENTS)
        self.store.begin(self.head)
        outcome = self._executor.execute(plan, chunk, events.none(), self.head, self.store)
        self.store.commit(outcome.write)
        self.head = outcome.write.head
        return outcome.swept


def fill(
    bench: Bench, site: Installation, ids: Iterator[list[str]], times_us: npt.NDArray[np.int64], sweep_us: int
) -> None:
    """Every customer of `ids` purchases at each of `times_us` (ascending); then all are swept up to `sweep_us`.

    The customers' shards are those their keys have in Kafka.
    """
    rulebook = Rulebook(from_settings(site.settings))
    stores = site.stores()
    shards = [FilledShard(site.settings, rulebook, number, store) for number, store in enumerate(stores)]
    size = max(1, BATCH_EVENTS // len(times_us))
    done = 0
    for names in ids:
        placed = partitions_of([name.encode() for name in names], site.settings.kafka.partitioner, PARTITIONS)
        for shard in shards:
            mine = [names[row] for row in np.flatnonzero(placed == shard.partition).tolist()]
            for start in range(0, len(mine), size):
                shard.apply(purchases(mine[start : start + size], times_us))
        done += len(names)
        bench.say(f"{done:,} customers filled in")
    for shard in shards:
        while shard.apply(events.none(), sweep_us):
            pass
    for store in stores:
        store.close()


def names(prefix: str, count: int) -> Iterator[list[str]]:
    """`count` customer ids of 10 characters and more, in slices."""
    for start in range(0, count, SLICE):
        yield [f"{prefix}{number:09d}" for number in range(start, min(start + SLICE, count))]


def purchases(ids: list[str], times_us: npt.NDArray[np.int64]) -> Chunk:
    """Each of `ids` buys something at each of `times_us`, in the order of time."""
    count = len(ids) * len(times_us)
    who = ids * len(times_us)
    numbers = np.arange(count, dtype=np.uint64)
    return Chunk(
        offsets=numbers.astype(np.int64),
        usable=np.ones(count, dtype=np.bool_),
        kinds=np.full(count, Kind.PURCHASE, dtype=np.uint8),
        occurred_us=np.repeat(times_us, len(ids)),
        identities=numbers + np.uint64(1),
        amounts_minor=(1000 + numbers % np.uint64(9000)).astype(np.int64),
        full=np.zeros(count, dtype=np.bool_),
        customer_ids=who,
        event_ids=[f"event-{number}" for number in range(count)],
        keys=[name.encode() for name in who],
        values=[None] * count,
    )
