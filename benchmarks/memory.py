"""Redis memory a customer costs, everything included."""

import time
from typing import Any, Final

import numpy as np
import redis

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.filled_state import TYPICAL, fill, names
from benchmarks.history import BEGIN_US
from benchmarks.installation import Installation, installation
from segflow.segments.instant import DAY_US, UNKNOWN
from segflow.state.head import PAGE_CUSTOMERS

TARGET_BYTES: Final = 520
"""With two dimensions, and the facts of all (issue 16)."""
ALL_DIMENSIONS_BYTES: Final = 700
"""With every dimension on, for a customer without a window, invoices and attributes (issue 4)."""
TYPICAL_BYTES: Final = 1100
"""Likewise with a typical window, invoices and attributes."""
RULES: Final = {
    "risk_appetite": {
        "rules": [
            {"label": "aggressive", "when": "attributes.risk_score >= 70 and attributes.age < 60"},
            {"label": "balanced", "when": "attributes.risk_score >= 40"},
        ],
        "otherwise": "conservative",
    },
    "win_back": {
        "rules": [
            {"label": "call", "when": "value == 'a' and churn in ['high', 'lost']"},
            {"label": "email", "when": "lifecycle == 'at_risk' and idle >= 45d"},
        ],
        "otherwise": "none",
    },
}
"""Two dimensions by rules, one of which looks at attributes."""
SLOT_DAYS: Final = 28
EVENTS_EACH: Final = 5
APART_DAYS: Final = 4
"""Between a customer's events: no deadline passes in between, and every customer ends with a timer."""
SAMPLE: Final = 200
"""Keys of a kind that are asked for their size."""
STEADY_S: Final = 0.5
"""Redis gives buffers back and finishes its tables' growth within a few of its ticks of 100 ms."""
STEADY_TRIES: Final = 20


def run(bench: Bench) -> list[Figure]:
    """used_memory before and after 1 M customers with 5 events each, over 8 shards.

    With every dimension once more with a window, rules, attributes and invoices, and an event for each half slot.
    """
    customers = bench.sized(bench.customers, 1_000_000, 4_000)
    most = ALL_DIMENSIONS_BYTES if bench.all_dimensions else TARGET_BYTES
    found = _filled(bench, f"{customers:,} customers, {EVENTS_EACH} events each", customers, most)
    if not bench.all_dimensions:
        return found
    more = {"dimensions": [*bench.dimensions, *RULES], "rule_dimensions": RULES, "rfm": {"window": "365d"}}
    name = "with a window, 2 attributes, 2 invoices, 2 dimensions by rules"
    return found + _filled(bench, f"{name}, {len(TYPICAL)} events each", customers, TYPICAL_BYTES, more, TYPICAL)


def _filled(
    bench: Bench,
    name: str,
    customers: int,
    most_bytes: int,
    more: dict[str, Any] | None = None,
    kinds: tuple[bytes, ...] | None = None,
) -> list[Figure]:
    """The memory of so many customers. Each does all of `kinds`, half a slot apart; without them, EVENTS_EACH."""
    with installation(bench, clock="event", kafka=False, more=more) as site:
        before = _used(site.redis)
        count, apart_days = (EVENTS_EACH, APART_DAYS) if kinds is None else (len(kinds), SLOT_DAYS // 2)
        times_us = BEGIN_US + np.arange(count) * apart_days * DAY_US
        fill(bench, site, names("c", customers), times_us, UNKNOWN, kinds)
        each = (_used(site.redis) - before) / customers
        record, value, timer, page = _parts(site)
        directory = page / PAGE_CUSTOMERS
    return [
        Figure(name=name, value=each, unit="bytes/customer", at_most=most_bytes),
        Figure(name="of it the record's key and value", value=record, unit="bytes/customer"),
        Figure(name="of that the value", value=value, unit="bytes/customer"),
        Figure(name="of it the timer", value=timer, unit="bytes/customer"),
        Figure(name="of it the directory", value=directory, unit="bytes/customer"),
        Figure(name="of it the rest (key table)", value=each - record - timer - directory, unit="bytes/customer"),
    ]


def _used(connected: redis.Redis) -> int:
    """used_memory once it holds still."""
    last = -1
    for _ in range(STEADY_TRIES):
        used = int(connected.info("memory")["used_memory"])
        if abs(used - last) < 4096:  # what the question itself costs
            break
        last = used
        time.sleep(STEADY_S)
    return used


def _parts(site: Installation) -> tuple[float, float, float, float]:
    """Bytes of a record with its key, of its value, of a timer, and of a full directory page."""
    place, store = site.places()[0], site.stores()[0]
    ids = store.page(0)[:SAMPLE]
    store.close()
    records = [site.redis.memory_usage(place.record(who)) or 0 for who in ids]
    values = [site.redis.strlen(place.record(who)) for who in ids]
    timers = (site.redis.memory_usage(place.timers, samples=SAMPLE) or 0) / max(1, site.redis.zcard(place.timers))
    page = site.redis.memory_usage(place.page(0), samples=0) or 0
    return (
        float(np.mean(records)),
        float(np.mean(values)),
        timers,
        page * PAGE_CUSTOMERS / max(1, site.redis.llen(place.page(0))),
    )
