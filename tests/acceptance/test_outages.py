"""Kafka or Redis away for a while: the worker waits, says so, goes on by itself, and stops when it is told to."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
import yaml
from kafka import KafkaAdminClient

from segflow.embedded.free_port import free_ports
from segflow.embedded.redis_server import RedisServer
from segflow.engine.partitioner import partition_of
from tests.conftest import started_or_skipped
from tests.oracle.simulation import Event, OracleRules, Shard, Sweep
from tests.support.agreement import by_customer
from tests.support.health import Health
from tests.support.histories import START, written
from tests.support.proxied_kafka import ProxiedKafka
from tests.support.proxy import Proxy
from tests.support.service import Service
from tests.support.until import PATIENCE_S, until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

DOWN_S: Final = 15.0
"""Longer than the session timeout, so that a worker without Kafka has to join anew, and than Redis' timeout."""
LOOK_S: Final = 0.25
"""Between two looks in an outage, each of which takes clients of its own: the worker needs the processor, too."""
STOP_S: Final = 20.0
"""Ten seconds are promised of a stop, after nine of which a worker ends itself; the rest is for a busy machine."""
MEMORY_MB: Final = 64
"""How much a waiting worker may grow: buffers that a retry fills once, not what grows with each."""
LOG_LINES: Final = 60
"""Of DOWN_S and what follows; a line for every try of every shard would be some hundreds."""
SERVERS: Final = ("kafka", "redis")
WAYS: Final = ("refuse", "silence")
"""A server that is gone, and one that hangs: connections to it break, or nothing comes of them."""


@pytest.fixture(scope="module")
def proxied_kafka() -> Iterator[ProxiedKafka]:
    """A broker of this module's own behind a proxy."""
    with Proxy(0) as wire, closing(started_or_skipped(lambda: ProxiedKafka(wire))) as broker:
        yield broker


