"""Looking up one customer in Redis, beside the worker that owns the shard."""

import json
from dataclasses import dataclass, field
from typing import Any

import msgspec

from segflow.state import head as head_codec
from segflow.state import keys
from segflow.state.head import Head
from segflow.state.keys import Keys
from segflow.state.redis_servers import RedisServers


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """The facts of an installation that hold for all shards, as its first worker wrote them."""

    partitions: int
    partitioner: str
    topics: dict[str, str] = field(default_factory=dict)  # ids by role; empty where the broker has none
    reshard_us: int = 0  # when the customers were divided anew for the last time; 0: never, as far as is noted
    secret: str = ""  # fingerprint of the control topic's; empty: not noted yet


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One shard's head, and one customer's record as stored, both of the same moment."""

    head: Head | None  # None: the shard has no state
    record: bytes | None  # None: nothing is remembered of the customer; segflow.state.record.decode reads it


def installation(servers: RedisServers, prefix: str) -> Installation | None:
    """The installation under `prefix`; None where no worker has ever run.

    Raises:
        redis.RedisError: Redis cannot be reached or refuses.
        ValueError: what is stored is no description of an installation.
    """
    key = keys.installation(prefix)
    stored: Any = servers.of(key).get(key)
    if stored is None:
        return None
    try:
        content = json.loads(stored)
        return Installation(
            partitions=int(content["partitions"]),
            partitioner=str(content["partitioner"]),
            topics={str(role): str(topic_id) for role, topic_id in content.get("topics", {}).items()},
            reshard_us=int(content.get("reshard_us", 0)),
            secret=str(content.get("secret", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{key} does not describe an installation: {stored!r:.200}") from error


def heads_there(servers: RedisServers, prefix: str, count: int) -> int:
    """The number of shards that have a head, whatever it is.

    Raises:
        redis.RedisError: Redis cannot be reached or refuses.
    """
    return sum(servers.replies([("EXISTS", Keys(prefix, partition).head) for partition in range(count)]))


def heads(servers: RedisServers, prefix: str, count: int) -> list[Head | None]:
    """The heads of all shards; None where a shard has no state.

    Raises:
        redis.RedisError: Redis cannot be reached or refuses.
        msgspec.MsgspecError: a stored head is none.
    """
    found = servers.replies([("GET", Keys(prefix, partition).head) for partition in range(count)])
    return [_head(partition, stored) for partition, stored in enumerate(found)]


def _head(partition: int, stored: bytes | None) -> Head | None:
    try:
        return None if stored is None else head_codec.decode(stored)
    except msgspec.MsgspecError as error:
        raise msgspec.ValidationError(f"the head of shard {partition} in Redis is none: {error}") from error


def find(servers: RedisServers, place: Keys, customer_id: str) -> Found:
    """The stored head of the shard `place` and its record of a customer, each None where there is none.

    Raises:
        redis.RedisError: Redis cannot be reached or refuses.
        msgspec.MsgspecError: the stored head cannot be decoded.
    """
    pipeline = servers.of(place.head).pipeline(transaction=True)
    pipeline.get(place.head)
    pipeline.get(place.record(customer_id))
    head, record = pipeline.execute()
    return Found(head=None if head is None else head_codec.decode(head), record=record)
