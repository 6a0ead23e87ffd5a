"""One worker process and two on the same topics: what the second one adds."""

import asyncio
import os
import time
from contextlib import ExitStack
from typing import Final

from benchmarks.bench import Bench, pid_of
from benchmarks.figure import Figure
from benchmarks.history import History
from benchmarks.installation import Installation, installation
from benchmarks.machine import cpu_s
from benchmarks.members import member, wait_until_shared
from benchmarks.throughput import ends, follow, send

COUNTS: Final = (1, 2)
CORES_TO_SPARE: Final = 6
"""Two workers, the broker's two busy threads, Redis and what looks on: with fewer cores they take turns."""
AT_LEAST: Final = 1.6
"""Times the pace of one, on a machine with cores to spare."""
AT_LEAST_CPU: Final = 0.9
"""Of the events a processor second of one, where there are none to spare."""


def run(bench: Bench) -> list[Figure]:
    """Both over the same history, from when each worker has its shards to the last commit."""
    history = History(
        customers=bench.sized(bench.customers, 1_000_000, 4_000), events=bench.sized(bench.events, 2_000_000, 8_000)
    )
    found = [_measured(bench, history, count) for count in COUNTS]
    (one_s, one_cpu_s), (two_s, two_cpu_s) = found
    spare = (os.cpu_count() or 1) >= CORES_TO_SPARE
    return [
        *(
            figure
            for count, (per_s, per_cpu_s) in zip(COUNTS, found, strict=True)
            for figure in (
                Figure(name=f"workers: {count}", value=per_s, unit="events/s"),
                Figure(name=f"workers: {count}, of everything", value=per_cpu_s, unit="events/CPU s"),
            )
        ),
        Figure(name="two / one", value=two_s / one_s, unit="times", at_least=AT_LEAST if spare else None),
        Figure(
            name="two / one, a processor second",
            value=two_cpu_s / one_cpu_s,
            unit="times",
            at_least=None if spare else AT_LEAST_CPU,
        ),
    ]


def _measured(bench: Bench, history: History, count: int) -> tuple[float, float]:
    """Events a second, and a processor second of the workers, the broker and Redis."""
    with installation(bench, clock="event") as site, ExitStack() as workers:
        send(bench, site, history.lines())
        read_to = asyncio.run(ends(site.settings))
        members = [workers.enter_context(member(site, f"worker-{number}")) for number in range(count)]
        pids = [*(each.worker.pid for each in members), pid_of(bench.kafka), pid_of(bench.redis)]
        if not bench.quick:  # the few events of a quick run would be over by then
            wait_until_shared(members)
        begun, begun_s, used_s = _read(site), time.time(), sum(map(cpu_s, pids))
        _, done_s = follow(bench, site, members[0].worker, read_to)
        events = _read(site) - begun
        used_s = sum(map(cpu_s, pids)) - used_s
    bench.say(f"workers: {count}: {events:,} events in {done_s - begun_s:.0f} s")
    return events / (done_s - begun_s), events / used_s


def _read(site: Installation) -> int:
    """The number of events that all shards have read."""
    return sum(head.purchases.offset + head.interactions.offset for head in site.heads() if head is not None)
