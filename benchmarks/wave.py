"""A wave: very many timers due in one instant, while live events go on arriving."""

import asyncio
import time
from datetime import timedelta
from typing import Final

import numpy as np

from benchmarks.bench import Bench
from benchmarks.figure import Figure, delays
from benchmarks.filled_state import fill, names
from benchmarks.installation import Installation, WorkerFailedError, installation
from benchmarks.live import Seen, ago, live_events, subscriber
from segflow.segments.instant import SECOND_US, duration_us
from segflow.streams.runtime.memory import tune_process_memory

LIVE_PER_S: Final = 1_000
LIVE_FIRST: Final = 500_000_000
"""Live customers' numbers begin here, beyond those of the wave."""
WATCHED: Final = (0, 1)
"""Partitions whose live events are timed. A subscriber in Python to all of them takes half a core in a wave, of two
that the worker and the broker have, and measures itself."""
BEFORE_S: Final = 15.0
"""Live events measured before the instant."""
START_S: Final = 20.0
"""For the worker's start and warm-up: filling in ends this long before BEFORE_S begins."""
FILL_PER_S: Final = 20_000
"""Customers filled in a second, at the least, a third of the pace on two cores: the instant must lie beyond it."""
TARGET_PER_S: Final = 30_000
TARGET_TIMES: Final = 3.0
"""Live events may wait so many times longer during the wave than before it, by the 99th percentile."""
GIVE_UP_S: Final = 240.0
DRAIN_S: Final = 2.0


def run(bench: Bench) -> list[Figure]:
    """Customers who all bought at one instant go at_risk at one instant, and rfm moves for them at that same one."""
    tune_process_memory()  # as in `latency`
    customers = bench.sized(bench.customers, 1_000_000, 2_000)
    with installation(bench, clock="wall") as site:
        wait_s = customers / FILL_PER_S + START_S + BEFORE_S
        bought_us = ago(site.settings.lifecycle.at_risk_after) + int(wait_s * SECOND_US)
        instant_us = bought_us + duration_us(site.settings.lifecycle.at_risk_after)
        now_us = ago(timedelta(0))
        fill(bench, site, names("c", customers), np.array([bought_us]), now_us)  # past the deadline of 30 days
        left_s = (instant_us - ago(timedelta(0))) / SECOND_US
        bench.say(f"the instant comes in {left_s:.0f} s")
        if left_s < BEFORE_S:
            raise WorkerFailedError("filling in took longer than planned: lower FILL_PER_S")
        with site.worker() as worker:
            site.wait_until_taken(worker)
            return asyncio.run(_surf(bench, site, customers, instant_us))


async def _surf(bench: Bench, site: Installation, customers: int, instant_us: int) -> list[Figure]:
    last = b"c%09d" % LIVE_FIRST
    done_us = 0
    seen = Seen()
    async with subscriber(site.settings, partitions=WATCHED) as reader:
        with live_events(site.settings, LIVE_PER_S, LIVE_FIRST):
            give_up_us = instant_us + int(GIVE_UP_S * SECOND_US)
            while not done_us or time.time_ns() // 1000 < done_us + DRAIN_S * SECOND_US:
                await reader.poll(seen)
                now_us = time.time_ns() // 1000
                if now_us > instant_us and not done_us and not _left(site, instant_us):
                    done_us = now_us
                if now_us > give_up_us:
                    raise WorkerFailedError(
                        f"{_left(site, instant_us):,} of {customers:,} left after {GIVE_UP_S:.0f} s"
                    )
    times_us = seen.times_us()
    live = np.array([customer >= last for customer in seen.customers])
    delays_ms = seen.delays_ms(times_us)
    before = live & (times_us >= instant_us - BEFORE_S * SECOND_US) & (times_us < instant_us)
    during = live & (times_us >= instant_us) & (times_us < done_us)
    wave_s = (done_us - instant_us) / SECOND_US
    times = float(np.percentile(delays_ms[during], 99) / np.percentile(delays_ms[before], 99))
    bench.say(f"{before.sum():,} live events before, {during.sum():,} during the wave")
    return [
        Figure(name=f"{customers:,} timers of one instant, all fired after", value=wave_s, unit="s"),
        Figure(name="fired", value=customers / wave_s, unit="customers/s", at_least=TARGET_PER_S),
        *delays("live before", delays_ms[before]),
        *delays("live during", delays_ms[during]),
        Figure(name="live p99, during / before", value=times, unit="times", at_most=TARGET_TIMES),
    ]


def _left(site: Installation, instant_us: int) -> int:
    """Timers of the instant that are still set: those whose changes are published are taken out."""
    with site.redis.pipeline(transaction=False) as asked:
        for place in site.places():
            asked.zcount(place.timers, "-inf", instant_us)
        return int(sum(asked.execute()))
