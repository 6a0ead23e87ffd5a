"""From an empty Redis to all shards in work again, out of `segments.state` alone; and what filling that topic takes.

The customers stand in Redis first, as an installation from before the topic has them. A worker brings them over and
ends, Redis is emptied, and another worker copies all back. No input and no journal knows of them. A snapshot is taken
in between, and restored once the topic is empty, too.
"""

import time
from typing import Final

import numpy as np

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.filled_state import fill, names
from benchmarks.installation import Installation, installation
from benchmarks.live import ago
from benchmarks.machine import peak_mb
from benchmarks.recovery import PAST
from segflow.segments.instant import UNKNOWN

TARGETS_S: Final = {1_000_000: 60.0, 5_000_000: 300.0}
"""By customers, on two cores."""
GIVE_UP_S: Final = 3600.0
"""Some ten times what either half takes for the most customers."""


def run(bench: Bench) -> list[Figure]:
    """The settings that ship, over 8 shards. Each customer has one event, and a timer to come."""
    customers = bench.sized(bench.customers, 1_000_000, 4_000)
    with installation(bench, clock="wall") as site:
        fill(bench, site, names("c", customers), np.array([ago(PAST)]), UNKNOWN)
        with site.worker("filling") as worker:
            started = time.perf_counter()
            worker.wait_for(lambda: _is_in_topic(site), "bring all into the state topic", GIVE_UP_S)
            fill_s = time.perf_counter() - started
        bench.say(f"{customers:,} customers brought into the state topic in {fill_s:.0f} s")
        snapshot = site.folder / "snapshot"
        snapshot_s, snapshot_mb = site.command("snapshot", str(snapshot))
        snapshot_bytes = sum(file.stat().st_size for file in snapshot.iterdir())
        _wipe(site)
        with site.worker("restoring") as worker:
            started = time.perf_counter()
            worker.wait_for(lambda: _population(site) == customers, "copy the state back", GIVE_UP_S)
            restore_s = time.perf_counter() - started
            most_mb = peak_mb(worker.pid)
        _wipe(site)
        site.make_anew("state")
        from_files_s, from_files_mb = site.command("restore", str(snapshot))
        if _population(site) != customers:
            raise RuntimeError("the snapshot does not have everybody")
    return [
        Figure(
            name=f"{customers:,} customers copied into an empty Redis",
            value=restore_s,
            unit="s",
            at_most=TARGETS_S.get(customers),
        ),
        Figure(name="of them, a second", value=customers / restore_s, unit="customers/s"),
        Figure(name="most memory of the worker", value=most_mb, unit="MB"),
        Figure(name="brought into the topic before, by a worker without events", value=fill_s, unit="s"),
        Figure(name="written by `segflow snapshot`", value=snapshot_s, unit="s"),
        Figure(name="bytes of the snapshot, a customer", value=snapshot_bytes / customers, unit="bytes"),
        Figure(name="most memory of it", value=snapshot_mb, unit="MB"),
        Figure(name="brought back by `segflow restore`", value=from_files_s, unit="s"),
        Figure(name="most memory of that", value=from_files_mb, unit="MB"),
    ]


def _wipe(site: Installation) -> None:
    for store in site.stores():
        store.wipe()
        store.close()


def _is_in_topic(site: Installation) -> bool:
    return all(head is not None and head.is_in_topic for head in site.heads())


def _population(site: Installation) -> int:
    """The customers of the shards that are whole."""
    return sum(head.population for head in site.heads() if head is not None and not head.partial)