class Site(Service):
    """An installation whose workers reach Kafka and Redis through proxies; the test itself goes directly."""

    links: dict[str, Proxy]

    @property
    def log(self) -> str:
        """What the workers said."""
        return (self.file.parent / "worker.log").read_text()

    def through(self, links: dict[str, Proxy], **worker: Any) -> None:
        """Workers from now on go through `links`."""
        self.links = links
        content = self.content | {"worker": self.content.get("worker", {}) | worker}
        content["kafka"] = content["kafka"] | {"address": f"127.0.0.1:{links['kafka'].port}"}
        content["redis"] = content["redis"] | {"url": f"redis://127.0.0.1:{links['redis'].port}/0"}
        self.file.write_text(yaml.safe_dump(content))

    @contextmanager
    def process(self, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A worker that is killed in the end, if it still runs."""
        command = [sys.executable, "-m", "segflow", "worker", "--settings", str(self.file), *options]
        with (self.file.parent / "worker.log").open("ab") as said:
            process = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def site(
    tmp_path: Path, proxied_kafka: ProxiedKafka, redis_server: RedisServer, redis_db: str, unique_prefix: str
) -> Iterator[Callable[..., Site]]:
    """Makes an installation behind proxies; `worker` settings as keywords."""
    with ExitStack() as stack:

        def make(partitions: int = 2, **worker: Any) -> Site:
            made = Site(
                tmp_path,
                proxied_kafka.address,
                redis_db,
                unique_prefix,
                partitions,
                clock="event",
            )
            redis_link = stack.enter_context(Proxy(redis_server.ports[0]))
            stack.callback(proxied_kafka.wire.pass_on)
            made.through({"kafka": proxied_kafka.wire, "redis": redis_link}, **worker)
            return made

        yield make


def history(count: int) -> list[dict[str, Any]]:
    """Purchases of 40 customers, some days apart."""
    return [
        {
            "type": "purchase",
            "event_id": f"p{number}",
            "order_id": f"o{number}",
            "customer_id": f"c{number * 7 % 40}",
            "occurred_at": written(START + timedelta(hours=5 * number)),
            "amount": "60.00",
        }
        for number in range(count)
    ]


def expected_of(events: list[dict[str, Any]], installed: Service) -> dict[str, list[dict[str, Any]]]:
    """What the oracle makes of `events`, sharded as the installation does."""
    changes = []
    for number in range(installed.partitions):
        oracle = Shard(OracleRules())
        for event in events:
            if partition_of(event["customer_id"].encode(), "murmur2", installed.partitions) == number:
                changes += oracle.step(Event(event))
        changes += oracle.step(Sweep(None))
    return by_customer(changes)


def are_published(installed: Service, expected: dict[str, list[dict[str, Any]]]) -> None:
    """Every change is published, once."""
    found = installed.changes(sum(map(len, expected.values())))
    assert by_customer(found) == expected
    assert len({change["change_id"] for change in found}) == len(found)


def is_worked(installed: Service, count: int) -> None:
    """All `count` events are in the state."""
    until(lambda: sum(in_redis(installed).values()) == count, "not all worked", PATIENCE_S)


def told_to_kafka(installed: Service) -> dict[tuple[str, int], int]:
    """The group's offsets."""
    with closing(KafkaAdminClient(bootstrap_servers=installed.settings.kafka.address)) as admin:
        group = installed.settings.kafka.group
        found = admin.list_group_offsets([group])[group]
    return {(place.topic, place.partition): each.offset for place, each in found.items()}


def in_redis(installed: Service) -> dict[tuple[str, int], int]:
    """The stored offsets of every shard."""
    topics = installed.settings.kafka.topics
    offsets = {}
    for number, head in enumerate(installed.heads()):
        assert head is not None
        offsets[topics.purchases, number] = head.purchases.offset
        offsets[topics.interactions, number] = head.interactions.offset
        offsets[topics.handover, number] = head.handover.offset
    return offsets


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("server", SERVERS)
def test_a_worker_waits_for_a_server_and_goes_on_by_itself(server: str, way: str, site: Callable[..., Site]) -> None:
    """Unready with the reason, live, not growing, saying little; ready again by itself, and every change once."""
    (port,) = free_ports(1)
    installed, health = site(http_port=port), Health(port)
    events = history(600)
    link = installed.links[server]
    with installed.process() as process:
        installed.send(events[:200])
        until(health.is_ready, "not ready", PATIENCE_S)
        installed.changes(100)
        before_mb = health.metrics()["process_resident_memory_bytes"][()] / 2**20
        said = len(installed.log.splitlines())
        getattr(link, way)()
        installed.send(events[200:400])
        until(lambda: not health.is_ready(), "not unready")
        until_s = time.monotonic() + DOWN_S
        while time.monotonic() < until_s:
            verdict = health.verdict("ready")
            assert not verdict["ready"]
            assert health.verdict("live")["live"]
            told, stored = told_to_kafka(installed), in_redis(installed)
            assert all(offset <= stored[place] for place, offset in told.items()), (told, stored)
            time.sleep(LOOK_S)
        assert any(f"{server.capitalize()} does not answer" in why for why in verdict["why_not"])
        assert health.metrics()["segflow_up"] == {(each,): float(each != server) for each in SERVERS}
        link.pass_on()
        installed.send(events[400:])
        until(health.is_ready, "not ready again", PATIENCE_S)
        are_published(installed, expected_of(events, installed))
        until(
            lambda: told_to_kafka(installed) == in_redis(installed),
            lambda: (
                f"Kafka: {told_to_kafka(installed)}, Redis: {in_redis(installed)}, {health.verdict('ready')}, "
                f"the worker:\n{installed.log}"
            ),
            PATIENCE_S,
        )
        grown_mb = health.metrics()["process_resident_memory_bytes"][()] / 2**20 - before_mb
        assert grown_mb < MEMORY_MB
        assert len(installed.log.splitlines()) - said < LOG_LINES, installed.log
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0, installed.log


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("server", SERVERS)
def test_a_worker_without_a_server_stops_within_ten_seconds(server: str, way: str, site: Callable[..., Site]) -> None:
    """SIGTERM ends it cleanly while commits are under way and cannot be finished; the next worker misses nothing."""
    (port,) = free_ports(1)
    installed, health = site(http_port=port), Health(port)
    events = history(400)
    with installed.process() as process:
        installed.send(events[:200])
        until(health.is_ready, "not ready", PATIENCE_S)
        installed.changes(100)
        getattr(installed.links[server], way)()
        installed.send(events[200:])
        until(lambda: not health.is_ready(), "not unready")
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0, installed.log
    installed.links[server].pass_on()
    with installed.worker():
        is_worked(installed, len(events))
        are_published(installed, expected_of(events, installed))


def test_a_worker_in_the_middle_of_its_batches_stops_within_ten_seconds(site: Callable[..., Site]) -> None:
    """It finishes the commit it is in; the next worker goes on behind it, and nothing is executed again."""
    (port,) = free_ports(1)
    installed = site(batch_max_records=50, http_port=port)
    events = history(8_000)
    installed.send(events)
    with installed.process() as process:
        installed.changes(200)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0, installed.log
    assert sum(in_redis(installed).values()) < len(events), "the stop came too late to prove anything"
    with installed.worker():
        is_worked(installed, len(events))
        are_published(installed, expected_of(events, installed))
        assert Health(port).metrics()["segflow_reexecuted_total"] == {(): 0.0}


@pytest.mark.parametrize("server", SERVERS)
def test_a_worker_told_to_wait_starts_when_its_servers_do(server: str, site: Callable[..., Site]) -> None:
    """Without --wait it ends with exit code 2 and a message; with it, it is live, not ready, and begins by itself."""
    (port,) = free_ports(1)
    installed, health = site(http_port=port), Health(port)
    events = history(100)
    installed.send(events)
    installed.links[server].refuse()
    with installed.process() as process:
        assert process.wait(PATIENCE_S) == 2
        assert f"segflow: {server.capitalize()} at " in installed.log
    with installed.process("--wait") as process:
        until(lambda: "waiting to start" in str(health.verdict("ready")), "not waiting", PATIENCE_S)
        assert health.verdict("live")["live"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0
    with installed.process("--wait"):
        until(lambda: "waiting to start" in str(health.verdict("ready")), "not waiting", PATIENCE_S)
        installed.links[server].pass_on()
        until(health.is_ready, "not ready", PATIENCE_S)
        are_published(installed, expected_of(events, installed))


def test_workers_killed_in_an_outage_are_started_anew_and_wait_for_its_end(site: Callable[..., Site]) -> None:
    """`--processes` does not take a server that is down for a wrong address: it was right before."""
    (port,) = free_ports(1)
    installed, health = site(http_port=port), Health(port)
    events = history(200)
    link = installed.links["redis"]
    with installed.worker(2) as parent:
        installed.send(events[:100])
        until(health.is_ready, "not ready", PATIENCE_S)
        link.refuse()
        for child in psutil.Process(parent.pid).children():
            child.kill()
        installed.send(events[100:])
        until(lambda: installed.log.count("waiting to start: Redis at") >= 2, "not waiting", PATIENCE_S)
        assert parent.poll() is None
        link.pass_on()
        until(health.is_ready, "not ready again", PATIENCE_S)
        is_worked(installed, len(events))
        are_published(installed, expected_of(events, installed))


def test_a_worker_whose_consumer_hangs_is_ended_and_started_anew(site: Callable[..., Site]) -> None:
    """The connections it fetches by go silent, all else works: the watchdog sees the lag; every change comes once."""
    port = free_ports(1)[0]
    installed, health = site(watchdog_after="5s", http_port=port), Health(port)
    events = history(400)
    with installed.worker(2):
        installed.send(events[:200])
        until(health.is_ready, "not ready", PATIENCE_S)
        installed.changes(100)
        assert installed.links["kafka"].silence_fetches() >= 2
        installed.send(events[200:])
        until(lambda: "this worker hangs and is ended" in installed.log, "not ended", PATIENCE_S)
        until(lambda: "ended with exit code 1; restarted" in installed.log, "not restarted", PATIENCE_S)
        are_published(installed, expected_of(events, installed))
