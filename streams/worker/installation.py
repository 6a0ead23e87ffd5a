"""The division of customers into shards, noted once in Redis for every worker and every command."""

import json

import redis

from segflow.schemas.settings import Settings
from segflow.state.keys import installation
from segflow.streams.runtime.errors import UsageError


def claim(connected: redis.Redis, settings: Settings, partitions: int) -> None:
    """Note how customers are divided into shards; the state in Redis must be divided so already, or be new.

    Raises:
        UsageError: it is divided in another way.
        redis.RedisError: Redis cannot be reached or refuses.
    """
    key = installation(settings.redis.prefix)
    wanted = json.dumps({"partitions": partitions, "partitioner": settings.kafka.partitioner})
    connected.set(key, wanted, nx=True)
    stored: object = connected.get(key)
    if stored != wanted.encode():
        raise UsageError(
            f"the state in Redis is of {stored!r}, the inputs are {wanted}: customers would change shards. "
            "Take the old number of partitions and partitioner back, or start afresh under another redis.prefix"
        )
