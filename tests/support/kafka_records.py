"""Records as the consumer hands them to a shard."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """What a shard reads of a Kafka record."""

    offset: int
    key: bytes | None = b"c1"
    value: bytes | None = b"{}"
