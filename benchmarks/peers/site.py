"""The topics, the folder and the Redis of one run of one peer; gone afterwards."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.bench import Bench, pid_of
from benchmarks.installation import PARTITIONS
from benchmarks.peers.input_log import make_topics
from benchmarks.peers.meter import Meter
from benchmarks.peers.peer import Peer, Place, Program
from segflow.embedded.redis_server import RunningRedis, redis
from segflow.schemas.connection_settings import Kafka, KafkaTopics
from segflow.schemas.settings import Settings
from segflow.schemas.settings_file import parse
from segflow.state.redis_connection import client
from segflow.streams.kafka import topics
from segflow.streams.kafka.clients import aiokafka_options


@dataclass(frozen=True, kw_only=True)
class Site:
    """The servers and folder of one run."""

    peer: Peer
    place: Place
    broker_pid: int | None
    redis: RunningRedis | None
    redis_empty_bytes: int

    @property
    def kafka(self) -> Kafka:
        """Broker, group and topics."""
        return self.place.settings.kafka

    def meter(self, program: Program) -> Meter:
        """Of all that works in this run."""
        redis_pid = pid_of(self.redis) if self.redis else None
        return Meter(pids={"peer": program.pid, "redis": redis_pid, "broker": self.broker_pid})

    def state_bytes(self) -> int:
        """The size of the peer's state: used memory of Redis, or files as the disk holds them."""
        if self.peer.kept is None:
            return _used_bytes(self.place.settings) - self.redis_empty_bytes if self.redis else 0
        files = (self.place.state / self.peer.kept).rglob("*")
        return sum(path.stat().st_blocks * 512 for path in files if path.is_file())


@contextmanager
def site(bench: Bench, peer: Peer, inputs: Kafka, *, clock: str) -> Iterator[Site]:
    """A place under names nobody else uses, over the input topics of `inputs`."""
    name = f"{peer.name}-{secrets.token_hex(3)}"
    roles = {role: f"{name}.{field.default}" for role, field in KafkaTopics.model_fields.items()}
    roles |= {"purchases": inputs.topics.purchases, "interactions": inputs.topics.interactions}
    with ExitStack() as stack:
        server = stack.enter_context(redis()) if peer.needs_redis else None
        content = {
            "clock": clock,
            "dimensions": ["lifecycle"],
            "redis": {"prefix": name} | ({"url": server.url} if server else {}),
            "kafka": {"address": inputs.address, "group": name, "topics": roles},
        }
        settings = parse(content, name=name)
        folder = Path(stack.enter_context(TemporaryDirectory(prefix=f"peer-{name}-", ignore_cleanup_errors=True)))
        make_topics(settings.kafka, [settings.kafka.topics.changes])
        stack.callback(_delete_topics, settings.kafka, name)
        yield Site(
            peer=peer,
            place=Place(settings=settings, folder=folder),
            broker_pid=pid_of(bench.kafka),
            redis=server,
            redis_empty_bytes=_used_bytes(settings) if server else 0,
        )


def _used_bytes(settings: Settings) -> int:
    with client(settings.redis) as connected:
        return int(connected.info("memory")["used_memory"])


def _delete_topics(kafka: Kafka, name: str) -> None:
    """All of the run, those too that the peer's library made under its group's name."""
    with topics.admin(kafka) as admin:
        admin.delete_topics([topic for topic in admin.list_topics() if name in topic])


def consumer(kafka: Kafka, *, fetch_wait_ms: int = 10) -> AIOKafkaConsumer:
    """A read_committed consumer of no group, which hears of new records within milliseconds; to be started."""
    return AIOKafkaConsumer(
        isolation_level="read_committed",
        enable_auto_commit=False,
        fetch_max_wait_ms=fetch_wait_ms,
        **aiokafka_options(kafka),
    )


async def ends(reader: AIOKafkaConsumer, topic: str) -> dict[int, int]:
    """The end of each partition of `topic`."""
    found = await reader.end_offsets([TopicPartition(topic, number) for number in range(PARTITIONS)])
    return {place.partition: offset for place, offset in found.items()}


def ends_now(kafka: Kafka, topic: str) -> dict[int, int]:
    """As `ends`, from outside an event loop."""

    async def ask() -> dict[int, int]:
        async with consumer(kafka) as reader:
            return await ends(reader, topic)

    return asyncio.run(ask())
