"""Erasing over the wire: receipts, tombstones, an audit and a rebuild that come to the same."""

from pathlib import Path
from typing import Any

import pytest

from segflow.embedded.kafka import ApacheKafka
from segflow.state.redis_connection import client
from tests.support.command import segflow
from tests.support.events import event
from tests.support.redis_content import content
from tests.support.service import Service

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


def stored(service: Service) -> dict[bytes, Any]:
    """Every key of the shards in Redis and what it holds."""
    with client(service.settings.redis) as connected:
        return content(connected, service.partitions)


def test_an_erased_customer_is_told_of_and_gone_everywhere_segflow_holds_anything(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """Receipts and tombstone in Kafka, nothing but a hash in Redis; audit and rebuild agree."""
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 2, clock="event")
    names = [f"name-{number}" for number in range(20)]
    log = [event(number, number / 50, customer=name) for number, name in enumerate(names)]
    log += [event(100 + number, 2, "erase", name) for number, name in enumerate(names[:5])]
    with service.worker():
        service.send(log)
        service.changes(50)
        service.send([event(200, 1, customer="name-0"), event(201, 3, customer="name-1")])  # too old, and back
        changes = service.changes(52)
        service.send([event(202, 4, customer=name) for name in names[10:]])
        service.journal(
            lambda entries: sum(each["plan"]["purchases_to"] - each["purchases_from"] for each in entries) == 32
        )
    gone = [f"name-{number}" for number in (0, 2, 3, 4)]
    for name in names[:5]:
        mine = [change for change in changes if change["customer_id"] == name]
        assert [change["version"] for change in mine] == list(range(1, 7 if name == "name-1" else 5))
        assert [(change["current"], change["cause"]) for change in mine[2:4]] == [(None, {"kind": "erase"})] * 2
    current = {record.key.decode(): record.value for record in service.read("current")}
    assert {name for name, value in current.items() if value is None} == set(gone)
    held = stored(service)
    assert not [name for name in gone for each in held.items() if f"{name}'" in repr(each)]
    prefix = service.settings.redis.prefix
    assert sum(len(held.get(f"{prefix}:{{{shard}}}:erased".encode(), ())) for shard in range(2)) == 5
    assert segflow("audit", "--settings", service.file, "--state").code == 0
    assert segflow("rebuild", "--settings", service.file).code == 0
    assert stored(service) == held
    assert segflow("audit", "--settings", service.file, "--state").code == 0
    assert segflow("show", "name-2", "--settings", service.file).code == 1
