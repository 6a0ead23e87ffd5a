"""The changes a peer published, read back and compared with the answer of job.py."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.installation import PARTITIONS
from benchmarks.peers.job import Answer, Change, to_minor, to_us
from segflow.schemas.connection_settings import Kafka
from segflow.streams.kafka.clients import aiokafka_options

PATIENCE_MS: Final = 1000
"""Within which the broker gives records that are there."""
SHOWN: Final = 3
"""Differences named in a verdict."""


class PeerRecord(msgspec.Struct, gc=False):
    """The record of a change, as every peer but segflow writes it."""

    customer_id: str
    previous: str | None
    current: str
    effective_at: str
    orders: int
    amount_minor: int
    last_purchase_at: str

    def change(self) -> Change:
        """For the comparison."""
        latest_us = to_us(self.last_purchase_at)
        return Change(self.previous, self.current, to_us(self.effective_at), self.orders, self.amount_minor, latest_us)


class SegflowFacts(msgspec.Struct, gc=False):
    """Of segflow's record."""

    frequency: int
    monetary: str
    last_purchase_at: str


class SegflowRecord(msgspec.Struct, gc=False):
    """The record of a change as segflow writes it (docs/contract.md)."""

    customer_id: str
    previous: str | None
    current: str
    effective_at: str
    facts: SegflowFacts

    def change(self) -> Change:
        """For the comparison."""
        facts = self.facts
        return Change(
            self.previous,
            self.current,
            to_us(self.effective_at),
            facts.frequency,
            to_minor(facts.monetary),
            to_us(facts.last_purchase_at),
        )


Record = PeerRecord | SegflowRecord


@dataclass(slots=True)
class Published:
    """The changes of a topic by customer, in their order, each with when the broker took it."""

    changes: dict[str, list[tuple[Change, int]]] = field(default_factory=dict)
    count: int = 0

    def add(self, who: str, change: Change, appended_ms: int) -> None:
        """One more, later in the customer's partition than those before."""
        self.changes.setdefault(who, []).append((change, appended_ms))
        self.count += 1


async def read(kafka: Kafka, topic: str, kind: type[Record], until: dict[int, int]) -> Published:
    """The committed records of `topic` from its beginning to the offsets `until`, by partition."""
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)
    found = Published()

    def take(record: Any) -> None:
        decoded = decoder.decode(record.value)
        found.add(decoded.customer_id, decoded.change(), record.timestamp)

    await each(kafka, topic, until, take)
    return found


async def each(kafka: Kafka, topic: str, until: dict[int, int], take: Callable[[Any], None]) -> None:
    """Every committed record of `topic` from its beginning to the offsets `until`, by partition, is taken."""
    consumer = AIOKafkaConsumer(
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 << 20,
        **aiokafka_options(kafka),
    )
    await consumer.start()
    try:
        places = [TopicPartition(topic, partition) for partition, end in until.items() if end]
        if not places:
            return
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        silent = False
        while not silent:  # the last records before an offset may be markers, which nobody is shown
            batches = await consumer.getmany(timeout_ms=PATIENCE_MS)
            silent = not batches
            for place, records in batches.items():
                for record in records:
                    if record.offset < until[place.partition]:
                        take(record)
            at_end = [await consumer.position(place) >= until[place.partition] for place in places]
            silent = silent or all(at_end)
    finally:
        await consumer.stop()


def differences(answer: Answer, published: Published, *, whole: bool) -> list[str]:
    """The differences between published changes and the answer, a line each; empty where there are none.

    Args:
        answer: of all events.
        published: of a peer.
        whole: every change must be there; else each customer's changes may end early.
    """
    strangers = published.changes.keys() - answer.changes.keys()
    found = [f"{who}: nobody expects a change of this customer" for who in strangers]
    for who, expected in answer.changes.items():
        right = [each.change for each in expected]
        seen = [change for change, _ in published.changes.get(who, [])]
        if seen == right or (not whole and seen == right[: len(seen)]):
            continue
        number = next((n for n, pair in enumerate(zip(seen, right, strict=False)) if pair[0] != pair[1]), None)
        if number is None:
            found.append(f"{who}: {len(seen)} changes where there should be {len(right)}")
        else:
            found.append(f"{who}, change {number + 1}: {tuple(seen[number])} where {tuple(right[number])} is right")
    return found


def verdict(answer: Answer, published: Published, *, whole: bool) -> str | None:
    """The differences in one line; None where there are none."""
    found = differences(answer, published, whole=whole)
    if not found:
        return None
    return f"{len(found):,} customers differ from the answer, such as {'; '.join(found[:SHOWN])}"


@dataclass(frozen=True, slots=True)
class Pace:
    """The progress of a peer over time: events read, as the changes they made show.

    appended_ms: shape (n,), ascending, the broker's clock; events: shape (n,), how many were behind it by then.
    """

    appended_ms: npt.NDArray[np.int64]
    events: npt.NDArray[np.int64]

    def window(self, skipped: float) -> tuple[float, float, int]:
        """Begin and end (seconds since the epoch) and the events between, of all but the first share `skipped`."""
        begin = int(np.searchsorted(self.events, skipped * self.events[-1]))
        begin = min(begin, len(self.events) - 1)
        begin_ms, end_ms = int(self.appended_ms[begin]), int(self.appended_ms[-1])
        # All that one batch brought has one time: what counts as before is all of that moment.
        last_of_it = int(np.searchsorted(self.appended_ms, begin_ms, side="right")) - 1
        return begin_ms / 1000, end_ms / 1000, int(self.events[-1] - self.events[last_of_it])


def pace(answer: Answer, published: Published) -> Pace:
    """The pace of a peer whose output was found right.

    A partition's events up to the one that made a change count as read when the change was taken by the broker.
    """
    rows = [
        (appended_ms, event.partition, event.offset)
        for who, changes in published.changes.items()
        for (_, appended_ms), event in zip(changes, answer.changes[who], strict=False)
    ]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    columns = columns[np.argsort(columns[:, 0], kind="stable")]
    more = np.zeros(len(columns), dtype=np.int64)
    for partition in range(PARTITIONS):
        mine = np.flatnonzero(columns[:, 1] == partition)
        reached = np.maximum.accumulate(columns[mine, 2] + 1) if len(mine) else columns[mine, 2]
        more[mine] = np.diff(reached, prepend=0)
    return Pace(columns[:, 0], np.cumsum(more))


def read_now(kafka: Kafka, topic: str, kind: type[Record], until: dict[int, int]) -> Published:
    """As `read`, from outside an event loop."""
    return asyncio.run(read(kafka, topic, kind, until))
