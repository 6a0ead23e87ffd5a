"""Watches the journal as it grows: how many commits each shard has made."""

import threading
import time
from collections import Counter
from contextlib import closing
from typing import Final, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from tests.faults.installation import Installation

RETRY_S: Final = 0.2
POLL_MS: Final = 100
AGAIN: Final = 2
"""Commits by which a shard is seen to have moved: one may have been on its way when the fault struck."""


class Observer:
    """A subscriber of the journal in a thread of its own. A context manager."""

    def __init__(self, installed: Installation) -> None:
        self._installed = installed
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self.commits: Counter[int] = Counter()  # by shard
        self.moved_s: dict[int, float] = {}  # by shard: when it committed last, by the monotonic clock

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def all_moved_since(self, before: Counter[int]) -> bool:
        """Whether every shard has committed beyond those counts."""
        return all(self.commits[each] >= before[each] + AGAIN for each in range(self._installed.partitions))

    def _follow(self) -> None:
        topic = self._installed.settings.kafka.topics.journal
        places = [TopicPartition(topic, number) for number in range(self._installed.partitions)]
        offsets = dict.fromkeys(places, 0)
        while not self._ended.is_set():
            try:
                with closing(
                    KafkaConsumer(
                        bootstrap_servers=self._installed.direct,
                        isolation_level="read_committed",
                        enable_auto_commit=False,
                    )
                ) as consumer:
                    consumer.assign(places)
                    for place, offset in offsets.items():
                        consumer.seek(place, offset)
                    while not self._ended.is_set():
                        for place, records in consumer.poll(timeout_ms=POLL_MS).items():
                            offsets[place] = records[-1].offset + 1
                            self.commits[place.partition] += len(records)
                            self.moved_s[place.partition] = time.monotonic()
            except (KafkaError, OSError):  # a fault of the broker
                time.sleep(RETRY_S)
