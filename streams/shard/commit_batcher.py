"""Group commit: the small commits of a worker's shards, executed in one batch.

What a small commit costs is the calls, not the rows: those of eight shards cost little more in one batch than one.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from segflow.engine.columns.messages import Message
from segflow.engine.commit.execute import CommitResult, execute_batch
from segflow.engine.commit.load import CommitInput
from segflow.engine.encode.change_json import Encoder
from segflow.streams.consume.shard_inputs import ShardInputs, decode_buffers
from segflow.streams.health.telemetry import Contexts
from segflow.streams.state_topic.filling import Filled

SMALL_SIZE: Final = 256
"""Customers, and records, of a small commit, at most: it takes some milliseconds from one end to the other."""
BATCH_SIZE: Final = 1_000
"""A batch of so many customers or records takes no further shard: it holds up the event loop for some 15 ms, where
handing the work to a thread, and the interpreter lock back and forth, takes longer for all. A commit of more goes to a
thread."""

AWAY_S: Final = 0.03
"""The longest that a batch waits for shards whose commits are under way: one with a server that hangs holds nobody up
for longer. Small commits of eight shards take some 20 ms."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedCommit:
    """A commit that is loaded and not executed yet."""

    loaded: CommitInput
    control: list[Message]  # for the control topic
    filled: Filled | None  # more for the state topic, of a state that was begun without it
    records: int
    started_s: float  # when the commit began, of perf_counter
    loading_s: float  # how long that took
    loaded_s: float  # when it was loaded
    contexts: Contexts = field(default_factory=dict)  # the traces of its events, where they are carried


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchReply:
    """The reply of a batch to a shard. With neither of the first two, the shard has nothing to do."""

    commit: LoadedCommit | None = None
    result: CommitResult | None = None  # of the commit; None: it is large, and left to the shard
    single: bool = False  # the shard is to look for itself, in a thread; nothing of its inputs was taken


class Member(Protocol):
    """A shard that perhaps has something to do."""

    def next_commit(self) -> LoadedCommit | None:
        """Its next commit, None where there is nothing to do."""
        ...


@dataclass(eq=False, slots=True)
class _Place:
    """A shard that waits for its next commit."""

    member: Member
    inputs: ShardInputs
    reply: "asyncio.Future[BatchReply]"
    ask_s: float  # when it is asked, by the event loop's clock


