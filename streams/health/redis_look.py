"""The look at Redis each second: is it the server it was, is every shard's state the one last written, what is due.

A commit guards its shard's head by itself. A shard without commits would not notice that Redis was emptied, and look
healthy for ever.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import redis

from segflow.schemas.settings import Settings
from segflow.state import head as head_codec
from segflow.state.head import Head
from segflow.state.keys import Keys, installation
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import client
from segflow.state.store import TornStateError, head_error
from segflow.streams.health.clocks import Clocks
from segflow.streams.health.probe import ANSWER_S
from segflow.streams.health.redis_memory import RedisMemory
from segflow.streams.runtime.wall_clock import now_us

log = logging.getLogger(__name__)

Lost = Callable[[int, Head, Exception], None]
"""Told of a shard whose state in Redis is not as it was written: partition, the head written last, what is wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisAnswer:
    """The result of one look."""

    timers_us: Mapping[int, float | None]  # the earliest of each shard held; None: nobody has one
    memory: RedisMemory


class RedisLook:
    """Looks at Redis for one worker, in one round trip. Called from a probe's thread.

    Args:
        settings: where it is.
        partitions: the shards held.
        written: of those that are acquired, the head that Redis acknowledged last.
        lost: see Lost.
        clocks: told of Redis' time.
        claim: notes in Redis how customers are divided into shards, where nothing says so any more.
    """

    def __init__(
        self,
        settings: Settings,
        partitions: Callable[[], Iterable[int]],
        clocks: Clocks,
        *,
        written: Callable[[], Mapping[int, Head]] = dict,
        lost: Lost = lambda *_: None,
        claim: Callable[[redis.Redis], None] = lambda _: None,
    ) -> None:
        timeout = min(settings.redis.timeout, timedelta(seconds=ANSWER_S))
        self._client = client(settings.redis.model_copy(update={"timeout": timeout}))
        self._prefix = settings.redis.prefix
        self._partitions = partitions
        self._clocks = clocks
        self._written = written
        self._lost = lost
        self._claim = claim
        self._run_id = ""

    def __call__(self) -> RedisAnswer:
        """One look.

        Raises:
            redis.RedisError: Redis does not answer, or takes no writes.
            segflow.streams.runtime.errors.UsageError: its state is divided into shards in another way.
        """
        partitions = list(self._partitions())
        written = dict(self._written())  # before Redis is asked: what it has may be later, and never earlier
        pipeline = self._client.pipeline(transaction=False)
        pipeline.info("server")
        pipeline.info("replication")
        pipeline.info("memory")
        pipeline.exists(installation(self._prefix))
        for number in partitions:
            pipeline.zrange(Keys(self._prefix, number).timers, 0, 0, withscores=True)
        for number in written:
            pipeline.get(Keys(self._prefix, number).head)
        asked_us = now_us()
        server, replication, memory, installed, *replies = pipeline.execute(raise_on_error=False)
        for reply in (server, replication, memory, installed):
            if isinstance(reply, Exception):
                raise reply
        self._clocks.note("Redis", server.get("server_time_usec"), asked_us, now_us())
        if replication.get("role") == "slave":
            self._client.connection_pool.disconnect()  # with sentinels, the next connection leads to the new primary
            raise redis.ReadOnlyError("it is a replica, which takes no writes; redis.url must lead to the primary")
        if not installed:
            self._claim(self._client)
        timers, heads = replies[: len(partitions)], replies[len(partitions) :]
        restarted = self._is_another(str(server.get("run_id", "")))
        for number, stored in zip(written, heads, strict=True):
            self._compare(number, stored, written[number], restarted=restarted)
        return RedisAnswer(
            timers_us={number: _earliest(found) for number, found in zip(partitions, timers, strict=True)},
            memory=RedisMemory(int(memory.get("used_memory", 0)), int(memory.get("maxmemory", 0))),
        )

    def _is_another(self, run_id: str) -> bool:
        """Whether the process that answers is another than at the last look."""
        before, self._run_id = self._run_id, run_id
        if not before or before == run_id:
            return False
        log.warning("Redis was restarted, or another server has its address; looking whether the state is there")
        return True

    def _compare(self, number: int, stored: Any, written: Head, *, restarted: bool) -> None:
        """Tell of a shard whose stored head is not the one written, or a later one by the same worker."""
        try:
            found = None if stored is None else head_codec.decode(stored)
        except (msgspec.MsgspecError, TypeError):  # the reply may be an error: a key of another type
            self._lost(number, written, TornStateError(f"the head of shard {number} in Redis cannot be read"))
            return
        if found is None or found.owner != written.owner or found.sequence < written.sequence:
            self._lost(number, written, head_error(number, found, written))
        elif restarted and (torn := self._torn(number, found)) is not None:
            self._lost(number, written, TornStateError(torn))

    def _torn(self, number: int, head: Head) -> str | None:
        """Text on what is missing beside a head; None also where it was written anew meanwhile: who writes, looks."""
        with closing(RedisStore(self._client, Keys(self._prefix, number))) as store:
            torn = store.torn(head)
            return torn if torn is not None and store.head() == head else None


def _earliest(timers: Any) -> float | None:
    """The moment of the first timer; None: there is none, or something else stands there, which commits meet."""
    return float(timers[0][1]) if isinstance(timers, list) and timers else None
