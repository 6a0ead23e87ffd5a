"""A state that was lost, in whole or in part: what heals by itself, what stops loudly, and what a person then types."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from embedded.kafka import ApacheKafka
from state import lookup
from state.head import Head
from state.keys import Keys
from state.redis_connection import client
from tests.histories import START, written
from tests.service import Service

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

Make = Callable[..., Service]
CUSTOMERS = 30


@pytest.fixture
def service(tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str) -> Make:
    """Makes an installation of the given settings."""

    def make(partitions: int = 1, **content: Any) -> Service:
        return Service(tmp_path, kafka.address, redis_db, unique_prefix, partitions, **{"clock": "event", **content})

    return make


def purchases(count: int, start: int = 0) -> list[dict[str, Any]]:
    """One a day, of CUSTOMERS customers in turn."""
    return [
        {
            "type": "purchase",
            "event_id": f"p{number}",
            "customer_id": f"c{number % CUSTOMERS}",
            "occurred_at": written(START + timedelta(days=number)),
            "order_id": f"o{number}",
            "amount": "60.00",
        }
        for number in range(start, start + count)
    ]


def worked(installed: Service, events: list[dict[str, Any]]) -> None:
    """Have a worker take `events` and stop."""
    before = read_to(installed)
    installed.send(events)
    with installed.worker():
        installed.journal(lambda found: taken(found) >= before + len(events))


def read_to(installed: Service) -> int:
    """Purchases that the journal's commits have taken, over all shards."""
    return taken(installed.journal())


def taken(entries: list[dict[str, Any]]) -> int:
    """As `read_to`."""
    latest: dict[int, int] = {}
    for entry in entries:
        latest[entry["partition"]] = max(latest.get(entry["partition"], 0), entry["plan"]["purchases_to"])
    return sum(latest.values())


def state(installed: Service) -> dict[str, Any]:
    """Every key of the installation's shards, owners left out."""
    with client(installed.settings.redis) as connected:
        prefix = installed.settings.redis.prefix
        return {key.decode(): dump(connected, key) for key in connected.scan_iter(f"{prefix}:{{*", count=1000)}


def dump(connected: Redis, key: bytes) -> Any:
    """A key's content, of whatever type."""
    match connected.type(key):
        case b"zset":
            return connected.zrange(key, 0, -1, withscores=True)
        case b"list":
            return connected.lrange(key, 0, -1)
        case _:
            content = connected.get(key)
            if key.endswith(b":head"):
                head: Head = msgspec.json.decode(content or b"", type=Head)
                return msgspec.structs.replace(head, owner="")
            return content


def head(installed: Service, shard: int = 0) -> Head:
    """A shard's head."""
    with client(installed.settings.redis) as connected:
        found = lookup.heads(connected, installed.settings.redis.prefix, shard + 1)[shard]
    assert found is not None
    return found


def ids(installed: Service) -> list[str]:
    """The published change ids, in their order."""
    return [json.loads(each.value)["change_id"] for each in installed.read("changes")]


def forget(installed: Service, *keys: str) -> None:
    """Take keys of shard 0 out of Redis; none: all of them."""
    place = Keys(installed.settings.redis.prefix, 0)
    with client(installed.settings.redis) as connected:
        found = [place.shard + key for key in keys] or list(connected.scan_iter(f"{place.shard}*"))
        assert connected.unlink(*found) == len(found) > 0


def test_an_empty_redis_heals_from_journal_and_inputs_and_publishes_nothing_twice(service: Make) -> None:
    """The worker that takes the shard makes the same state again, byte for byte, and goes on from there."""
    installed = service()
    worked(installed, purchases(200))
    before, published = state(installed), ids(installed)
    forget(installed)
    with installed.worker():
        installed.send(purchases(20, 200))
        installed.journal(lambda found: taken(found) >= 220)
    after = ids(installed)
    assert after[: len(published)] == published
    assert len(set(after)) == len(after)
    forget(installed)
    with installed.worker():
        installed.send(purchases(1, 220))
        installed.journal(lambda found: taken(found) >= 221)
    assert head(installed).population == CUSTOMERS
    assert set(before) <= set(state(installed))
