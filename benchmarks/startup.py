"""From starting a worker to its first change, with few and with many customers in Redis."""

import asyncio
import time
from datetime import timedelta
from typing import Final

import numpy as np

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.filled_state import fill, names
from benchmarks.installation import Installation, WorkerFailedError, installation
from benchmarks.live import Seen, ago, send_one, subscriber
from segflow.segments.instant import UNKNOWN

TARGET_S: Final = 10.0
GROWTH: Final = 1.25
"""Starts of one size differ by a fifth on a busy machine; growth with the population would be a hundredfold."""
FEW: Final = 10_000
PAST: Final = timedelta(days=10)
"""The age of the customers' purchases: no deadline is due."""
GIVE_UP_S: Final = 120.0


def run(bench: Bench) -> list[Figure]:
    """The event that makes the change is in Kafka before the worker starts."""
    many = bench.sized(bench.customers, 1_000_000, 20_000)
    few = min(FEW, many // 10)
    few_s, many_s = (_start(bench, customers) for customers in (few, many))
    return [
        Figure(name=f"{few:,} customers", value=few_s, unit="s", at_most=TARGET_S),
        Figure(name=f"{many:,} customers", value=many_s, unit="s", at_most=TARGET_S),
        Figure(name="growth", value=many_s / few_s, unit="times", at_most=GROWTH),
    ]


def _start(bench: Bench, customers: int) -> float:
    with installation(bench, clock="wall") as site:
        fill(bench, site, names("c", customers), np.array([ago(PAST)]), UNKNOWN)
        return asyncio.run(_first_change_s(site, customers))


async def _first_change_s(site: Installation, customers: int) -> float:
    seen = Seen()
    async with subscriber(site.settings) as reader:
        send_one(site.settings, customers)  # a number nobody has yet
        started = time.perf_counter()
        with site.worker() as worker:
            while not seen.seen_us:
                await reader.poll(seen)
                if worker.process.poll() is not None or time.perf_counter() - started > GIVE_UP_S:
                    raise WorkerFailedError(f"no change after {GIVE_UP_S:.0f} s:\n{worker.tail()}")
            return time.perf_counter() - started
