"""The cost of exactly-once: one history processed with and without Kafka transactions, in turn."""

import asyncio
from statistics import median
from typing import Final

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.history import History
from benchmarks.installation import Installation, installation
from benchmarks.machine import cpu_s
from benchmarks.throughput import ends, follow, send

GUARANTEES: Final = ("exactly_once", "at_least_once")
TICK_S: Final = 0.01
"""As fine as the kernel counts."""
ROUNDS: Final = 3
"""Of both, the order turned round each time: what else the machine does meets both alike, and the median stands."""


def run(bench: Bench) -> list[Figure]:
    """Events a second of the worker's processor time, beside each other, and their ratio."""
    history = History(
        customers=bench.sized(bench.customers, 200_000, 2_000), events=bench.sized(bench.events, 400_000, 4_000)
    )
    reached: dict[str, list[float]] = {name: [] for name in GUARANTEES}
    for number in range(1 if bench.quick else ROUNDS):
        for name in GUARANTEES if number % 2 == 0 else reversed(GUARANTEES):
            with installation(bench, clock="event", worker={"guarantee": name}) as site:
                reached[name].append(history.events / _worked_s(bench, site, history))
            bench.say(f"{name}: {reached[name][-1]:,.0f} events a processor second")
    exactly, at_least = (median(reached[name]) for name in GUARANTEES)
    return [
        Figure(name="exactly once", value=exactly, unit="events/CPU s"),
        Figure(name="at least once", value=at_least, unit="events/CPU s"),
        Figure(name="at least once / exactly once", value=at_least / exactly, unit="times"),
    ]


def _worked_s(bench: Bench, site: Installation, history: History) -> float:
    """The worker's processor time for the whole history, less that of a start with nothing to do."""
    with site.worker() as worker:
        site.wait_until_taken(worker)
        start_s = cpu_s(worker.pid)
    send(bench, site, history.lines())
    read_to = asyncio.run(ends(site.settings))
    with site.worker() as worker:
        follow(bench, site, worker, read_to)
        return max(TICK_S, cpu_s(worker.pid) - start_s)
