"""The first committed record of partitions from given offsets on, of many partitions in one go."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Self

from kafka import TopicPartition

from segflow.schemas.connection_settings import Kafka
from segflow.streams.kafka.clients import committed_reader

TIMEOUT_S: Final = 10.0
"""Bounds a look; a partition that took longer is left out."""
POLL_MS: Final = 500
FETCH_BYTES: Final = 65_536
"""Of one partition and fetch: one record is wanted, and a batch that is larger comes all the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The committed records of one partition that are kept: offsets [first, end)."""

    first: int
    end: int


class FirstRecords:
    """A read-committed consumer outside every group. A context; every method raises kafka.errors.KafkaError."""

    def __init__(self, kafka: Kafka) -> None:
        self._consumer = committed_reader(kafka, max_partition_fetch_bytes=FETCH_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def bounds(self, places: list[TopicPartition]) -> dict[TopicPartition, Bounds]:
        """The bounds of partitions; the end is the last stable offset."""
        if not places:
            return {}
        first, end = self._consumer.beginning_offsets(places), self._consumer.end_offsets(places)
        return {place: Bounds(first=first[place], end=end[place]) for place in places}

    def oldest(self, bounds: Mapping[TopicPartition, Bounds]) -> dict[TopicPartition, Any]:
        """The first committed record of each partition; see `find`."""
        return self.find(
            {place: each.first for place, each in bounds.items()}, {place: each.end for place, each in bounds.items()}
        )

    def find(
        self, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, Any]:
        """The first committed record of offsets [start, end) of each partition; None where there is none.

        Transaction markers and aborted records are none. A partition that could not be read in time is left out.
        """
        found: dict[TopicPartition, Any] = {place: None for place, start in starts.items() if start >= ends[place]}
        left = set(starts) - set(found)
        if not left:
            return found
        self._consumer.assign(sorted(left))
        for place in left:
            self._consumer.seek(place, starts[place])
        until = monotonic() + TIMEOUT_S
        while left and monotonic() < until:
            for place, records in self._consumer.poll(timeout_ms=POLL_MS).items():
                inside = [record for record in records if record.offset < ends[place]]
                if inside and place in left:
                    found[place] = inside[0]
            for place in list(left):
                if place not in found and self._consumer.position(place) >= ends[place]:
                    found[place] = None
            done = left & set(found)
            left -= done
            if done:
                self._consumer.pause(*done)
        return found
