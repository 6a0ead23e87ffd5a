"""The memory of Redis beside its limit: a full one refuses every write, and shards then commit nothing."""

from dataclasses import dataclass
from typing import Final

MEMORY_WARN: Final = 0.9
"""Share of maxmemory from which on it is told: a population grows slowly, so there is time to act."""


@dataclass(frozen=True, slots=True)
class RedisMemory:
    """Bytes as INFO has them."""

    used_bytes: int
    limit_bytes: int  # maxmemory; 0: there is no limit

    @property
    def share(self) -> float:
        """The part of the limit that is used; 0 where there is none."""
        return self.used_bytes / self.limit_bytes if self.limit_bytes else 0.0

    @property
    def is_short(self) -> bool:
        """Whether it is time to act."""
        return self.share >= MEMORY_WARN

    @property
    def is_full(self) -> bool:
        """Whether writes are refused."""
        return self.share >= 1

    @property
    def warnings(self) -> list[str]:
        """For people; empty where there is enough."""
        return [f"Redis uses {self.used_bytes:,} of {self.limit_bytes:,} bytes (maxmemory)"] if self.is_short else []
