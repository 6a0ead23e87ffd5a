"""Events a second, end to end: one worker between real Kafka and Redis, beside a plain Faust agent and a bare loop."""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Final

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks import ceiling, plain_agent
from benchmarks.bench import Bench, pid_of
from benchmarks.ceiling import Traffic
from benchmarks.figure import Figure
from benchmarks.history import History
from benchmarks.installation import PARTITIONS, Installation, WorkerProcess, installation
from benchmarks.machine import cpu_s
from segflow.operations.line_files import Lines
from segflow.operations.produce import produce
from segflow.schemas.settings import Settings
from segflow.segments.instant import SECOND_US
from segflow.state.head import Head
from segflow.streams.journal.entry import Entry
from segflow.streams.journal.journal import JournalReader
from segflow.streams.kafka.clients import aiokafka_options

TARGET_PER_S: Final = 30_000
SAMPLE: Final = 2000
"""Records whose sizes stand for all: they differ by a few bytes."""
COMPARED_S: Final = 40.0
"""The time for the two programs beside it: the bare loop reads about everything in it, the agent a sample."""
PROGRESS_S: Final = 1800.0
"""A worker so slow that 2 M events take longer has failed."""


def run(bench: Bench) -> list[Figure]:
    """The worker from its first commit to its last, then the other two on the same topics."""
    customers = bench.sized(bench.customers, 1_000_000, 4_000)
    events = bench.sized(bench.events, 2_000_000, 8_000)
    with installation(bench, clock="event") as site:
        send(bench, site, History(customers=customers, events=events).lines())
        read_to = asyncio.run(ends(site.settings))
        servers = {"Redis": pid_of(bench.redis), "Kafka": pid_of(bench.kafka)}
        before_s = {name: cpu_s(pid) for name, pid in servers.items()}
        started = time.time()
        with site.worker() as worker:
            bench.say(f"worker: process {worker.pid}")
            read_at, swept_at = follow(bench, site, worker, read_to)
            worker_s = cpu_s(worker.pid)
        used_s = {"worker": worker_s} | {name: cpu_s(pid) - before_s[name] for name, pid in servers.items()}
        entries = asyncio.run(commits(site.settings))
        first_at = min(entry.plan.wall_us for entry in entries) / SECOND_US
        changes = sum(entry.changes for entry in entries)
        traffic = asyncio.run(_traffic(site, entries, events))
        compared_s = 5.0 if bench.quick else COMPARED_S
        agent_per_s = _beside(bench, "plain Faust agent", plain_agent.rate, site.settings, compared_s)
        ceiling_per_s = _beside(bench, "bare loop", ceiling.rate, site.settings, compared_s, traffic)
    rate = events / (swept_at - first_at)
    return [
        Figure(name="worker, first commit to last", value=rate, unit="events/s", at_least=TARGET_PER_S),
        Figure(name="worker, until all is read", value=events / (read_at - first_at), unit="events/s"),
        Figure(name="worker, start-up included", value=events / (swept_at - started), unit="events/s"),
        *(Figure(name=f"processor, {name}", value=1e6 * s / events, unit="µs/event") for name, s in used_s.items()),
        Figure(name="changes", value=changes / events, unit="changes/event"),
        Figure(name="commits", value=events / len(entries), unit="events/commit"),
        Figure(name="published", value=traffic.bytes_per_event, unit="bytes/event"),
        Figure(name="plain Faust agent", value=agent_per_s, unit="events/s"),
        Figure(name="bare loop (ceiling)", value=ceiling_per_s, unit="events/s"),
        Figure(name="worker / plain agent", value=rate / agent_per_s, unit="times"),
        Figure(name="worker / bare loop", value=rate / ceiling_per_s, unit="times"),
    ]


def send(bench: Bench, site: Installation, history: Iterable[Lines]) -> None:
    """The history into the inputs."""
    started = time.monotonic()
    sent = asyncio.run(produce(site.settings, history, lambda _sent, _bytes: None))
    bench.say(f"{sent.records:,} events sent in {time.monotonic() - started:.0f} s")