@dataclass(kw_only=True, slots=True)
class CommitBatcher:
    """Asks the shards of a worker for their commits, executes them together, and gives each shard its result.

    A shard waits here (`next_reply`) while it has no commit under way. It is asked when its inputs have something new,
    and every `look_every_s`. What comes up while the commits of one batch are under way is the next batch.

    Args:
        encoder: of the changes.
        linger_s: the pause after a batch, for each commit in it: few events are answered at once, and many come in few
            batches.
        look_every_s: how often a quiet shard is asked: timers may be due.
        store_answers: whether Redis does, as last seen from outside.
    """

    encoder: Encoder
    linger_s: float
    look_every_s: float
    store_answers: Callable[[], bool] = lambda: True
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """For what shards do in threads: one at a time, as they would only fight for the interpreter lock."""
    _places: list[_Place] = field(default_factory=list)
    _away: list[Member] = field(default_factory=list)  # were in the last batch, and do not wait here yet
    _ended_s: float = 0.0  # the last batch, by the event loop's clock
    _pause_s: float = 0.0  # after it
    _due_s: float = 0.0  # the next batch
    _coming: asyncio.TimerHandle | None = None  # likewise

    async def next_reply(self, member: Member, inputs: ShardInputs, *, idle: bool = False) -> BatchReply:
        """The member's next commit, executed; waited for until there is one, or until the member is dismissed.

        Args:
            member: has no commit under way.
            inputs: its own.
            idle: it has just looked for itself, and had nothing to do.

        Raises:
            Exception: whatever hinders the commit.
        """
        loop = asyncio.get_running_loop()
        place = _Place(member, inputs, loop.create_future(), loop.time() + (self.look_every_s if idle else 0.0))
        self._places.append(place)
        self._away = [each for each in self._away if each is not member]
        inputs.on_arrival = partial(self._ask, place)
        if not idle or inputs.arrived:
            self._ask(place)
        else:
            self._schedule()
        try:
            return await place.reply
        finally:
            if place in self._places:
                self._places.remove(place)

    def dismiss(self, member: Member) -> None:
        """Let the member go, where it waits: it is to stop."""
        for place in self._places:
            if place.member is member and not place.reply.done():
                place.reply.set_result(BatchReply())

    def fail(self, member: Member, error: Exception) -> None:
        """Raise the error in the member, where it waits; one with a commit under way meets it there."""
        for place in self._places:
            if place.member is member and not place.reply.done():
                place.reply.set_exception(error)

    def run(self) -> None:
        """The batch that is due: ask the shards, execute their commits, give each its result."""
        loop = asyncio.get_running_loop()
        now_s = max(loop.time(), self._due_s)  # a timer may be some microseconds early
        self._away, self._coming = [], None
        places = [place for place in self._places if place.ask_s <= now_s and self._is_small(place)]
        with suppress(Exception):  # the shard that it is about meets it again, alone
            decode_buffers([buffer for place in places for buffer in place.inputs.buffers])
        loaded = self._load(places, now_s)
        results = execute_batch([commit.loaded for _, commit in loaded], self.encoder)
        for (place, commit), result in zip(loaded, results, strict=True):
            if isinstance(result, Exception):
                place.reply.set_exception(result)
                continue
            place.reply.set_result(BatchReply(commit=commit, result=result))
            if _size(commit) <= SMALL_SIZE:  # a larger one is not waited for
                self._away.append(place.member)
        commits = sum(not isinstance(result, Exception) for result in results)
        self._ended_s, self._pause_s = loop.time(), self.linger_s * commits
        self._places = [place for place in self._places if not place.reply.done()]
        if any(place.ask_s <= now_s for place in self._places):  # there was no room for it
            self._away, self._pause_s = [], 0.0
        self._schedule()

    def _ask(self, place: _Place) -> None:
        """The shard may have something to do: it is asked in the next batch."""
        if place.reply.done() or not self._is_small(place):
            return
        place.ask_s = min(place.ask_s, asyncio.get_running_loop().time())
        self._schedule()

    def _is_small(self, place: _Place) -> bool:
        """Whether the shard's commit may be a small one; else it is to look for itself."""
        if place.reply.done():
            return False
        if self.store_answers() and place.inputs.waiting <= SMALL_SIZE:
            return True
        place.reply.set_result(BatchReply(single=True))
        return False

    def _schedule(self) -> None:
        """The next batch: when the first shard is to be asked, and the pause after the last batch is over."""
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None
        if self._places:
            pause_s = max(self._pause_s, AWAY_S) if self._away else self._pause_s
            self._due_s = max(self._ended_s + pause_s, min(place.ask_s for place in self._places))
            self._coming = asyncio.get_running_loop().call_at(self._due_s, self.run)

    def _load(self, places: list[_Place], now_s: float) -> list[tuple[_Place, LoadedCommit]]:
        """The commits of a batch; shards it has no room for are asked in the next one."""
        loaded: list[tuple[_Place, LoadedCommit]] = []
        size = 0
        for number, place in enumerate(places):
            if size >= BATCH_SIZE:
                break
            try:
                commit = place.member.next_commit()
            except Exception as error:  # noqa: BLE001 - it is the shard's, whatever it is
                place.reply.set_exception(error)
                for other in places[number + 1 :]:  # if their store is gone, too, they find out in threads
                    other.reply.set_result(BatchReply(single=True))
                break
            if commit is None:
                place.ask_s = now_s + self.look_every_s
            elif _size(commit) > BATCH_SIZE:
                place.reply.set_result(BatchReply(commit=commit))
            else:
                loaded.append((place, commit))
                size += _size(commit)
        return loaded


def _size(commit: LoadedCommit) -> int:
    """Customers of a commit, or its records where they are more: each of a customer's is a round of its own."""
    return max(len(commit.loaded.ids), commit.records)
