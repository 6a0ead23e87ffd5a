"""The look at Redis each second: is it the server it was, is every shard's state the one last written, what is due.

A commit guards its shard's head by itself. A shard without commits would not notice that Redis was emptied, and look
healthy for ever.
"""

import logging
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple, Self

import msgspec
import redis
from redis.client import Pipeline

from segflow.schemas.settings import Settings
from segflow.state import head as head_codec
from segflow.state.head import Head
from segflow.state.keys import Keys, installation
from segflow.state.parking import WRONG_TYPE
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import servers
from segflow.state.redis_servers import RedisServers
from segflow.state.store import TornStateError, head_error
from segflow.streams.health.clocks import Clocks
from segflow.streams.health.probe import ANSWER_S
from segflow.streams.health.redis_memory import RedisMemory
from segflow.streams.runtime.wall_clock import now_us

log = logging.getLogger(__name__)

Lost = Callable[[int, Head, Exception], None]
"""Told of a shard whose state in Redis is not as it was written: partition, the head written last, what is wrong."""


Question = Callable[[Pipeline, str], object]
"""Puts a command about one key into a pipeline."""

SECTIONS: Final = ("server", "replication", "memory")
"""Of what a server says of itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Server:
    """One server, at the moment of the look."""

    run_id: str
    is_replica: bool
    time_us: int | None
    memory: RedisMemory

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Self:
        """From its SECTIONS."""
        return cls(
            run_id=str(info.get("run_id", "")),
            is_replica=info.get("role") == "slave",
            time_us=info.get("server_time_usec"),
            memory=RedisMemory(int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))),
        )


class _Reply(NamedTuple):
    """The reply to a question; an error where something else stands at the key."""

    reply: Any
    server: _Server


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisAnswer:
    """The result of one look."""

    timers_us: Mapping[int, float | None]  # the earliest of each shard held; None: nobody has one
    memory: RedisMemory  # of the server that has least left


class RedisLook:
    """Looks at Redis for one worker, in one round trip a server. Called from a probe's thread.

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
        claim: Callable[[RedisServers], None] = lambda _: None,
    ) -> None:
        timeout = min(settings.redis.timeout, timedelta(seconds=ANSWER_S))
        self._servers = servers(settings.redis.model_copy(update={"timeout": timeout}))
        self._prefix = settings.redis.prefix
        self._partitions = partitions
        self._clocks = clocks
        self._written = written
        self._lost = lost
        self._claim = claim
        self._run_ids: dict[int, str] = {}  # by shard, of the process that had it when it was looked at last
        self._known: frozenset[str] = frozenset()  # the run ids of all processes seen so far

    def __call__(self) -> RedisAnswer:
        """One look.

        Raises:
            redis.RedisError: Redis does not answer, or takes no writes.
            segflow.streams.runtime.errors.UsageError: its state is divided into shards in another way.
        """
        partitions = list(self._partitions())
        written = dict(self._written())  # before Redis is asked: what it has may be later, and never earlier
        questions: list[tuple[str, Question]] = [(installation(self._prefix), _exists)]
        questions += [(Keys(self._prefix, number).timers, _first_timer) for number in partitions]
        questions += [(Keys(self._prefix, number).head, _content) for number in written]
        try:
            seen = self._ask(questions)
        except redis.RedisError:
            self._servers.doubt()
            raise
        installed, *replies = (each.reply for each in seen)
        if not installed:
            self._claim(self._servers)
        timers, heads = replies[: len(partitions)], replies[len(partitions) :]
        restarted = self._are_others(
            dict(zip(written, (each.server.run_id for each in seen[1 + len(partitions) :]), strict=True)),
            frozenset(each.server.run_id for each in seen),
        )
        for number, stored in zip(written, heads, strict=True):
            self._compare(number, stored, written[number], restarted=number in restarted)
        return RedisAnswer(
            timers_us={number: _earliest(found) for number, found in zip(partitions, timers, strict=True)},
            memory=max((each.server.memory for each in seen), key=lambda memory: memory.share),
        )

    def _ask(self, questions: Sequence[tuple[str, Question]]) -> list[_Reply]:
        """The reply to each, and the server that gave it.

        Raises:
            redis.RedisError: a server does not answer, is a replica, or has the key no more.
        """
        found: list[_Reply] = []
        order: list[int] = []
        clocks: list[tuple[int | None, int, int]] = []  # each server's time, when it was asked and when it answered
        for client, places in self._servers.grouped([key for key, _ in questions]).items():
            pipeline = client.pipeline(transaction=False)
            for section in SECTIONS:
                pipeline.info(section)
            for place in places:
                key, question = questions[place]
                question(pipeline, key)
            asked_us = now_us()
            answers = pipeline.execute(raise_on_error=False)
            infos, replies = answers[: len(SECTIONS)], answers[len(SECTIONS) :]
            for reply in infos:
                if isinstance(reply, Exception):
                    raise reply
            server = _Server.of(dict(ChainMap(*infos)))
            clocks.append((server.time_us, asked_us, now_us()))
            if server.is_replica:
                client.connection_pool.disconnect()  # with sentinels, the next connection leads to the new primary
                raise redis.ReadOnlyError("it is a replica, which takes no writes; redis.url must lead to the primary")
            for reply in replies:
                if isinstance(reply, Exception) and not str(reply).startswith(WRONG_TYPE):
                    raise reply
            order += places
            found += [_Reply(reply, server) for reply in replies]
        self._clocks.note("Redis", *max(clocks, key=_apart_us))
        return [each for _, each in sorted(zip(order, found, strict=True), key=lambda pair: pair[0])]

    def _are_others(self, run_ids: dict[int, str], seen: frozenset[str]) -> set[int]:
        """The shards that another process has than before; `seen`: the processes that answered.

        A look in which no shard is acquired, as just after a restart, forgets nothing.
        """
        before, self._run_ids = self._run_ids, self._run_ids | run_ids
        known, self._known = self._known or seen, self._known | seen
        others = {
            number for number, run_id in run_ids.items() if run_id not in known or before.get(number, run_id) != run_id
        }
        if others or not seen <= known:
            log.warning("Redis was restarted, or another server has its address; looking whether the state is there")
        return others

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
        with closing(RedisStore(self._servers, Keys(self._prefix, number))) as store:
            torn = store.torn(head)
            return torn if torn is not None and store.head() == head else None


def _earliest(timers: Any) -> float | None:
    """The moment of the first timer; None: there is none, or something else stands there, which commits meet."""
    return float(timers[0][1]) if isinstance(timers, list) and timers else None


def _exists(pipeline: Pipeline, key: str) -> object:
    return pipeline.exists(key)


def _first_timer(pipeline: Pipeline, key: str) -> object:
    return pipeline.zrange(key, 0, 0, withscores=True)


def _content(pipeline: Pipeline, key: str) -> object:
    return pipeline.get(key)


def _apart_us(clock: tuple[int | None, int, int]) -> int:
    theirs_us, asked_us, _ = clock
    return -1 if theirs_us is None else abs(theirs_us - asked_us)
