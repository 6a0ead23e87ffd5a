"""Ids of customers by the shard that has them, in an installation of three shards."""

from segflow.engine.partitioner import partition_of

SHARDS = 3


def name_in(shard: int, start: str = "c") -> str:
    """An id that begins so, of a customer of this shard of three."""
    names = (f"{start}{number}" for number in range(1000))
    return next(name for name in names if partition_of(name.encode(), "murmur2", SHARDS) == shard)
