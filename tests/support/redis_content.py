"""All that Redis holds of an installation's shards, as values that can be compared."""

from typing import Any

import msgspec
from redis import Redis

from segflow.state import head as head_codec
from segflow.state.head import Head


def content(client: Redis, partitions: int) -> dict[bytes, Any]:
    """By key; heads without what differs between owners."""
    found: dict[bytes, Any] = {}
    for partition in range(partitions):
        for key in client.scan_iter(f"*:{{{partition}}}:*", count=1000):
            found[key] = _value(client, key)
    return found


def _value(client: Redis, key: bytes) -> Any:
    kind = client.type(key)
    if kind == b"zset":
        return client.zrange(key, 0, -1, withscores=True)
    if kind == b"hash":
        counts = key.endswith(b":counts")
        held: Any = client.hgetall(key)
        return {name: value for name, value in held.items() if not counts or value != b"0"}
    if kind == b"list":
        return client.lrange(key, 0, -1)
    value: Any = client.get(key)
    return without_owner(head_codec.decode(value)) if key.endswith(b":head") else value


def without_owner(head: Head) -> Head:
    """The head but for its owner and what it knows of the state topic."""
    return msgspec.structs.replace(head, owner="", in_topic=None)
