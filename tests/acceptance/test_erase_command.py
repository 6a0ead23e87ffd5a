"""`segflow erase` and `segflow alias`, typed by a person beside a worker."""

import json
from pathlib import Path

import pytest

from segflow.embedded.kafka import ApacheKafka
from segflow.engine.partitioner import partition_of
from segflow.state.keys import Keys
from segflow.state.redis_connection import client
from tests.support.command import Result, segflow
from tests.support.events import event
from tests.support.service import Service
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


@pytest.fixture
def service(tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str) -> Service:
    """An installation of two shards that has seen some customers."""
    return Service(tmp_path, kafka.address, redis_db, unique_prefix, 2)


def typed(service: Service, *arguments: str) -> Result:
    """A command with the installation's settings."""
    return segflow(*arguments, "--settings", service.file)


def keys_with(service: Service, name: str) -> list[bytes]:
    """Keys of Redis that have the id in their name or their content."""
    with client(service.settings.redis) as connected:
        found = []
        for key in connected.scan_iter(Keys.pattern(service.settings.redis.prefix)):
            kind = connected.type(key)
            content = {
                b"string": lambda key=key: connected.get(key),
                b"list": lambda key=key: connected.lrange(key, 0, -1),
                b"hash": lambda key=key: connected.hgetall(key),
                b"zset": lambda key=key: connected.zrange(key, 0, -1),
            }[kind]()
            if name in repr(key) or name in repr(content):
                found.append(key)
        return found


def test_merged_ids_are_erased_together_and_the_command_says_when_they_are_gone(service: Service) -> None:
    """An alias typed, then an erase of the old id: both are gone from Redis and the current segments."""
    visitor, customer = "guest-of-shop", "customer-of-shop"
    other_shard = partition_of(visitor.encode(), "murmur2", 2) != partition_of(customer.encode(), "murmur2", 2)
    assert other_shard  # the erase is handed from shard to shard
    with service.worker():
        service.send([event(1, 0, customer=visitor), event(2, 1, customer=customer), event(3, 1, customer="stays")])
        until(lambda: typed(service, "show", customer).code == 0, "nobody is known")
        said = typed(service, "alias", visitor, customer)
        assert said.code == 0, said.err
        assert f"sent: {visitor} is {customer}, as {service.settings.kafka.topics.interactions}/" in said.out
        until(lambda: f"`segflow show {customer}`" in typed(service, "show", visitor).err, "nothing is merged")
        result = typed(service, "erase", visitor, "--wait", "--json")
        assert result.code == 0, result.err
        outcome = json.loads(result.out)
    assert sorted(outcome["gone"]["ids"]) == sorted([visitor, customer])
    assert keys_with(service, "of-shop") == []
    latest = {record.key.decode(): record.value for record in service.read("current")}
    assert (latest[visitor], latest[customer]) == (None, None)
    assert latest["stays"] is not None
    left = {each["where"].split()[0]: each["how_long"] for each in outcome["gone"]["left"]}
    topics = service.settings.kafka.topics
    assert left[topics.changes] == "30d (retention.ms)"
    assert left[topics.current].startswith("until Kafka compacts it: 1w")
    assert topics.handover in left
    assert typed(service, "show", "stays").code == 0


def test_without_a_worker_the_wait_ends_with_what_is_still_there(service: Service) -> None:
    """Exit code 1, what is there and why; the erase stays, so the next worker does it, and a second wait says so."""
    with service.worker():
        service.send([event(1, 0, customer="somebody")])
        until(lambda: typed(service, "show", "somebody").code == 0, "nobody is known")
    result = typed(service, "erase", "somebody", "--wait", "--timeout", "500ms")
    assert result.code == 1
    assert "sent, but still there: the record of somebody" in result.err
    assert "has not read the erase" in result.err
    with service.worker():
        again = typed(service, "erase", "somebody", "--wait")
    assert again.code == 0, again.err
    assert "gone from Redis after" in again.out
    assert "the latest record is a tombstone, or there is none" in again.out
    assert "Redis' append-only file" in again.out or "Redis' dump file" in again.out


def test_an_erase_without_waiting_says_what_will_happen(service: Service) -> None:
    """Acknowledged by Kafka, keyed by the customer, on the partition of the key; nothing of Redis is needed."""
    service.file.write_text(
        service.file.read_text(encoding="utf-8").replace("redis://", "redis://nobody-here-"), encoding="utf-8"
    )
    result = typed(service, "erase", "c\x1b[2J", "--at", "2026-01-01T00:00:00+01:00")
    assert result.code == 0, result.err
    assert "\x1b" not in result.out
    assert "becomes" not in result.err
    (record,) = service.read("interactions")
    sent = json.loads(record.value)
    assert (record.key.decode(), sent["type"], sent["customer_id"]) == ("c\x1b[2J", "erase", "c\x1b[2J")
    assert sent["occurred_at"] == "2025-12-31T23:00:00Z"
    assert record.partition == partition_of(record.key, "murmur2", 2)
    assert "Events from before 2025-12-31T23:00:00Z that come later stay out, for 730d" in result.out


REFUSED = (
    (["erase", ""], "customer_id: must not be empty"),
    (["erase", "x" * 257], "customer_id: must have at most 256 characters"),
    (["erase", "c1", "--at", "yesterday"], "--at yesterday: is no time such as"),
    (["erase", "c1", "--wait", "--timeout", "soon"], "--timeout: 'soon' is no duration"),
    (["erase", "c1", "--wait"], "no worker has run yet"),
    (["alias", "c1", "c1"], "are the same id"),
    (["alias", "", "c1"], "previous_id: must not be empty"),
    (["alias", "guest", "c1"], "'guest' is nobody's"),
)
"""Arguments, and what is said."""


def test_what_cannot_be_sent_is_refused_and_nothing_is_sent(service: Service) -> None:
    """Exit code 2 with the field or the option."""
    for arguments, message in REFUSED:
        result = typed(service, *arguments)
        assert result.code == 2
        assert message in result.err
    assert service.read("interactions") == []
