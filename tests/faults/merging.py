"""Customers of three shards who become one: who they are, and what Redis holds of them."""

from segflow.engine.partitioner import partition_of
from segflow.state.keys import Keys
from segflow.state.redis_connection import client
from tests.faults.installation import Installation
from tests.support.events import Log, event
from tests.support.placement import SHARDS, name_in

MEMBER, VISITOR, THIRD = name_in(1), name_in(2), name_in(0)


def at_the_end(days: float, number: int) -> Log:
    """Somebody of every shard is seen, so that all shards come to the same time."""
    names = [name_in(shard, "end") for shard in range(SHARDS)]
    return [event(number + place, days, "interaction", name) | {"kind": "visit"} for place, name in enumerate(names)]


def held(installed: Installation, name: str) -> bytes | None:
    """What Redis holds of an id."""
    shard = partition_of(name.encode(), "murmur2", SHARDS)
    with client(installed.settings.redis) as connected:
        value: bytes | None = connected.get(Keys(installed.settings.redis.prefix, shard).record(name))
    return value
