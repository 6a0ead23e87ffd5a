"""Bytes that each topic grows by, and how long a change takes: entries of the journal in full beside short ones."""

import asyncio
import time
from typing import Any, Final

from benchmarks.bench import Bench
from benchmarks.figure import Figure, delays
from benchmarks.installation import Installation, installation
from benchmarks.live import Seen, live_events, subscriber
from segflow.schemas.settings import Settings
from segflow.segments.instant import SECOND_US
from segflow.streams.kafka import topics
from segflow.streams.kafka.topic_kinds import KEPT_FOR_EVER, KINDS
from segflow.streams.runtime.memory import tune_process_memory

RATES_PER_S: Final = (100, 2_000)
"""A small shop's, where each event is a commit; and one at which commits have many."""
WARM_UP_S: Final = 10.0
MEASURED_S: Final = 30.0


def run(bench: Bench) -> list[Figure]:
    """Each rate with a journal that is kept for ever, whose entries say all, and with one that has an end."""
    tune_process_memory()
    figures: list[Figure] = []
    for per_s in RATES_PER_S[:1] if bench.quick else RATES_PER_S:
        for name, kept in (("in full", KEPT_FOR_EVER), ("short", {})):
            with installation(bench, clock="wall") as site:
                if kept:
                    topics.alter(site.settings, {site.settings.kafka.topics.journal: kept})
                with site.worker() as worker:
                    site.wait_until_taken(worker)
                    figures += asyncio.run(_at(bench, site, per_s, f"{per_s:,} events/s, entries {name}"))
    return figures


async def _at(bench: Bench, site: Installation, per_s: int, name: str) -> list[Figure]:
    warm_up_s, measured_s = (1.0, 3.0) if bench.quick else (WARM_UP_S, MEASURED_S)
    seen = Seen()
    async with subscriber(site.settings) as reader:
        with live_events(site.settings, per_s):
            while not seen.seen_us:
                await reader.poll(seen)
            await _read(reader, seen, warm_up_s)
            begun_us, commits, sizes = time.time_ns() // 1000, _commits(site), topic_bytes(site.settings)
            await _read(reader, seen, measured_s)
            ended_us, commits_then, sizes_then = time.time_ns() // 1000, _commits(site), topic_bytes(site.settings)
        await _read(reader, seen, 1.0)
    took_s, made = (ended_us - begun_us) / SECOND_US, commits_then - commits
    grown = {role: sizes_then[role] - sizes[role] for role in KINDS}
    bench.say(f"{name}: {made:,} commits, {grown['journal'] / made:.0f} bytes of journal each")
    times_us = seen.times_us()
    measured = (times_us >= begun_us) & (times_us < ended_us)
    return [
        Figure(name=f"{name}, commits", value=made / took_s, unit="commits/s"),
        Figure(name=f"{name}, journal", value=grown["journal"] / made, unit="bytes/commit"),
        *[Figure(name=f"{name}, {role}", value=size / took_s, unit="bytes/s") for role, size in grown.items() if size],
        *delays(name, seen.delays_ms(times_us)[measured]),
    ]


async def _read(reader: Any, seen: Seen, for_s: float) -> None:
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        await reader.poll(seen)


def _commits(site: Installation) -> int:
    return sum(head.sequence for head in site.heads() if head is not None)


def topic_bytes(settings: Settings) -> dict[str, int]:
    """The bytes of each topic's files, by role, as the brokers have them; one copy."""
    names = {role: str(getattr(settings.kafka.topics, role)) for role in KINDS}
    with topics.admin(settings.kafka) as client:
        described = client.describe_log_dirs(list(names.values()))
    found = dict.fromkeys(names, 0)
    by_name = {name: role for role, name in names.items()}
    for broker in described:
        for folder in broker["log_dirs"]:
            for topic in folder["topics"]:
                found[by_name[topic["name"]]] += sum(each["partition_size"] for each in topic["partitions"])
    return found
