"""The servers of a Redis Cluster, and which of them has which slots."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ClusterDownError, ResponseError

from segflow.state.redis_servers import RedisServers

FRESH_S: Final = 1.0
"""Slots move without a word to those who do not ask for them. A look takes two small commands of one server."""
NO_CLUSTER: Final = "cluster support disabled"
"""In the answer of a server that is of no cluster."""
UNKNOWN_HOST: Final = "?"
"""In the place of a name where servers are to have one, and this one has none."""

Place = tuple[str, int]
"""Host and port."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotMap:
    """The servers as one of them sees them."""

    by_slot: dict[int, Place]
    primaries: tuple[Place, ...]
    replicas: tuple[Place, ...]
    is_up: bool  # the cluster answers, for all that this server knows

    @property
    def is_whole(self) -> bool:
        """Whether every slot has a server that answers."""
        return self.is_up and len(self.by_slot) == REDIS_CLUSTER_HASH_SLOTS


class RedisCluster(RedisServers):
    """A cluster, asked where the keys are when somebody wants to know.

    Args:
        seeds: servers that are asked first; they know the others.
        client_of: a client of one server, which repeats nothing.
    """

    def __init__(self, seeds: Sequence[Place], client_of: Callable[[Place], redis.Redis]) -> None:
        self._seeds = tuple(seeds)
        self._client_of = client_of
        self._clients: dict[Place, redis.Redis] = {}
        self._order: list[Place] = list(seeds)  # in which servers are asked
        self._map: SlotMap | None = None
        self._failed: redis.RedisError | None = None  # the last look, if it did
        self._looked_s = 0.0  # when, of monotonic
        self._lock = threading.RLock()

    def of(self, key: str) -> redis.Redis:
        """See RedisServers."""
        with self._lock:
            return self._client(self._current().by_slot[key_slot(key.encode())])

    def each(self) -> Sequence[redis.Redis]:
        """See RedisServers."""
        with self._lock:
            return [self._client(place) for place in self._current().primaries]

    def doubt(self) -> None:
        """See RedisServers. Another server is asked: the last one may be cut off from the others, and not know it."""
        with self._lock:
            if self._map is not None:
                self._order = [*self._order[1:], *self._order[:1]]
            self._map = None

    def close(self) -> None:
        """See RedisServers."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
            self._map = None

    def _current(self) -> SlotMap:
        if monotonic() - self._looked_s > FRESH_S:
            self._map = self._failed = None
        if self._failed is not None:  # where no server answers, every shard would wait for each of them in turn
            raise self._failed.with_traceback(None)
        if self._map is None:
            try:
                self._map = self._look()
            except redis.RedisError as error:
                self._failed = error
                raise
            finally:
                self._looked_s = monotonic()
            known = dict.fromkeys([*self._map.primaries, *self._map.replicas, *self._seeds])
            self._order = list(dict.fromkeys([*(place for place in self._order if place in known), *known]))
            self._clients = {place: client for place, client in self._clients.items() if place in known}
        return self._map

    def _look(self) -> SlotMap:
        """The map of the first server that sees a whole cluster.

        Raises:
            ClusterDownError: none does.
            redis.RedisError: none answers, or one is of no cluster.
        """
        failed: redis.RedisError | None = None
        down = False
        for place in list(self._order):
            try:
                found = _seen_by(self._client(place), place[0])
            except redis.AuthenticationError:
                raise
            except (redis.ConnectionError, redis.TimeoutError, ClusterDownError) as error:
                failed = error
            except ResponseError as error:
                if NO_CLUSTER in str(error):
                    raise redis.RedisError(
                        f"{place[0]}:{place[1]} is not of a Redis Cluster: write redis.url as redis://HOST:PORT/0"
                    ) from error
                raise
            else:
                if found.is_whole:
                    return found
                down = True
            self._order.remove(place)  # to the end: the next look begins with another
            self._order.append(place)
        if down or failed is None:
            raise ClusterDownError("not every slot has a server")
        raise failed

    def _client(self, place: Place) -> redis.Redis:
        if place not in self._clients:
            self._clients[place] = self._client_of(place)
        return self._clients[place]


def _seen_by(client: redis.Redis, host: str) -> SlotMap:
    """The map of one server, which is asked at `host`."""
    pipeline = client.pipeline(transaction=False)
    pipeline.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
    pipeline.execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]
    info, ranges = pipeline.execute()
    by_slot: dict[int, Place] = {}
    primaries: dict[Place, None] = {}
    replicas: dict[Place, None] = {}
    for first, last, primary, *others in ranges:
        place = _place(primary, host)
        primaries[place] = None
        by_slot |= dict.fromkeys(range(int(first), int(last) + 1), place)
        replicas |= dict.fromkeys(_place(other, host) for other in others)
    return SlotMap(
        by_slot=by_slot,
        primaries=tuple(primaries),
        replicas=tuple(replicas),
        is_up=_text(info["cluster_state"]) == "ok",
    )


def _place(server: Sequence[Any], asked: str) -> Place:
    """A server of CLUSTER SLOTS. One without a host is at the one that was asked."""
    host = _text(server[0] or b"")
    if host == UNKNOWN_HOST:
        host = next(iter(_metadata(server, "ip")), host)
    return host or asked, int(server[1])


def _metadata(server: Sequence[Any], name: str) -> Iterable[str]:
    """The value of that name among what a server is known by beside its host, if it is there."""
    listed = server[3] if len(server) > 3 else []
    pairs = listed.items() if isinstance(listed, dict) else zip(listed[::2], listed[1::2], strict=True)
    return [_text(value) for key, value in pairs if _text(key) == name]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
