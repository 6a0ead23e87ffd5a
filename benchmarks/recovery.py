"""From kill -9 of one of two workers to all shards moving again, with few and with many customers in Redis."""

import asyncio
import signal
import time
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.filled_state import fill, names
from benchmarks.installation import PARTITIONS, Installation, WorkerFailedError, installation
from benchmarks.live import POLL_MS, ago, live_events, newest_changes
from benchmarks.members import Member, member, wait_until_shared
from segflow.segments.instant import EPOCH, MICROSECOND, UNKNOWN

TARGET_S: Final = 15.0
GROWTH: Final = 1.25
"""Kills of one size differ by when in a heartbeat they come; growth with the population would be tenfold and more."""
KILLS: Final = 3
SHARE: Final = 20
"""The large state has so many times the customers of the small one: 2,000,000 beside 100,000."""
LIVE_PER_S: Final = 200
"""25 a second and shard: a moving shard shows it within a tenth of a second."""
LIVE_FIRST: Final = 500_000_000
"""Live customers' numbers begin here, beyond those that are filled in."""
LIVE_APART: Final = 10_000_000
"""Between the first numbers of two kills: no live customer comes twice, so each event makes a change."""
PAST: Final = timedelta(days=10)
"""The age of the customers' purchases: no deadline is due."""
GIVE_UP_S: Final = 120.0


def run(bench: Bench) -> list[Figure]:
    """The settings that ship; live events go on all the time."""
    many = bench.sized(bench.customers, 2_000_000, 20_000)
    few = max(1, many // SHARE)
    few_s, many_s = (_recoveries(bench, customers) for customers in (few, many))
    figures = [
        Figure(name=f"{customers:,} customers, {label}", value=value, unit="s", at_most=TARGET_S)
        for customers, found_s in ((few, few_s), (many, many_s))
        for label, value in (("median", float(np.median(found_s))), ("longest", max(found_s)))
    ]
    growth = float(np.median(many_s) / np.median(few_s))
    return [*figures, Figure(name="growth", value=growth, unit="times", at_most=GROWTH)]


def _recoveries(bench: Bench, customers: int) -> list[float]:
    """Seconds, one a kill."""
    with installation(bench, clock="wall") as site:
        fill(bench, site, names("c", customers), np.array([ago(PAST)]), UNKNOWN)
        found_s = []
        for number in range(1 if bench.quick else KILLS):
            with member(site, "victim") as victim, member(site, "survivor") as survivor:
                wait_until_shared((victim, survivor))
                first = LIVE_FIRST + number * LIVE_APART
                found_s.append(asyncio.run(_recovery_s(site, victim, survivor, first)))
            bench.say(f"{customers:,} customers: all shards moved again {found_s[-1]:.1f} s after the kill")
        return found_s


async def _recovery_s(site: Installation, victim: Member, survivor: Member, first_number: int) -> float:
    """From the kill to when every shard has published a change of an event that came after it."""
    async with newest_changes(site.settings) as consumer:
        with live_events(site.settings, LIVE_PER_S, first_number):
            await _all_moved(consumer, 0, survivor)
            killed_us = ago(timedelta(0))
            started = time.perf_counter()
            victim.worker.process.send_signal(signal.SIGKILL)
            await _all_moved(consumer, killed_us, survivor)
            return time.perf_counter() - started


async def _all_moved(consumer: Any, after_us: int, survivor: Member) -> None:
    """Until every partition has shown a change that became true after `after_us`."""
    still = set(range(PARTITIONS))
    until = time.monotonic() + GIVE_UP_S
    while still:
        for place, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
            if any(_effective_us(record) > after_us for record in records):
                still.discard(place.partition)
        if time.monotonic() > until:
            raise WorkerFailedError(
                f"shards {sorted(still)} do not move after {GIVE_UP_S:.0f} s:\n{survivor.worker.tail()}"
            )


def _effective_us(record: Any) -> int:
    return (datetime.fromisoformat(dict(record.headers)["ce_time"].decode()) - EPOCH) // MICROSECOND
