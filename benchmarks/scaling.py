"""Events a second with few, many and very many customers in Redis: it must not depend on how many there are."""

import asyncio
from statistics import median
from typing import Final

import numpy as np

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.filled_state import fill, names
from benchmarks.history import BEGIN_US, purchase
from benchmarks.installation import Installation, installation
from benchmarks.machine import cpu_s
from benchmarks.throughput import commits, ends, follow, send
from segflow.operations.line_files import Lines
from segflow.segments.instant import DAY_US, SECOND_US, UNKNOWN

CUSTOMERS: Final = (100_000, 1_000_000, 5_000_000)
EVENTS: Final = 200_000
"""Of one run: some seconds, and with the fewest customers each comes twice."""
RUNS: Final = 3
AT_LEAST: Final = 0.8
"""Of the pace with the fewest, with the most."""
BOUGHT_DAYS_AGO: Final = (20, 10)
"""The ages of everybody's earlier purchases: nobody is new, and no deadline is due in the run."""
APART_US: Final = SECOND_US // 10
"""Between two events: all runs together span less than a day."""
PAID_CENTS: Final = 4500
SEED: Final = 1


def run(bench: Bench) -> list[Figure]:
    """`--customers` in place of the most; the others are a fifth and a fiftieth of it, as they are without."""
    most = bench.sized(bench.customers, CUSTOMERS[-1], 10_000)
    sizes = [customers * most // CUSTOMERS[-1] for customers in CUSTOMERS]
    events = bench.sized(bench.events, EVENTS, 1_000)
    figures, paces = [], []
    for customers in sizes:
        pace, used_us = _measured(bench, customers, events)
        paces.append(pace)
        figures += [
            Figure(name=f"{customers:,} customers", value=pace, unit="events/s"),
            Figure(name=f"{customers:,} customers, processor of the worker", value=used_us, unit="µs/event"),
        ]
    for customers, pace in zip(sizes[1:], paces[1:], strict=True):
        target = AT_LEAST if customers == most else None
        name = f"{customers:,} / {sizes[0]:,} customers"
        figures.append(Figure(name=name, value=pace / paces[0], unit="times", at_least=target))
    return figures


def _measured(bench: Bench, customers: int, events: int) -> tuple[float, float]:
    """Medians of the runs: events a second, and the worker's processor time an event, its start included."""
    times_us = np.array([BEGIN_US - days * DAY_US for days in BOUGHT_DAYS_AGO])
    with installation(bench, clock="event") as site:
        fill(bench, site, names("c", customers), times_us, UNKNOWN)
        order = np.random.default_rng(SEED).permutation(customers).tolist()
        runs = 1 if bench.quick else RUNS
        found = [_run(bench, site, _purchases(order, number * events, events)) for number in range(runs)]
    paces, used_us = zip(*found, strict=True)
    return median(paces), median(used_us)


def _run(bench: Bench, site: Installation, events: Lines) -> tuple[float, float]:
    """Sent, then worked by a new worker: events a second from its first commit to its last, and as above."""
    before = [0 if head is None else head.sequence for head in site.heads()]
    send(bench, site, [events])
    read_to = asyncio.run(ends(site.settings))
    with site.worker() as worker:
        _, done_s = follow(bench, site, worker, read_to)
        worker_s = cpu_s(worker.pid)
    begun_us = min(entry.plan.wall_us for entry in asyncio.run(commits(site.settings, before)))
    count = len(events.values)
    return count / (done_s - begun_us / SECOND_US), 1e6 * worker_s / count


def _purchases(order: list[int], first: int, count: int) -> Lines:
    """Each the next customer's of the order, which begins again at its end; `first`: of the first event."""
    numbers = range(first, first + count)
    at_us = BEGIN_US + np.arange(first, first + count) * APART_US
    times = np.datetime_as_string(at_us.astype("datetime64[us]"), unit="us").tolist()
    values = [
        purchase(number, order[number % len(order)], time, PAID_CENTS)
        for number, time in zip(numbers, times, strict=True)
    ]
    return Lines(file="purchases", numbers=numbers, values=values, done_bytes=0)
