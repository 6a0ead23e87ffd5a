"""One worker with 8 shards and with 64, in turn: what they cost at rest, and how long a change takes beside them."""

import asyncio
import time
from typing import Final

import psutil

from benchmarks.bench import Bench, pid_of
from benchmarks.figure import Figure, delays
from benchmarks.installation import PARTITIONS, Installation, installation
from benchmarks.live import Seen, live_events, subscriber
from benchmarks.machine import cpu_s
from segflow.segments.instant import SECOND_US

COUNTS: Final = (PARTITIONS, 64)
"""As `segflow topics --create` makes them, and what somebody makes who wants room to grow."""
PER_S: Final = 500
"""Events a second: few, so that the shards cost more than the events do."""
REST_S: Final = 20.0
WARM_UP_S: Final = 20.0
MEASURED_S: Final = 30.0
MB: Final = 1e6


def run(bench: Bench) -> list[Figure]:
    """Each count on an installation of its own; the second beside the first as ratios."""
    few, many = (_of(bench, count) for count in COUNTS)
    ratios = [
        Figure(name=f"{COUNTS[1]} / {COUNTS[0]} shards, {after.name.partition(', ')[2]}", value=ratio, unit="times")
        for before, after in zip(few, many, strict=True)
        if before.value and not after.name.endswith(("p50", "p90", "max"))
        for ratio in [after.value / before.value]
    ]
    return [*few, *many, *ratios]


def _of(bench: Bench, count: int) -> list[Figure]:
    rest_s, warm_up_s, measured_s = (1.0, 1.0, 3.0) if bench.quick else (REST_S, WARM_UP_S, MEASURED_S)
    name = f"{count} shards"
    with installation(bench, clock="wall", partitions=count) as site:
        started_s = time.monotonic()
        with site.worker() as worker:
            site.wait_until_taken(worker)
            taken_s = time.monotonic() - started_s
            servers = {"worker": worker.pid, "Redis": pid_of(bench.redis), "Kafka": pid_of(bench.kafka)}
            time.sleep(rest_s)
            before_s = {each: cpu_s(pid) for each, pid in servers.items()}
            time.sleep(rest_s)
            used = {each: (cpu_s(pid) - before_s[each]) / rest_s for each, pid in servers.items()}
            memory = psutil.Process(worker.pid).memory_info().rss / MB
            found = asyncio.run(_delays(site, name, count, warm_up_s, measured_s))
    return [
        Figure(name=f"{name}, from the start to all taken", value=taken_s, unit="s"),
        *[Figure(name=f"{name}, {each} at rest", value=share, unit="cores") for each, share in used.items()],
        Figure(name=f"{name}, worker's memory", value=memory, unit="MB"),
        *found,
    ]


async def _delays(site: Installation, name: str, count: int, warm_up_s: float, measured_s: float) -> list[Figure]:
    seen = Seen()
    async with subscriber(site.settings, partitions=range(count)) as reader:
        with live_events(site.settings, PER_S):
            while not seen.seen_us:
                await reader.poll(seen)
            begin_us = time.time_ns() // 1000 + int(warm_up_s * SECOND_US)
            end_us = begin_us + int(measured_s * SECOND_US)
            while time.time_ns() // 1000 < end_us:
                await reader.poll(seen)
    times_us = seen.times_us()
    return delays(f"{name}, {PER_S} events/s", seen.delays_ms(times_us)[(times_us >= begin_us) & (times_us < end_us)])
