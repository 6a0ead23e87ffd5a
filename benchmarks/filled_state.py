"""State written straight into Redis, through the real executor and store but without Kafka."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks.bench import Bench
from benchmarks.installation import PARTITIONS, Installation
from segflow.engine.columns import events
from segflow.engine.columns.events import Chunk
from segflow.engine.commit.execute import Executor
from segflow.engine.commit.plan import plan_for
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.partitioner import partitions_of
from segflow.schemas.settings import Settings
from segflow.segments.instant import LATEST_US, UNKNOWN
from segflow.state.head import Head
from segflow.state.store import Store

BATCH_EVENTS: Final = 8192
"""As a worker's batch."""
EVERY_KIND: Final = (
    b'"type":"purchase","order_id":"order","amount":"AMOUNT"',
    b'"type":"interaction","kind":"view"',
    b'"type":"purchase","order_id":"order","amount":"AMOUNT","discount":"5.00"',
    b'"type":"feedback","score":9',
    b'"type":"purchase","order_id":"order","amount":"AMOUNT"',
)
"""A customer's events, in turn. They give every dimension facts of everybody, except invoices and attributes."""
TYPICAL: Final = (
    *EVERY_KIND,
    b'"type":"profile","attributes":{"risk_score":70,"age":40}',
    b'"type":"payment","invoice_id":"first","amount":"10","due_at":"2030-01-01T00:00:00Z","paid_at":"2029-12-31T00:00:00Z"',
    b'"type":"payment","invoice_id":"second","amount":"10","due_at":"2030-01-01T00:00:00Z"',
)
"""Likewise, and two attributes, an invoice that is paid and one that is open."""
SLICE: Final = 100_000
"""Customers named and placed at once."""


@dataclass(slots=True)
class FilledShard:
    """One shard being filled. Its head says that nothing was read yet, so a worker can take it from there."""

    settings: Settings
    rule_versions: RuleVersions
    partition: int
    store: Store
    head: Head = field(init=False)
    _executor: Executor = field(init=False)

    def __post_init__(self) -> None:
        self._executor = Executor(self.settings, self.rule_versions, self.partition)
        self.head = Head(rules=self.rule_versions.first.version)
        self.store.acquire(self.head, None)

    def apply(self, chunk: Chunk, sweep_us: int = UNKNOWN) -> int:
        """One commit: the events of `chunk`, then due customers up to `sweep_us`; returns how many were due."""
        plan = plan_for(
            self.settings,
            self.head,
            purchases_to=0,
            interactions_to=0,
            wall_us=0,
            rules=self.rule_versions.latest.version,
        )
        plan = msgspec.structs.replace(plan, future_us=LATEST_US, sweep_us=sweep_us, sweep_limit=BATCH_EVENTS)
        self.store.begin(self.head)
        result = self._executor.execute(plan, chunk, events.none(), self.head, self.store)
        self.store.commit(result.write)
        self.head = result.write.head
        return result.swept

    def done(self) -> None:
        """Count the commits from 0 again: the journal has none, and a worker stops where it ends before the state."""
        self.store.acquire(msgspec.structs.replace(self.head, sequence=0), self.head)


def fill(
    bench: Bench,
    site: Installation,
    ids: Iterator[list[str]],
    times_us: npt.NDArray[np.int64],
    sweep_us: int,
    kinds: tuple[bytes, ...] | None = None,
) -> None:
    """Every customer of `ids` does something at each of `times_us` (ascending); then all are swept up to `sweep_us`.

    They do in turn what `kinds` say; without it they purchase, or with all dimensions on do what EVERY_KIND says. Their
    shards are those their keys have in Kafka.
    """
    kinds = kinds or (EVERY_KIND if bench.all_dimensions else EVERY_KIND[:1])
    decoder = Decoder(site.settings, None)
    stores = site.stores()
    shards = [FilledShard(site.settings, site.rule_versions, number, store) for number, store in enumerate(stores)]
    size = max(1, BATCH_EVENTS // len(times_us))
    done = 0
    for names in ids:
        placed = partitions_of([name.encode() for name in names], site.settings.kafka.partitioner, PARTITIONS)
        for shard in shards:
            mine = [names[row] for row in np.flatnonzero(placed == shard.partition).tolist()]
            for start in range(0, len(mine), size):
                happened = lines(mine[start : start + size], times_us, kinds)
                shard.apply(decoder.decode(happened, None, range(len(happened))))
        done += len(names)
        bench.say(f"{done:,} customers filled in")
    for shard in shards:
        while shard.apply(events.none(), sweep_us):
            pass
        shard.done()
    for store in stores:
        store.close()


def names(prefix: str, count: int) -> Iterator[list[str]]:
    """`count` customer ids of 10 characters and more, in slices."""
    for start in range(0, count, SLICE):
        yield [f"{prefix}{number:09d}" for number in range(start, min(start + SLICE, count))]


def lines(ids: list[str], times_us: npt.NDArray[np.int64], kinds: tuple[bytes, ...]) -> list[bytes]:
    """An event of each of `ids` at each of `times_us`, in the order of time, as JSON."""
    count = len(ids)
    found = []
    for place, time in enumerate(np.datetime_as_string(times_us.astype("datetime64[us]"), unit="us").tolist()):
        body = kinds[place % len(kinds)]
        for number, name in enumerate(ids, start=place * count):
            amount = f"{10 + number % 90}.{number % 100:02d}"
            found.append(
                b'{"event_id":"event-%d","customer_id":"%b","occurred_at":"%bZ",%b}'
                % (number, name.encode(), time.encode(), body.replace(b"AMOUNT", amount.encode()))
            )
    return found
