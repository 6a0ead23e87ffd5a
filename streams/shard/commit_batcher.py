"""Group commit: the small commits of a worker's shards, executed in one batch.

What a small commit costs is the calls, not the rows: those of eight shards cost little more in one batch than one.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from segflow.engine.columns.messages import Message
from segflow.engine.commit.execute import CommitResult, execute_batch
from segflow.engine.commit.load import CommitInput
from segflow.engine.encode.change_json import Encoder
from segflow.streams.consume.shard_inputs import InputBuffer, decode_buffers

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
    records: int
    started_s: float  # when the commit began, of perf_counter
    loading_s: float  # how long that took
    loaded_s: float  # when it was loaded


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchReply:
    """What a batch says to a shard: with neither of the first two, it has nothing to do."""

    commit: LoadedCommit | None = None
    result: CommitResult | None = None  # of the commit; None: it is large, and left to the shard
    single: bool = False  # the shard is to look for itself, in a thread; nothing of its inputs was taken


class Member(Protocol):
    """A shard that perhaps has something to do."""

    @property
    def buffers(self) -> tuple[InputBuffer, ...]:
        """Its inputs."""
        ...

    def ready(self) -> bool:
        """Whether its store answers, and what it holds is little."""
        ...

    def next_commit(self) -> LoadedCommit | None:
        """Its next commit, None where there is nothing to do."""
        ...


@dataclass(slots=True)
class CommitBatcher:
    """One a worker. What shards ask for while the commits of one batch are under way is the next batch.

    encoder: of the changes. linger_s: the pause after a batch, for each commit in it: few events are answered at once,
    and many come in few batches.
    """

    encoder: Encoder
    linger_s: float
    _asking: list[tuple[Member, "asyncio.Future[BatchReply]"]] = field(default_factory=list)
    _away: list[Member] = field(default_factory=list)  # were in the last batch, and have not asked again
    _ended_s: float = 0.0  # the last batch, by the event loop's clock
    _pause_s: float = 0.0  # after it
    _coming: asyncio.TimerHandle | None = None  # the next batch

    async def work(self, member: Member) -> BatchReply:
        """The member's next commit.

        Raises:
            Exception: whatever hinders it.
        """
        reply: asyncio.Future[BatchReply] = asyncio.get_running_loop().create_future()
        self._asking.append((member, reply))
        self._away = [each for each in self._away if each is not member]
        self._schedule(max(self._pause_s, AWAY_S) if self._away else self._pause_s)
        return await reply

    def flush(self) -> None:
        """Run the next batch now, if one is asked for: a shard is to stop."""
        if self._asking:
            self._schedule(0)

    def _schedule(self, pause_s: float) -> None:
        """Run the next batch so long after the last one."""
        if self._coming is not None:
            self._coming.cancel()
        self._coming = asyncio.get_running_loop().call_at(self._ended_s + pause_s, self._run)

    def _run(self) -> None:
        asking = [(member, reply) for member, reply in self._asking if not reply.done()]
        self._asking, self._away, self._coming = [], [], None
        ready = []
        for member, reply in asking:
            if member.ready():
                ready.append((member, reply))
            else:
                reply.set_result(BatchReply(single=True))
        with suppress(Exception):  # the shard that it is about meets it again, alone
            decode_buffers([buffer for member, _ in ready for buffer in member.buffers])
        loaded = self._load(ready)
        results = execute_batch([commit.loaded for _, commit, _ in loaded], self.encoder)
        commits = 0
        for (member, commit, reply), result in zip(loaded, results, strict=True):
            if isinstance(result, Exception):
                reply.set_exception(result)
                continue
            reply.set_result(BatchReply(commit=commit, result=result))
            commits += 1
            if _size(commit) <= SMALL_SIZE:  # a larger one is not waited for
                self._away.append(member)
        self._ended_s, self._pause_s = asyncio.get_running_loop().time(), self.linger_s * commits
        if self._asking:
            self._away, self._pause_s = [], 0.0
            self._schedule(0)

    def _load(
        self, ready: list[tuple[Member, "asyncio.Future[BatchReply]"]]
    ) -> list[tuple[Member, LoadedCommit, "asyncio.Future[BatchReply]"]]:
        """The commits of a batch; shards it has no room for go on asking."""
        loaded: list[tuple[Member, LoadedCommit, asyncio.Future[BatchReply]]] = []
        size = 0
        for place, (member, reply) in enumerate(ready):
            if size >= BATCH_SIZE:
                self._asking = ready[place:]
                break
            try:
                commit = member.next_commit()
            except Exception as error:  # noqa: BLE001 - it is the shard's, whatever it is
                reply.set_exception(error)
                for _, other in ready[place + 1 :]:  # if their store is gone, too, they find out in threads
                    other.set_result(BatchReply(single=True))
                break
            if commit is None or _size(commit) > BATCH_SIZE:
                reply.set_result(BatchReply(commit=commit))
                continue
            loaded.append((member, commit, reply))
            size += _size(commit)
        return loaded


def _size(commit: LoadedCommit) -> int:
    """Customers of a commit, or its records where they are more: each of a customer's is a round of its own."""
    return max(len(commit.loaded.ids), commit.records)
