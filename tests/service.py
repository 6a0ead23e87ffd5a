"""A whole installation for acceptance tests: topics, settings file, workers as processes, what goes in and comes out."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import yaml
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from schemas.settings import Settings
from schemas.settings_file import parse
from streams import topics
from streams.partitioner import partition_of

PATIENCE_S = 60.0
"""No condition of these tests takes a tenth of it on an idle machine."""

POLL_RECORDS = 50_000
"""kafka-python's own 500 make a round trip of every few records."""


class Service:
    """One installation on the session's Kafka and Redis, under names of its own."""

    def __init__(self, folder: Path, kafka: str, redis: str, prefix: str, partitions: int, **content: Any) -> None:
        roles = ("purchases", "interactions", "changes", "current", "dead_letters", "journal", "control")
        self.partitions = partitions
        self.content = {
            "kafka": {"address": kafka, "group": f"{prefix}group", "topics": {role: prefix + role for role in roles}},
            "redis": {"url": redis, "prefix": prefix.rstrip("-")},
            **content,
        }
        self.file = folder / "segflow.yaml"
        self.file.write_text(yaml.safe_dump(self.content))
        self.settings: Settings = parse(self.content, name="test", environment={})
        topics.create(self.settings, partitions)

    @contextmanager
    def worker(self, processes: int = 1, *, stop: bool = True) -> Iterator[subprocess.Popen[bytes]]:
        """A running `segflow worker`, stopped in the end by SIGTERM, which must end it cleanly."""
        arguments = ["worker", "--settings", str(self.file), "--processes", str(processes)]
        process = subprocess.Popen([sys.executable, "-m", "streams", *arguments], stderr=subprocess.PIPE)
        try:
            yield process
            if stop:
                process.send_signal(signal.SIGTERM)
                _, said = process.communicate(timeout=20)
                assert process.returncode == 0, said.decode()
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.communicate(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()

    def send(self, events: Iterable[dict[str, Any] | bytes], role: str | None = None) -> None:
        """Events into the input their type belongs to, or raw records (without a key) into the input `role`."""
        names = self.settings.kafka.topics
        with closing(KafkaProducer(bootstrap_servers=self.settings.kafka.address, acks="all")) as producer:
            for event in events:
                if isinstance(event, bytes):
                    producer.send(getattr(names, role or "purchases"), value=event, partition=0)
                    continue
                key = event["customer_id"].encode()
                topic = names.purchases if event["type"] in ("purchase", "refund") else names.interactions
                partition = partition_of(key, "murmur2", self.partitions)
                producer.send(topic, key=key, value=json.dumps(event).encode(), partition=partition)
            producer.flush()

    def produce(self, file: Path) -> None:
        """A whole file of events, by `segflow produce`."""
        command = [sys.executable, "-m", "streams", "produce", "--settings", str(self.file), str(file)]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)

    def read(self, role: str, enough: Callable[[list[Any]], bool] = lambda _: True) -> list[Any]:
        """The records of a topic, read_committed: all there are once `enough` of them are there.

        Raises:
            TimeoutError: they did not become enough.
        """
        topic = getattr(self.settings.kafka.topics, role)
        consumer = KafkaConsumer(
            bootstrap_servers=self.settings.kafka.address, isolation_level="read_committed", enable_auto_commit=False
        )
        with closing(consumer):
            places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            found: list[Any] = []
            until = time.monotonic() + PATIENCE_S
            while True:
                polled = consumer.poll(timeout_ms=100, max_records=POLL_RECORDS)
                if polled:
                    for records in polled.values():
                        found += records
                    continue
                ends = consumer.end_offsets(places)
                if all(consumer.position(place) >= ends[place] for place in places) and enough(found):
                    return found
                if time.monotonic() > until:
                    raise TimeoutError(f"{topic} has {len(found)} records, which is not enough")

    def changes(self, count: int) -> list[dict[str, Any]]:
        """The published changes, once there are at least `count`."""
        return [json.loads(each.value) for each in self.read("changes", lambda found: len(found) >= count)]

    def journal(self, enough: Callable[[list[dict[str, Any]]], bool] = lambda _: True) -> list[dict[str, Any]]:
        """The journal's entries of all shards, each with its `partition`."""

        def entries(found: list[Any]) -> list[dict[str, Any]]:
            return [{**json.loads(each.value), "partition": each.partition} for each in found]

        return entries(self.read("journal", lambda found: enough(entries(found))))
