"""Small commits of a worker's shards, worked out in one pass.

What a small commit costs is the calls, not the rows: those of eight shards cost little more in one pass than one.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from segflow.engine.columns.messages import Message
from segflow.engine.commit.execute import Outcome, together
from segflow.engine.commit.load import Loaded
from segflow.engine.encode.change_json import Encoder
from segflow.streams.consume.shard_inputs import InputBuffer, decode_buffers

SMALL_SIZE: Final = 256
"""Customers, and records, of a small commit, at most: it takes some milliseconds from one end to the other."""
PASS_SIZE: Final = 1_000
"""A pass of so many customers or records takes no further shard: it holds up the event loop for some 15 ms, where
handing the work to a thread, and the interpreter lock back and forth, takes longer for all. A commit of more goes to a
thread."""

AWAY_S: Final = 0.03
"""The longest that a pass waits for shards whose commits are under way: one with a server that hangs holds nobody up
for longer. Small commits of eight shards take some 20 ms."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A commit that is loaded and not worked out yet."""

    loaded: Loaded
    control: list[Message]  # for the control topic
    records: int
    started_s: float  # when the commit began, of perf_counter
    loading_s: float  # how long that took
    loaded_s: float  # when it was loaded


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a pass says to a shard: with neither of the first two, it has nothing to do."""

    draft: Draft | None = None
    outcome: Outcome | None = None  # of the draft; None: it is large, and left to the shard
    alone: bool = False  # the shard is to look for itself, in a thread; nothing of its inputs was taken


class Member(Protocol):
    """A shard that perhaps has something to do."""

    @property
    def buffers(self) -> tuple[InputBuffer, ...]:
        """Its inputs."""
        ...

    def ready(self) -> bool:
        """Whether its store answers, and what it holds is little."""
        ...

    def draft(self) -> Draft | None:
        """Its next commit, None where there is nothing to do."""
        ...


@dataclass(slots=True)
class JointPass:
    """One a worker. What shards ask for while the commits of one pass are under way is the next pass.

    encoder: writes what they find. linger_s: the pause after a pass, for each commit in it: few events are answered at
    once, and many come in few passes.
    """

    encoder: Encoder
    linger_s: float
    _asking: list[tuple[Member, "asyncio.Future[Answer]"]] = field(default_factory=list)
    _away: list[Member] = field(default_factory=list)  # were in the last pass, and have not asked again
    _ended_s: float = 0.0  # the last pass, by the event loop's clock
    _pause_s: float = 0.0  # after it
    _coming: asyncio.TimerHandle | None = None  # the next pass

    async def work(self, member: Member) -> Answer:
        """The member's next commit.

        Raises:
            Exception: whatever hinders it.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asking.append((member, answer))
        self._away = [each for each in self._away if each is not member]
        self._schedule(max(self._pause_s, AWAY_S) if self._away else self._pause_s)
        return await answer

    def hurry(self) -> None:
        """The next pass, if one is asked for, is now: a shard is to stop."""
        if self._asking:
            self._schedule(0)

    def _schedule(self, pause_s: float) -> None:
        """The next pass so long after the last one."""
        if self._coming is not None:
            self._coming.cancel()
        self._coming = asyncio.get_running_loop().call_at(self._ended_s + pause_s, self._run)

    def _run(self) -> None:
        asking = [(member, answer) for member, answer in self._asking if not answer.done()]
        self._asking, self._away, self._coming = [], [], None
        ready = []
        for member, answer in asking:
            if member.ready():
                ready.append((member, answer))
            else:
                answer.set_result(Answer(alone=True))
        with suppress(Exception):  # the shard that it is about meets it again, alone
            decode_buffers([buffer for member, _ in ready for buffer in member.buffers])
        drafted = self._drafts(ready)
        results = together([draft.loaded for _, draft, _ in drafted], self.encoder)
        commits = 0
        for (member, draft, answer), result in zip(drafted, results, strict=True):
            if isinstance(result, Exception):
                answer.set_exception(result)
                continue
            answer.set_result(Answer(draft=draft, outcome=result))
            commits += 1
            if _size(draft) <= SMALL_SIZE:  # a larger one is not waited for
                self._away.append(member)
        self._ended_s, self._pause_s = asyncio.get_running_loop().time(), self.linger_s * commits
        if self._asking:
            self._away, self._pause_s = [], 0.0
            self._schedule(0)

    def _drafts(
        self, ready: list[tuple[Member, "asyncio.Future[Answer]"]]
    ) -> list[tuple[Member, Draft, "asyncio.Future[Answer]"]]:
        """The commits of a pass; shards it has no room for go on asking."""
        drafted: list[tuple[Member, Draft, asyncio.Future[Answer]]] = []
        size = 0
        for place, (member, answer) in enumerate(ready):
            if size >= PASS_SIZE:
                self._asking = ready[place:]
                break
            try:
                draft = member.draft()
            except Exception as error:  # noqa: BLE001 - it is the shard's, whatever it is
                answer.set_exception(error)
                for _, other in ready[place + 1 :]:  # if their store is gone, too, they find out in threads
                    other.set_result(Answer(alone=True))
                break
            if draft is None or _size(draft) > PASS_SIZE:
                answer.set_result(Answer(draft=draft))
                continue
            drafted.append((member, draft, answer))
            size += _size(draft)
        return drafted


def _size(draft: Draft) -> int:
    """Customers of a commit, or its records where they are more: each of a customer's is a round of its own."""
    return max(len(draft.loaded.ids), draft.records)
