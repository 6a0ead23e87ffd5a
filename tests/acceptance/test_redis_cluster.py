"""All of a user's commands on a Redis Cluster, and its address written wrongly."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from segflow.embedded.kafka import ApacheKafka
from segflow.engine.partitioner import partition_of
from tests.support.command import Result, segflow
from tests.support.events import event
from tests.support.redis_cluster import Cluster, cluster
from tests.support.service import Service
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

SHARDS = 4
"""On all three servers."""
CUSTOMERS = [f"c{number}" for number in range(6)]


@pytest.fixture(scope="module")
def three() -> Iterator[Cluster]:
    """Three servers that share the slots."""
    with cluster() as found:
        yield found


@pytest.fixture
def service(tmp_path: Path, kafka: ApacheKafka, three: Cluster, unique_prefix: str) -> Service:
    """An installation on the cluster."""
    return Service(tmp_path, kafka.address, three.url, unique_prefix, SHARDS, clock="event")


def typed(service: Service, *arguments: str) -> Result:
    """A command with the installation's settings, which does what it is to."""
    result = segflow(*arguments, "--settings", service.file)
    assert result.code == 0, (arguments, result.out, result.err)
    return result


def test_every_command_that_reads_redis_works_on_a_cluster(service: Service, three: Cluster) -> None:
    """Customers are looked up, merged and forgotten; shards are audited, rebuilt and reset, wherever they are."""
    with service.worker():
        service.send([event(number, number, customer=name) for number, name in enumerate(CUSTOMERS)])
        until(lambda: all(segflow("show", each, "--settings", service.file).code == 0 for each in CUSTOMERS), "unknown")
        typed(service, "explain", CUSTOMERS[0])
        other = next(each for each in CUSTOMERS[1:] if _shard(each) != _shard(CUSTOMERS[0]))
        typed(service, "alias", CUSTOMERS[0], other)
        merged = f"`segflow show {other}`"
        until(lambda: merged in segflow("show", CUSTOMERS[0], "--settings", service.file).err, "nothing is merged")
        typed(service, "erase", CUSTOMERS[0], "--wait")
        doctor = segflow("doctor", "--settings", service.file, "--json")
        findings = {each["name"]: each for each in json.loads(doctor.out)}
        assert findings["redis"]["status"] == findings["heads"]["status"] == findings["clocks"]["status"] == "OK"
        assert findings["redis"]["message"].startswith(three.url)
    typed(service, "audit", "--state")
    typed(service, "simulate")
    typed(service, "rebuild")
    typed(service, "audit", "--state")
    typed(service, "reset", "--shard", str(_shard(other)), "--input", "purchases", "--to", "latest", "--force")
    assert any(head is not None and head.population for head in service.heads())


def test_a_worker_with_the_address_of_one_server_of_a_cluster_refuses_and_writes_nothing(
    service: Service, three: Cluster
) -> None:
    """Whichever server it is; doctor says the same words."""
    for each in three.servers:
        service.content["redis"]["url"] = f"redis://127.0.0.1:{each.ports[0]}/0"
        service.file.write_text(yaml.safe_dump(service.content))
        refused = segflow("worker", "--settings", service.file)
        why = "it is one server of a Redis Cluster: write redis.url as in redis+cluster://"
        assert refused.code == 2
        assert why in refused.err
        findings = json.loads(segflow("doctor", "--settings", service.file, "--json").out)
        assert any(why in each["message"] for each in findings if each["status"] == "FAIL")
    prefix = service.settings.redis.prefix
    assert [key for each in three.servers for key in each.client.scan_iter(f"{prefix}*")] == []


def _shard(name: str) -> int:
    return partition_of(name.encode(), "murmur2", SHARDS)