def follow(bench: Bench, site: Installation, worker: WorkerProcess, ends: list[tuple[int, int]]) -> tuple[float, float]:
    """The times at which everything was read, and at which no timer was due any more (seconds since the epoch)."""
    said = time.monotonic()

    def is_read() -> bool:
        nonlocal said
        heads = site.heads()
        places = [(head.purchases.offset, head.interactions.offset) if head else (0, 0) for head in heads]
        if time.monotonic() - said > 10:
            said = time.monotonic()
            bench.say(f"{np.sum(places) / np.sum(ends):.0%} read")
        return places == ends

    def is_swept() -> bool:
        pipeline = site.redis.pipeline(transaction=False)
        for place, head in zip(site.places(), site.heads(), strict=True):
            assert head is not None
            pipeline.zcount(place.timers, "-inf", head.clock_us)
        return not any(pipeline.execute())

    worker.wait_for(is_read, "read everything", PROGRESS_S)
    read_at = time.time()
    worker.wait_for(is_swept, "sweep everything", PROGRESS_S)
    return read_at, time.time()


def _beside(bench: Bench, name: str, program: Callable[..., float], *arguments: object) -> float:
    """The events a second that another program reaches in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        reached = pool.submit(program, *arguments).result()
    bench.say(f"{name}: {reached:,.0f} events/s")
    return reached


async def ends(settings: Settings) -> list[tuple[int, int]]:
    """The ends of (purchases, interactions) by partition."""
    consumer = AIOKafkaConsumer(enable_auto_commit=False, **aiokafka_options(settings.kafka))
    await consumer.start()
    try:
        names = (settings.kafka.topics.purchases, settings.kafka.topics.interactions)
        found = await consumer.end_offsets([TopicPartition(name, p) for name in names for p in range(PARTITIONS)])
    finally:
        await consumer.stop()
    return [(found[TopicPartition(names[0], p)], found[TopicPartition(names[1], p)]) for p in range(PARTITIONS)]


async def commits(settings: Settings, after: Sequence[int] = (0,) * PARTITIONS) -> list[Entry]:
    """Every commit of the journal, beyond the sequence that `after` says for its shard."""
    entries = []
    for partition in range(PARTITIONS):
        async with JournalReader(settings, partition) as reader:
            entries += [entry async for _, entry in reader.after(Head(sequence=after[partition]))]
    return entries


async def _traffic(site: Installation, entries: list[Entry], events: int) -> Traffic:
    """Average sizes of what the worker stored and published."""
    settings = site.settings
    names = settings.kafka.topics
    consumer = AIOKafkaConsumer(
        isolation_level="read_committed", enable_auto_commit=False, **aiokafka_options(settings.kafka)
    )
    await consumer.start()
    try:
        sizes = {}
        for topic in (names.changes, names.current):
            place = TopicPartition(topic, 0)
            consumer.assign([place])
            await consumer.seek_to_beginning(place)
            found: list[int] = []
            while len(found) < min(SAMPLE, len(entries)):
                for record in (await consumer.getmany(place, timeout_ms=1000)).get(place, []):
                    headers = sum(len(name) + len(value) for name, value in record.headers)
                    found.append(record.serialized_key_size + record.serialized_value_size + headers)
            sizes[topic] = float(np.mean(found))
        places = [TopicPartition(names.current, p) for p in range(PARTITIONS)]
        current = sum((await consumer.end_offsets(places)).values()) - len(entries)  # an end marker a transaction
    finally:
        await consumer.stop()
    return Traffic(
        changes_per_event=sum(entry.changes for entry in entries) / events,
        change_bytes=round(sizes[names.changes]),
        current_per_event=current / events,
        current_bytes=round(sizes[names.current]),
        record_bytes=_record_bytes(site),
    )


def _record_bytes(site: Installation) -> int:
    """The mean size of a customer's record."""
    sizes = []
    for place, store in zip(site.places(), site.stores(), strict=True):
        ids = store.page(0)
        store.close()
        sizes += [len(value) for value in site.redis.mget([place.record(who) for who in ids]) if value is not None]
    return round(float(np.mean(sizes)))
