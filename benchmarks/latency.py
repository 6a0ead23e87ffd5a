"""From a produced event to its change at a read_committed subscriber, transactions on, clock: wall."""

import asyncio
import time
from typing import Final

from benchmarks.bench import Bench
from benchmarks.figure import Figure, delays
from benchmarks.installation import Installation, installation
from benchmarks.live import Seen, live_events, subscriber
from segflow.segments.instant import SECOND_US
from segflow.streams.runtime.memory import tune_process_memory

RATES_PER_S: Final = (200, 2_000, 5_000)
TARGETS_MS: Final = {2_000: {"p50": 40.0, "p99": 120.0}, 5_000: {"p99": 60.0}}
WARM_UP_S: Final = 20.0
"""A broker that runs for days has its code compiled: a new one takes a core for that, and its first half minute."""
MEASURED_S: Final = 30.0
DRAIN_S: Final = 3.0
"""Changes that take longer count as not seen."""


def run(bench: Bench) -> list[Figure]:
    """Each rate on an installation of its own: every event a new customer's first purchase, which changes a label."""
    tune_process_memory()  # or the subscriber now and then stands still for longer than it measures
    figures: list[Figure] = []
    for per_s in RATES_PER_S[:1] if bench.quick else RATES_PER_S:
        with installation(bench, clock="wall") as site, site.worker() as worker:
            site.wait_until_taken(worker)
            figures += asyncio.run(_at(bench, site, per_s))
    return figures


async def _at(bench: Bench, site: Installation, per_s: int) -> list[Figure]:
    warm_up_s, measured_s = (1.0, 3.0) if bench.quick else (WARM_UP_S, MEASURED_S)
    seen = Seen()
    async with subscriber(site.settings) as reader:
        with live_events(site.settings, per_s):
            while not seen.seen_us:
                await reader.poll(seen)
            begin_us = time.time_ns() // 1000 + int(warm_up_s * SECOND_US)
            end_us = begin_us + int(measured_s * SECOND_US)
            while time.time_ns() // 1000 < end_us:
                await reader.poll(seen)
        until = time.monotonic() + DRAIN_S
        while time.monotonic() < until:
            await reader.poll(seen)
    times_us = seen.times_us()
    measured = (times_us >= begin_us) & (times_us < end_us)
    unseen = int(max(seen.customers).lstrip(b"c")) + 1 - len(seen.customers)
    name = f"{per_s:,} events/s"
    bench.say(f"{name}: {measured.sum():,} changes measured, {unseen} never came")
    return [
        *delays(name, seen.delays_ms(times_us)[measured], TARGETS_MS.get(per_s)),
        Figure(name=f"{name}, events whose change never came", value=unseen, unit="events", at_most=0),
        Figure(name=f"{name}, reached", value=float(measured.sum()) / measured_s, unit="events/s"),
    ]
