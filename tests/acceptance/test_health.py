"""/live, /ready and /metrics of real workers that share shards."""

import resource
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from segflow.embedded.free_port import free_ports
from segflow.embedded.kafka import ApacheKafka
from segflow.state.redis_connection import client
from tests.support.health import Health
from tests.support.histories import written
from tests.support.service import Service
from tests.support.slow_clients import slow_clients
from tests.support.until import PATIENCE_S, until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

PER_SHARD = ("taken", "sequence", "clock_seconds", "freshness_seconds", "timer_lag_seconds")


@pytest.fixture
def service(tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str) -> Service:
    """Two shards, live."""
    return Service(tmp_path, kafka.address, redis_db, unique_prefix, 2)


def buy(customer: str) -> dict[str, Any]:
    """A purchase, now."""
    moment = written(datetime.now(UTC))
    return {
        "type": "purchase",
        "event_id": f"p-{customer}",
        "order_id": f"o-{customer}",
        "customer_id": customer,
        "occurred_at": moment,
        "amount": "60.00",
    }


def shards_in(found: dict[str, dict[tuple[str, ...], float]], name: str) -> set[int]:
    """The shards of which a gauge has a sample."""
    return {int(labels[0]) for labels in found.get(f"segflow_{name}", {})}


def test_each_worker_shows_the_shards_it_holds_and_one_without_shards_is_ready(service: Service) -> None:
    """One worker has both; of three, two have one each, the third none, and all are ready; gauges move with them."""
    ports = free_ports(3)
    pages = [Health(port) for port in ports]
    with ExitStack() as stack:
        stack.enter_context(service.worker(http_port=ports[0]))
        until(lambda: pages[0].verdict("ready").get("shards") == [0, 1], "not both taken", PATIENCE_S)
        service.send([*(buy(f"c{number}") for number in range(20)), {"type": "purchase", "customer_id": "c1"}])
        service.changes(40)

        def all_shown() -> bool:
            found = pages[0].metrics()
            worked = sum(found["segflow_events_total"].values()) == 20
            return worked and all(shards_in(found, name) == {0, 1} for name in PER_SHARD)

        until(all_shown, "not shown", PATIENCE_S)
        found = pages[0].metrics()
        dead = {labels: count for labels, count in found["segflow_dead_letters_total"].items() if count}
        assert dead == {("missing_field",): 1.0}
        assert found["segflow_changes_total"]["event", "lifecycle", "new"] == 20
        assert found["segflow_customers"]["lifecycle", "new"] == 20
        assert found["segflow_customers"]["lifecycle", "churned"] == 0
        assert found["segflow_up"] == {("kafka",): 1.0, ("redis",): 1.0}
        assert {labels[0] for labels in found["segflow_step_seconds_count"]} == {
            "decode",
            "execute",
            "publish",
            "store",
        }
        until(
            lambda: set(pages[0].metrics()["segflow_lag_records"].values()) == {0.0}, "something is behind", PATIENCE_S
        )
        until(
            lambda: max(pages[0].metrics()["segflow_freshness_seconds"].values()) < 5,
            "not concluded to now",
            PATIENCE_S,
        )
        assert set(pages[0].metrics()["segflow_timer_lag_seconds"].values()) == {0.0}

        stack.enter_context(service.worker(http_port=ports[1]))
        stack.enter_context(service.worker(http_port=ports[2]))

        def held() -> list[list[int]]:
            return [page.verdict("ready").get("shards", [9]) for page in pages]

        def all_ready_and_shared() -> bool:
            return all(page.is_ready() for page in pages) and sorted(held()) == [[], [0], [1]]

        until(all_ready_and_shared, "not shared", PATIENCE_S)
        for page, shards in zip(pages, held(), strict=True):
            assert shards_in(page.metrics(), "taken") == set(shards)
            assert page.verdict("live") == {"live": True, "why_not": []}


def test_slow_clients_of_the_pages_take_no_descriptor_from_the_shards(service: Service) -> None:
    """400 of them at a worker that may open 256 files: both shards are taken, events worked, the pages answer."""
    (port,) = free_ports(1)
    page = Health(port)
    with service.worker(http_port=port) as worker:
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (256, 256))
        until(lambda: page.verdict("live"), "no pages", PATIENCE_S)
        with slow_clients(port, 400):
            until(lambda: page.verdict("ready").get("shards") == [0, 1], "not both taken", PATIENCE_S)
            service.send(buy(f"c{number}") for number in range(20))
            service.changes(40)
            assert page.is_ready()
            assert page.metrics()["process_open_fds"][()] < 200
    assert "Traceback" not in (service.file.parent / "worker.log").read_text()


def test_a_redis_that_is_nearly_full_shows_before_it_refuses_anything(service: Service) -> None:
    """At 93 % of its limit /ready warns, the gauges say how much, and the worker is ready still."""
    (port,) = free_ports(1)
    page = Health(port)
    with client(service.settings.redis) as connected, service.worker(http_port=port):
        until(lambda: page.verdict("ready").get("shards") == [0, 1], "not both acquired", PATIENCE_S)
        assert page.verdict("ready")["warnings"] == []
        assert set(page.metrics()["segflow_redis_memory_bytes"]) == {("used",)}
        connected.config_set("maxmemory", int(connected.info("memory")["used_memory"] / 0.93))
        try:
            until(lambda: page.verdict("ready")["warnings"], "no warning", PATIENCE_S)
            assert page.is_ready()
            (warning,) = page.verdict("ready")["warnings"]
            assert warning.startswith("Redis uses ")
            memory = page.metrics()["segflow_redis_memory_bytes"]
            assert 0.9 < memory["used",] / memory["limit",] < 1
        finally:
            connected.config_set("maxmemory", 0)
        until(lambda: page.verdict("ready")["warnings"] == [], "still a warning", PATIENCE_S)
