"""The servers that have the keys: one, or those of a cluster."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import redis

from segflow.schemas.redis_url import CLUSTER_EXAMPLE

Command = tuple[Any, ...]


class RedisServers(ABC):
    """The place of every key. May be used by several threads at once.

    Nothing is ever repeated here: whoever commits looks before repeating (docs/architecture.md).
    """

    @abstractmethod
    def of(self, key: str) -> redis.Redis:
        """The client of the server that has `key`. Not to be kept: after an outage another server may have it.

        Raises:
            redis.RedisError: the servers cannot be reached, are of another kind than the address says, or lack slots.
        """

    @abstractmethod
    def each(self) -> Sequence[redis.Redis]:
        """The clients of all servers that take writes.

        Raises:
            redis.RedisError: as `of`.
        """

    @abstractmethod
    def doubt(self) -> None:
        """Look again where the keys are before the next answer: a server has failed or refused."""

    @abstractmethod
    def close(self) -> None:
        """Release the connections."""

    def grouped(self, keys: Iterable[str]) -> dict[redis.Redis, list[int]]:
        """By server, the places in `keys` of those that it has.

        Raises:
            redis.RedisError: as `of`.
        """
        found: dict[redis.Redis, list[int]] = {}
        for place, key in enumerate(keys):
            found.setdefault(self.of(key), []).append(place)
        return found

    def replies(self, commands: Sequence[Command], *, raise_on_error: bool = True) -> list[Any]:
        """The replies to commands whose second word is their one key: a round trip a server.

        Raises:
            redis.RedisError: as `of`; with `raise_on_error` also where a server refuses one, else its error is among
                the replies.
        """
        found: list[Any] = [None] * len(commands)
        for client, places in self.grouped([command[1] for command in commands]).items():
            pipeline = client.pipeline(transaction=False)
            for place in places:
                pipeline.execute_command(*commands[place])  # type: ignore[no-untyped-call]
            for place, reply in zip(places, pipeline.execute(raise_on_error=raise_on_error), strict=True):
                found[place] = reply
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class OneServer(RedisServers):
    """One primary, at its address or found by sentinels."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._checked = False

    def of(self, key: str) -> redis.Redis:  # noqa: ARG002 - it has all keys
        """See RedisServers."""
        if not self._checked:
            if self._client.info("cluster").get("cluster_enabled"):
                raise redis.RedisError(f"it is one server of a Redis Cluster: write redis.url as in {CLUSTER_EXAMPLE}")
            self._checked = True
        return self._client

    def each(self) -> Sequence[redis.Redis]:
        """See RedisServers."""
        return [self.of("")]

    def doubt(self) -> None:
        """See RedisServers. There may be another server at the address now."""
        self._checked = False

    def close(self) -> None:
        """See RedisServers."""
        self._client.close()
