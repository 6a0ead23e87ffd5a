"""A segflow installation of one benchmark: its topics and keys, its worker process; gone afterwards."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import redis
import yaml

from benchmarks.bench import Bench
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.schemas.connection_settings import KafkaTopics
from segflow.schemas.settings import Settings
from segflow.schemas.settings_file import parse
from segflow.segments.rules import from_settings
from segflow.state import keys
from segflow.state.head import Head
from segflow.state.keys import Keys
from segflow.state.lookup import heads
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import client
from segflow.state.redis_servers import OneServer, RedisServers
from segflow.streams.control.topic import Control
from segflow.streams.kafka import topics

PARTITIONS: Final = 8
"""Shards: the default of `segflow topics --create`."""
POLL_S: Final = 0.05
"""Between two looks at the heads: fine beside runs of seconds, and a look costs Redis 50 µs."""
STOP_S: Final = 20.0
"""A worker stops within 10 s of SIGTERM."""
LOG_TAIL_LINES: Final = 20


class WorkerFailedError(RuntimeError):
    """The worker ended or made no progress; the message ends with its log's last lines."""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Topics, settings, and the Redis of one benchmark."""

    settings: Settings
    folder: Path
    redis: redis.Redis
    servers: RedisServers
    partitions: int = PARTITIONS
    rule_versions: RuleVersions  # where there is Kafka, those of its control topic: state is refused without one

    def stores(self) -> list[RedisStore]:
        """Each shard's store."""
        return [RedisStore(self.servers, place) for place in self.places()]

    def places(self) -> list[Keys]:
        """Each shard's keys."""
        return [Keys(self.settings.redis.prefix, number) for number in range(self.partitions)]

    def heads(self) -> list[Head | None]:
        """Each shard's head."""
        return heads(self.servers, self.settings.redis.prefix, self.partitions)

    @contextmanager
    def worker(self, name: str = "worker", *, http_port: int = 0) -> Iterator["WorkerProcess"]:
        """A worker in a process of its own, while the block lasts; `name` is its log's."""
        path = self._settings_file()
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            command = [sys.executable, "-m", "segflow", "worker", "--settings", str(path)]
            command += ["--http-port", str(http_port)]
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield WorkerProcess(process, log)
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def command(self, *arguments: str) -> tuple[float, float]:
        """Run a command of segflow to its end: its seconds, and the most memory it had, in MB.

        Raises:
            WorkerFailedError: it failed.
        """
        command = [sys.executable, "-m", "segflow", *arguments, "--settings", str(self._settings_file())]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise WorkerFailedError(f"segflow {' '.join(arguments)} failed")
        return time.perf_counter() - started, used.ru_maxrss * 1024 / 1e6

    def make_anew(self, role: str) -> None:
        """Delete one of the topics and make it again, empty."""
        name = getattr(self.settings.kafka.topics, role)
        with topics.admin(self.settings.kafka) as admin:
            admin.delete_topics([name])
            while name in admin.list_topics():
                time.sleep(POLL_S)
        topics.create(self.settings, PARTITIONS)

    def _settings_file(self) -> Path:
        path = self.folder / "segflow.yaml"
        content = self.settings.model_dump(mode="json", exclude_defaults=True)
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    def wait_until_taken(self, worker: "WorkerProcess") -> None:
        """Until the worker has written its token into every shard."""
        worker.wait_for(lambda: all(head is not None and head.owner for head in self.heads()), "take its shards", 60)


@dataclass(frozen=True)
class WorkerProcess:
    """A running worker."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def wait_for(self, done: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Poll `done`.

        Raises:
            WorkerFailedError: it ended, or `done` did not come within `timeout_s`.
        """
        until = time.monotonic() + timeout_s
        while not done():
            if self.process.poll() is not None or time.monotonic() > until:
                raise WorkerFailedError(f"the worker did not {what} within {timeout_s:.0f} s:\n{self.tail()}")
            time.sleep(POLL_S)

    def tail(self) -> str:
        """The last lines of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])


@contextmanager
def installation(
    bench: Bench,
    *,
    clock: str,
    kafka: bool = True,
    worker: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
    partitions: int = PARTITIONS,
) -> Iterator[Installation]:
    """A new installation under names nobody else uses; `kafka` False: only Redis and settings; `more` of these."""
    name = f"bench-{secrets.token_hex(4)}"
    content: dict[str, Any] = {
        "clock": clock,
        "worker": worker or {},
        "dimensions": bench.dimensions,
        "redis": {"url": bench.redis.url, "prefix": name},
        "kafka": {
            "address": bench.kafka.address if kafka else "127.0.0.1:9",  # the discard port: nobody answers
            "group": name,
            "topics": {role: f"{name}.{field.default}" for role, field in KafkaTopics.model_fields.items()},
        },
    }
    content |= more or {}
    settings = parse(content, name=name)
    with TemporaryDirectory(prefix="segflow-bench-") as folder, client(settings.redis) as connected:
        rule_versions = RuleVersions(from_settings(settings))
        if kafka:
            topics.create(settings, partitions)
            control = Control(settings)
            control.start(lambda: 0)
            rule_versions = control.rule_versions
        made = Installation(
            settings=settings,
            folder=Path(folder),
            redis=connected,
            servers=OneServer(connected),
            partitions=partitions,
            rule_versions=rule_versions,
        )
        try:
            yield made
        finally:
            for store in made.stores():
                store.wipe()
                store.close()
            connected.unlink(keys.installation(name))
            if kafka:
                with topics.admin(settings.kafka) as admin:
                    admin.delete_topics([getattr(settings.kafka.topics, role) for role in KafkaTopics.model_fields])
