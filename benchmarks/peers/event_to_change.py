"""From an event to its change at a read_committed subscriber, at a fixed rate, by one peer."""

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
from aiokafka import TopicPartition

from benchmarks.bench import Bench
from benchmarks.installation import PARTITIONS
from benchmarks.live import live_events, send_one
from benchmarks.peers.input_log import InputLog, make_topics
from benchmarks.peers.job import to_us
from benchmarks.peers.peer import Peer, Program, running
from benchmarks.peers.site import Site, consumer, site
from segflow.schemas.connection_settings import Kafka, KafkaTopics
from segflow.segments.instant import SECOND_US

RATE_PER_S: Final = 5_000
POLL_MS: Final = 50
READY_S: Final = 120.0
"""Within which the first change must come."""
AGAIN_S: Final = 3.0
"""A first event that brings nothing for so long was sent before the program listened."""
DRAIN_S: Final = 3.0
"""Changes that take longer count as not seen."""
BEHIND_SHARE: Final = 0.98
"""Of the events must have brought their change in the end, else the peer cannot keep up and has no delay."""


class PublishedChange(msgspec.Struct, gc=False):
    """The fields that are read of a change, whichever peer wrote it."""

    customer_id: str
    effective_at: str


@dataclass(slots=True)
class Seen:
    """Changes as they came: when the event occurred, and when the poll returned that brought its change."""

    occurred: list[str] = field(default_factory=list)
    seen_us: list[int] = field(default_factory=list)


def delays_ms(bench: Bench, peer: Peer, log: InputLog, *, warm_up_s: float, measured_s: float) -> dict[str, float]:
    """p50 and p99 in ms, each event the first purchase of a new customer; nothing where the peer cannot keep up.

    Raises:
        PeerFailedError: its program failed.
    """
    name = f"live-{secrets.token_hex(3)}.purchases"
    kafka = log.kafka.model_copy(
        update={"topics": KafkaTopics(purchases=name, interactions=log.kafka.topics.interactions)}
    )
    make_topics(kafka, [name])
    with site(bench, peer, kafka, clock="wall") as place, running(peer, place.place) as program:
        return asyncio.run(_measured(place, kafka, program, warm_up_s, measured_s))


async def _measured(
    place: Site, kafka: Kafka, program: Program, warm_up_s: float, measured_s: float
) -> dict[str, float]:
    settings = place.place.settings
    seen = Seen()
    async with consumer(kafka) as reader:
        reader.assign([TopicPartition(place.place.output, number) for number in range(PARTITIONS)])
        await reader.seek_to_beginning()
        await _wait_until_it_works(place, reader, program, seen)
        with live_events(settings, RATE_PER_S):
            before = len(seen.seen_us)
            while len(seen.seen_us) == before:  # until the load has begun
                await _poll(reader, seen)
                if program.process.poll() is not None:
                    raise program.failure(f"{place.peer.title} ended:")
            begin_us = time.time_ns() // 1000 + int(warm_up_s * SECOND_US)
            end_us = begin_us + int(measured_s * SECOND_US)
            while time.time_ns() // 1000 < end_us:
                await _poll(reader, seen)
        until_s = time.monotonic() + DRAIN_S
        while time.monotonic() < until_s:
            await _poll(reader, seen)
    if program.process.poll() is not None:
        raise program.failure(f"{place.peer.title} ended:")
    occurred_us = np.array([to_us(text) for text in seen.occurred])
    measured = (occurred_us >= begin_us) & (occurred_us < end_us)
    delays = (np.array(seen.seen_us) - occurred_us)[measured] / 1000
    if measured.sum() < BEHIND_SHARE * RATE_PER_S * measured_s:
        return {}
    return {"p50_ms": float(np.percentile(delays, 50)), "p99_ms": float(np.percentile(delays, 99))}


async def _wait_until_it_works(place: Site, reader: Any, program: Program, seen: Seen) -> None:
    """Until a customer's event has brought its change; the numbers are beyond those of the load."""
    until_s = time.monotonic() + READY_S
    number = 900_000_000
    while not seen.seen_us:
        send_one(place.place.settings, number)
        number += 1
        again_s = time.monotonic() + AGAIN_S
        while not seen.seen_us and time.monotonic() < again_s:
            await _poll(reader, seen)
        if program.process.poll() is not None or time.monotonic() > until_s:
            raise program.failure(f"{place.peer.title} made no change within {READY_S:.0f} s:")


async def _poll(reader: Any, seen: Seen) -> None:
    found = await reader.getmany(timeout_ms=POLL_MS)
    now_us = time.time_ns() // 1000
    for records in found.values():
        for record in records:
            seen.occurred.append(DECODER.decode(record.value).effective_at)
            seen.seen_us.append(now_us)


DECODER: Final = msgspec.json.Decoder(PublishedChange)
