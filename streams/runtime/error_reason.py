"""A server's refusal in words that a person can act on, for logs, health pages and commands."""

from typing import Final

import redis
from redis.sentinel import MasterNotFoundError

REDIS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (redis.exceptions.OutOfMemoryError, "Redis is full (maxmemory) and refuses writes: raise maxmemory"),
    (redis.exceptions.ReadOnlyError, "Redis is a replica and refuses writes: point redis.url at the primary"),
    (redis.exceptions.BusyLoadingError, "Redis is still loading its data"),
    (redis.exceptions.NoPermissionError, "Redis refuses the user: give it the rights that docs/operations.md lists"),
    (redis.exceptions.AuthenticationError, "Redis refuses the user: check redis.username and the password"),
    (redis.exceptions.MasterDownError, "Redis is a replica that has lost its primary"),
    (MasterNotFoundError, "no sentinel answers that knows a primary of that name: check redis.url and the sentinels"),
    (redis.exceptions.TimeoutError, "Redis does not answer in time (redis.timeout)"),
)
"""Subclasses before their bases."""
DISK_FULL: Final = "MISCONF"
"""Redis answers so where it cannot save, and is told to refuse writes then."""


def reason(error: BaseException) -> str:
    """The error in plain words where they are known; else its type and its own text."""
    text = str(error)
    if isinstance(error, redis.RedisError):
        if text.startswith(DISK_FULL):
            return "Redis cannot save to its disk and refuses writes: make room there"
        for kind, words in REDIS:
            if isinstance(error, kind):
                return words
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
