"""An installation under faults: quick timeouts, a stream that goes in, and the outcome compared."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from kafka import KafkaProducer
from kafka.admin import NewPartitions
from redis import Redis

from segflow.engine.partitioner import partition_of
from segflow.state.keys import Keys
from segflow.state.redis_connection import client
from segflow.streams.kafka import topics
from segflow.streams.kafka.topic_kinds import INPUTS, KINDS
from segflow.streams.kafka.topics import admin
from tests.faults.outcome import Outcome, outcome_of, reads_all
from tests.faults.stream import INTERACTIONS, PURCHASES, Record
from tests.faults.worker_process import WorkerProcess
from tests.support.command import segflow
from tests.support.earlier_version import EarlierVersion
from tests.support.health import Health
from tests.support.service import Service
from tests.support.until import PATIENCE_S, until

QUICK: Final = {
    "clock": "event",
    "worker": {
        # Some commits for a few hundred records, so that there is something between two of them.
        "batch_max_records": 40,
        "session_timeout": "1s",
        "transaction_timeout": "3s",
        "merge_wait": "1s",
    },
}


HIGH_WATERMARK: Final = -1
"""Of Kafka's DeleteRecords: all there are."""


class Installation(Service):
    """A Service whose workers may reach Kafka by another way than the test does.

    Args:
        direct: where the test reaches Kafka.
        address: where the workers do.
    """

    def __init__(
        self,
        folder: Path,
        *,
        direct: str,
        address: str,
        redis: str,
        redis_timeout: str = "10s",
        prefix: str,
        partitions: int = 2,
        content: dict[str, Any] | None = None,
    ) -> None:
        self._cut: dict[str, list[Any]] = {}  # by role
        given = content or {}
        merged = QUICK | given | {"worker": {**QUICK["worker"], **given.get("worker", {})}}  # type: ignore[dict-item]
        super().__init__(folder, address, redis, prefix, partitions, redis_timeout=redis_timeout, **merged)
        self.direct = direct
        self.settings = self.settings.model_copy(
            update={"kafka": self.settings.kafka.model_copy(update={"address": direct})}
        )

    def put(
        self,
        records: Iterable[Record],
        rate: float | None = None,
        go_on: Callable[[], bool] = lambda: True,
        *,
        beside: int = 0,
    ) -> int:
        """Records into their topics; at `rate` a second, while `go_on` says so. How many went in.

        `beside`: so many partitions after the customer's own.
        """
        names, count, started = self.settings.kafka.topics, 0, time.monotonic()
        with closing(KafkaProducer(bootstrap_servers=self.direct, acks="all", linger_ms=5)) as producer:
            for record in records:
                if not go_on():
                    break
                own = partition_of(record.customer.encode(), "murmur2", self.partitions)
                partition = (own + beside) % self.partitions
                producer.send(getattr(names, record.role), key=record.key, value=record.value, partition=partition)
                count += 1
                if rate is not None:
                    time.sleep(max(0.0, started + count / rate - time.monotonic()))
            producer.flush()
        return count

    @contextmanager
    def flowing(self, records: Iterable[Record], rate: float) -> Iterator[None]:
        """Records go in at `rate` a second in the background while the block lasts."""
        ended = threading.Event()
        feeder = threading.Thread(target=self.put, args=(records, rate, lambda: not ended.is_set()))
        feeder.start()
        try:
            yield
        finally:
            ended.set()
            feeder.join()

    def worker(  # type: ignore[override]
        self,
        crash_at: str | None = None,
        processes: int = 1,
        http_port: int = 0,
        module: str = "segflow",
        earlier: EarlierVersion | None = None,
    ) -> WorkerProcess:
        """A running worker."""
        return WorkerProcess(self, crash_at, processes, http_port, module, earlier)

    @contextmanager
    def ready_worker(self, health: Health | None = None, module: str = "segflow") -> Iterator[WorkerProcess]:
        """A running worker that says on its pages that it is ready."""
        pages = health or Health.at_free_port()
        with self.worker(http_port=pages.port, module=module) as worker:
            until(pages.is_ready, worker.said)
            yield worker

    def works(self, records: Iterable[Record]) -> None:
        """Put records in, let a worker work them, and stop it."""
        with self.worker() as worker:
            self.put(records)
            self.settles()
            worker.stop()

    def commits(self) -> int:
        """Commits of all shards so far, as a subscriber of the journal sees them."""
        return len(self.journal())

    def commits_more(self, count: int = 1) -> None:
        """Wait until there are that many more commits."""
        before = self.commits()
        self.journal(lambda entries: len(entries) >= before + count)

    def settles(self) -> None:
        """Wait until all that was put in or handed over is in the journal, every commit in Redis, and nothing due.

        What one commit leaves undone by its slice's limit (silence, customers under new rules) comes with the next.
        """
        ends = asyncio.run(self._ends())
        before: dict[tuple[str, int], int] = {}
        while ends != before:
            self.journal(partial(reads_all, ends=ends))
            before, ends = ends, ends | self._handed_over()
        last: dict[int, int] = {}
        for entry in self.journal():
            last[entry["partition"]] = max(last.get(entry["partition"], 0), entry["plan"]["sequence"])

        def folded() -> bool:
            heads = self.heads()
            return all((head := heads[each]) is not None and head.sequence >= last[each] for each in last)

        until(folded, "Redis does not reach the journal")
        self.leaves_nothing_due()

    def comes_out_right(self) -> Outcome:
        """Wait for everything, then hold it against the oracle."""
        self.settles()
        found = outcome_of(self)
        assert found.right, found
        return found

    def has_members(self, count: int) -> None:
        """Wait until the workers' group is stable with so many members."""
        group = self.settings.kafka.group
        with admin(self.settings.kafka) as kafka:

            def stable() -> bool:
                described = kafka.describe_groups([group])[group]
                wanted = "Stable" if count else "Empty"
                return described["group_state"] == wanted and len(described["members"]) == count

            until(stable, lambda: f"the group is {kafka.describe_groups([group])}")

    def doctor(self, status: str | None = None) -> str:
        """Names and messages of what `segflow doctor` finds, all of it or what has that status."""
        found = json.loads(segflow("doctor", "--settings", self.file, "--json").out)
        return " ".join(f"{each['name']} {each['message']}" for each in found if status in (None, each["status"]))

    def add_partitions(self, count: int) -> None:
        """Raise the inputs to so many partitions."""
        names = [getattr(self.settings.kafka.topics, role) for role in INPUTS]
        with admin(self.settings.kafka) as kafka:
            kafka.create_partitions({name: NewPartitions(count) for name in names})

    def cut_to_nothing(self, *roles: str) -> None:
        """Delete all records of topics, as retention does; `read` gives them still, as they were published."""
        for role in roles:
            self._cut[role] = self.read(role)
            for partition in range(self.partitions):
                self.cut_by_retention(role, partition, HIGH_WATERMARK)

    def read(self, role: str, enough: Callable[[list[Any]], bool] = lambda _: True) -> list[Any]:
        """See Service."""
        cut = self._cut.get(role, [])
        return cut + super().read(role, lambda found: enough(cut + found))

    def shards_of_customers(self, partitions: int) -> dict[str, set[int]]:
        """In which of so many shards each customer is remembered."""
        found: dict[str, set[int]] = {}
        with client(self.settings.redis) as redis:
            for partition in range(partitions):
                start = Keys(self.settings.redis.prefix, partition).record("")
                for key in redis.scan_iter(Keys.pattern(start), count=1000):
                    found.setdefault(key.decode().removeprefix(start), set()).add(partition)
        return found

    def make_anew(self, role: str) -> None:
        """Delete a topic and make it again, empty."""
        self.delete(role)
        self.make(role)

    def delete(self, role: str) -> str:
        """Delete a topic; its name."""
        name: str = getattr(self.settings.kafka.topics, role)
        with admin(self.settings.kafka) as kafka:
            kafka.delete_topics([name])
            until(lambda: name not in kafka.list_topics(), "the topic does not go")
        return name

    def make(self, role: str) -> None:
        """Make a topic that was deleted."""
        until(lambda: self._made(role), "the topic does not come back")

    def _made(self, role: str) -> bool:
        topics.create(self.settings, self.partitions)
        expected = 1 if KINDS[role].single else self.partitions
        return topics.check(self.settings).topics[role].partitions == expected

    def _handed_over(self) -> dict[tuple[str, int], int]:
        """The offset after the last merge message of each shard."""
        ends: dict[tuple[str, int], int] = {}
        for each in self.read("handover"):
            place = ("handover", each.partition)
            ends[place] = max(ends.get(place, 0), each.offset + 1)
        return ends

    def is_read(self) -> None:
        """Wait until Redis has all that was put in; as `settles`, whatever else is in segflow's own topics."""
        ends = asyncio.run(self._ends())

        def reached() -> bool:
            return all(
                (head := self.heads()[number]) is not None and getattr(head, role).offset >= end
                for (role, number), end in ends.items()
            )

        until(reached, "Redis does not reach the inputs' ends")

    async def _ends(self) -> dict[tuple[str, int], int]:
        names = {PURCHASES: self.settings.kafka.topics.purchases, INTERACTIONS: self.settings.kafka.topics.interactions}
        async with asyncio.timeout(PATIENCE_S):
            consumer = AIOKafkaConsumer(bootstrap_servers=self.direct, isolation_level="read_committed")
            await consumer.start()
            try:
                places = {
                    (role, number): TopicPartition(name, number)
                    for role, name in names.items()
                    for number in range(self.partitions)
                }
                ends = await consumer.end_offsets(list(places.values()))
            finally:
                await consumer.stop()
        return {place: ends[each] for place, each in places.items()}


def spoil_records(redis: Redis, keys: Keys) -> None:
    """Garbage in the place of the record of every customer of a shard."""
    for key in list(redis.scan_iter(keys.pattern(keys.record("")))):
        redis.set(key, b"\x02garbage")


Make = Callable[..., Installation]
