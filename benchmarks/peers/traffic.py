"""Sizes of what segflow stored and published in a run: the ceiling moves as many bytes."""

import asyncio
from itertools import islice
from typing import Any, Final

import numpy as np

from benchmarks.ceiling import Traffic
from benchmarks.peers.published import each
from benchmarks.peers.site import Site, ends_now
from segflow.state.keys import Keys
from segflow.state.redis_connection import client

SAMPLE: Final = 1000
"""Records of customers whose sizes stand for all."""


def of_segflow(site: Site, events: int) -> Traffic:
    """Counted, record by record, in its two topics of output, and sampled in Redis."""
    topics = site.kafka.topics
    changes, change_bytes = _counted(site, topics.changes)
    current, current_bytes = _counted(site, topics.current)
    return Traffic(
        changes_per_event=changes / events,
        change_bytes=round(change_bytes / max(1, changes)),
        current_per_event=current / events,
        current_bytes=round(current_bytes / max(1, current)),
        record_bytes=_record_bytes(site),
    )


def _counted(site: Site, topic: str) -> tuple[int, int]:
    """The committed records of a topic and their bytes."""
    count = size = 0

    def take(record: Any) -> None:
        nonlocal count, size
        count += 1
        headers = sum(len(name) + len(value) for name, value in record.headers)
        size += record.serialized_key_size + record.serialized_value_size + headers

    asyncio.run(each(site.kafka, topic, ends_now(site.kafka, topic), take))
    return count, size


def _record_bytes(site: Site) -> int:
    place = Keys(site.place.settings.redis.prefix, 0)
    with client(site.place.settings.redis) as connected:
        keys = islice(connected.scan_iter(place.pattern(place.record("")), count=SAMPLE), SAMPLE)
        return round(float(np.mean([connected.strlen(key) for key in keys])))
