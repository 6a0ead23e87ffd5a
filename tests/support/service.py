"""An installation for acceptance tests: topics, settings, workers as processes, what goes in and comes out."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml
from aiokafka import AIOKafkaConsumer, TopicPartition
from kafka import KafkaProducer
from kafka import TopicPartition as AdminPartition
from kafka.admin import ConfigResource

from segflow.engine.partitioner import partition_of
from segflow.schemas.connection_settings import KafkaTopics
from segflow.schemas.settings import Settings
from segflow.schemas.settings_file import parse
from segflow.state import lookup
from segflow.state.head import Head
from segflow.state.keys import Keys
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import servers
from segflow.streams.journal.entry_codec import decode
from segflow.streams.kafka import topics
from tests.support.until import PATIENCE_S, until

STOP_S = 60.0
"""A worker stops within 10 s of SIGTERM; a test machine may be slow."""


class Service:
    """One installation on the session's Kafka and Redis, under names of its own; `content`: sections of settings."""

    def __init__(
        self,
        folder: Path,
        kafka: str,
        redis: str,
        prefix: str,
        partitions: int,
        /,
        *,
        redis_timeout: str = "10s",
        inputs: dict[str, str] | None = None,
        **content: Any,
    ) -> None:
        """`inputs`: names of input topics that are there already, by role."""
        roles = list(KafkaTopics.model_fields)
        self.partitions = partitions
        names = {role: prefix + role for role in roles} | (inputs or {})
        self.content = {
            "kafka": {"address": kafka, "group": f"{prefix}group", "topics": names},
            "redis": {"url": redis, "prefix": prefix.rstrip("-"), "timeout": redis_timeout},
            **content,
        }
        self.file = folder / "segflow.yaml"
        self.file.write_text(yaml.safe_dump(self.content))
        self.settings: Settings = parse(self.content, name="test", environment={})
        topics.create(self.settings, partitions)

    @contextmanager
    def worker(
        self,
        processes: int = 1,
        *,
        http_port: int | None = None,
        options: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A running `segflow worker`, stopped in the end by SIGTERM, which must end it cleanly.

        `environment`: variables beside those of this process.
        """
        arguments = ["worker", "--settings", str(self.file), "--processes", str(processes), *options]
        arguments += [] if http_port is None else ["--http-port", str(http_port)]
        with (self.file.parent / "worker.log").open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "segflow", *arguments],
                stdout=said,
                stderr=said,
                env=os.environ | dict(environment or {}),
            )
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_S) == 0, (self.file.parent / "worker.log").read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def send(self, events: Iterable[dict[str, Any] | bytes], role: str | None = None) -> None:
        """Events into the input their type belongs to, or raw records (of key c1) into the input `role`."""
        names = self.settings.kafka.topics
        with closing(KafkaProducer(bootstrap_servers=self.settings.kafka.address, acks="all")) as producer:
            for event in events:
                if isinstance(event, bytes):
                    producer.send(getattr(names, role or "purchases"), key=b"c1", value=event, partition=0)
                    continue
                key = event["customer_id"].encode()
                topic = names.purchases if event["type"] in ("purchase", "refund") else names.interactions
                partition = partition_of(key, "murmur2", self.partitions)
                producer.send(topic, key=key, value=json.dumps(event).encode(), partition=partition)
            producer.flush()

    def produce(self, file: Path) -> None:
        """A whole file of events, by `segflow produce`."""
        command = [sys.executable, "-m", "segflow", "produce", "--settings", str(self.file), str(file)]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)

    @contextmanager
    def producing(self, file: Path, rate: int) -> Iterator[None]:
        """`segflow produce` at `rate` events/s in the background; finished in the end."""
        command = [
            sys.executable,
            "-m",
            "segflow",
            "produce",
            "--settings",
            str(self.file),
            str(file),
            "--rate",
            str(rate),
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
            process.wait()

    def read(self, role: str, enough: Callable[[list[Any]], bool] = lambda _: True) -> list[Any]:
        """The records of a topic, read_committed: all there are once `enough` of them are there.

        Raises:
            TimeoutError: they did not become enough.
        """
        return asyncio.run(self._read(getattr(self.settings.kafka.topics, role), enough))

    async def _read(self, topic: str, enough: Callable[[list[Any]], bool]) -> list[Any]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.kafka.address, isolation_level="read_committed", enable_auto_commit=False
        )
        await consumer.start()
        try:
            count = 1 if topic == self.settings.kafka.topics.control else self.partitions
            places = [TopicPartition(topic, number) for number in range(count)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            found: list[Any] = []
            ends: dict[TopicPartition, int] | None = None  # where the topic ended when there were enough
            until = time.monotonic() + PATIENCE_S
            while True:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += records
                if ends is None and enough(found):
                    ends = await consumer.end_offsets(places)
                if ends is not None and all([await consumer.position(place) >= ends[place] for place in places]):
                    return found
                if time.monotonic() > until:
                    raise TimeoutError(f"{topic} has {len(found)} records, which is not enough")
        finally:
            await consumer.stop()

    def cut_by_retention(self, role: str, partition: int, offset: int) -> None:
        """Delete a topic's records before `offset`, as retention does."""
        place = AdminPartition(getattr(self.settings.kafka.topics, role), partition)
        with topics.admin(self.settings.kafka) as kafka:
            kafka.delete_records({place: offset})

    def limit_batches(self, role: str, size: int) -> None:
        """Set a topic's `max.message.bytes`."""
        name = getattr(self.settings.kafka.topics, role)
        with topics.admin(self.settings.kafka) as kafka:
            kafka.alter_configs([ConfigResource("topic", name, configs={"max.message.bytes": str(size)})])

    def heads(self) -> list[Head | None]:
        """Of all shards, as stored in Redis; None where a shard has no state."""
        with servers(self.settings.redis) as connected:
            return lookup.heads(connected, self.settings.redis.prefix, self.partitions)

    def is_in_state_topic(self) -> bool:
        """Whether the state topic has all of every shard."""
        return all(head is not None and head.is_in_topic for head in self.heads())

    def leaves_nothing_due(self) -> None:
        """Wait until no shard has silence up to its clock, or customers under older rules, left to work.

        A commit works off a slice of either; what it leaves comes with the next, also where no more events come.
        """
        until(lambda: not any(itertools.starmap(self._has_due, enumerate(self.heads()))), "something stays due")

    def _has_due(self, partition: int, head: Head | None) -> bool:
        if head is None or head.adopting is not None:
            return head is not None
        keys = Keys(self.settings.redis.prefix, partition)
        with servers(self.settings.redis) as connected, closing(RedisStore(connected, keys)) as store:
            return bool(store.due(head.clock_us, 1))

    def changes(self, count: int) -> list[dict[str, Any]]:
        """The published changes, once there are at least `count`."""
        return [json.loads(each.value) for each in self.read("changes", lambda found: len(found) >= count)]

    def journal(self, enough: Callable[[list[dict[str, Any]]], bool] = lambda _: True) -> list[dict[str, Any]]:
        """The journal's entries of all shards, each with its `partition`."""
        parsed: list[dict[str, Any]] = []

        def entries(found: list[Any]) -> list[dict[str, Any]]:  # which only grows: each is parsed once
            parsed.extend(
                {**msgspec.to_builtins(decode(each.value)), "partition": each.partition}
                for each in found[len(parsed) :]
            )
            return parsed

        return entries(self.read("journal", lambda found: enough(entries(found))))
