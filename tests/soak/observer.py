"""Watches the journal as it grows: which shard committed last when."""

import threading
import time
from contextlib import closing
from typing import Final, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from tests.faults.installation import Installation

RETRY_S: Final = 0.2
POLL_MS: Final = 100


class Observer:
    """A subscriber of the journal in a thread of its own. A context manager."""

    def __init__(self, installed: Installation) -> None:
        self._installed = installed
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self.commits = 0
        self.latest_s: dict[int, float] = dict.fromkeys(range(installed.partitions), 0.0)  # by shard, monotonic

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def all_moved_since(self, moment_s: float) -> bool:
        """Whether every shard has committed after that moment (monotonic)."""
        return min(self.latest_s.values()) > moment_s

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
                            self.commits += len(records)
                            self.latest_s[place.partition] = time.monotonic()
            except (KafkaError, OSError):  # the broker is being hurt
                time.sleep(RETRY_S)
