"""The servers of the demo: a broker, a Redis, the topics and a worker, started together and ended together."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from segflow.demo.worker_process import STOP_TIMEOUT_S, WorkerProcess
from segflow.embedded.broker import Broker, GivenBroker, broker
from segflow.embedded.options import NothingToRunError, UnavailableError
from segflow.embedded.redis_server import GivenRedis, RunningRedis, redis
from segflow.embedded.tansu import Tansu
from segflow.schemas import settings_file
from segflow.schemas.connection_settings import KafkaTopics
from segflow.schemas.settings import Settings
from segflow.state.redis_connection import servers as servers_at
from segflow.streams.kafka import topics
from segflow.streams.runtime.connections import kafka_errors, redis_errors
from segflow.streams.runtime.errors import UsageError

SHARDS: Final = 8
"""Partitions of each input, as in a new installation (streams/kafka/topics.py, DEFAULT_PARTITIONS)."""
KEYS_AT_ONCE: Final = 1000
"""Keys removed in one round trip from a Redis that somebody else runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Servers:
    """The running worker and its settings."""

    settings: Settings
    worker: WorkerProcess


@contextmanager
def servers(announce: Callable[[str], None]) -> Iterator[Servers]:
    """The servers and the worker, running within the block and gone after it.

    Args:
        announce: called with a line for each server chosen.

    Raises:
        UsageError: something is missing on this machine. The message says what would help.
    """
    try:
        with broker(announce=announce) as kafka_server:
            announce(f"broker: {kafka_server.description} at {kafka_server.address}")
            if isinstance(kafka_server, Tansu):
                announce("  it serves the demo; without transactions segflow guarantees nothing. Passed over:")
                for reason in kafka_server.passed_over:
                    announce(f"  - {reason}")
            with redis() as redis_server:
                announce(f"redis: {redis_server.description}")
                with closing(WorkerProcess(_content(kafka_server, redis_server), shards=SHARDS)) as worker:
                    settings = settings_file.load(worker.settings_file)
                    with _left_as_found(settings, kafka_server, redis_server):
                        _make_topics(settings)
                        worker.start()
                        announce(f"worker: {worker.description}")
                        try:
                            yield Servers(settings=settings, worker=worker)
                        finally:
                            worker.stop(STOP_TIMEOUT_S)
    except (NothingToRunError, UnavailableError, settings_file.SettingsError) as error:
        raise UsageError(str(error)) from error


def _content(kafka_server: Broker, redis_server: RunningRedis) -> dict[str, Any]:
    """Settings with unique names of topics and keys, since a given broker or Redis may hold an installation already.

    Tansu has no transactions. Nothing fails during a demo, so the changes are right without them.
    """
    prefix = f"demo-{secrets.token_hex(4)}"
    return {
        "kafka": {
            "address": kafka_server.address,
            "group": prefix,
            "topics": {role: f"{prefix}.{name}" for role, name in KafkaTopics().model_dump().items()},
        },
        "redis": {"url": redis_server.url, "prefix": prefix},
        "worker": {"guarantee": "at_least_once" if isinstance(kafka_server, Tansu) else "exactly_once"},
        "currency": "USD",
        "clock": "event",
    }


def _make_topics(settings: Settings) -> None:
    with kafka_errors(settings.kafka):
        topics.create(settings, SHARDS)


@contextmanager
def _left_as_found(settings: Settings, kafka_server: Broker, redis_server: RunningRedis) -> Iterator[None]:
    """Remove the demo's topics and keys at the end from servers that somebody else runs."""
    try:
        yield
    finally:
        if isinstance(redis_server, GivenRedis):
            with redis_errors(settings.redis), servers_at(settings.redis) as there:
                for client in there.each():
                    keys = list(client.scan_iter(f"{settings.redis.prefix}:*", count=KEYS_AT_ONCE))
                    for start in range(0, len(keys), KEYS_AT_ONCE):
                        there.replies([("UNLINK", key.decode()) for key in keys[start : start + KEYS_AT_ONCE]])
        if isinstance(kafka_server, GivenBroker):
            with kafka_errors(settings.kafka), topics.admin(settings.kafka) as admin:
                made = [topic.name for topic in topics.check(settings).topics.values() if topic.partitions]
                admin.delete_topics(made)
                admin.delete_groups([settings.kafka.group])
