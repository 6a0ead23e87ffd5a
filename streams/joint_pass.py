"""Small commits of a worker's shards, worked out in one pass.

What a small commit costs is the calls, not the rows: those of eight shards cost little more in one pass than one.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from streams.encode import Encoder
from streams.execution import Outcome, together
from streams.inbox import Side, decode_together
from streams.loading import Loaded
from streams.messages import Message

SMALL_CUSTOMERS: Final = 256
"""A commit of no more is small: some milliseconds from one end to the other."""
PASS_CUSTOMERS: Final = 1_000
"""A pass that has so many takes no further shard: it holds up the event loop for some 15 ms, where handing the work to
a thread, and the interpreter lock back and forth, takes longer for all. A commit of more goes to a thread."""

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
    loaded_s: float  # when it was loaded


Worked = tuple[Draft, Outcome | None]
"""A commit and its outcome; None: it is large, and left to the shard."""


class Member(Protocol):
    """A shard that perhaps has something to do."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """Its inputs."""
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
    _asking: list[tuple[Member, "asyncio.Future[Worked | None]"]] = field(default_factory=list)
    _away: list[Member] = field(default_factory=list)  # were in the last pass, and have not asked again
    _ended_s: float = 0.0  # the last pass, by the event loop's clock
    _pause_s: float = 0.0  # after it
    _coming: asyncio.TimerHandle | None = None  # the next pass

    async def work(self, member: Member) -> Worked | None:
        """The member's next commit, None where it has nothing to do.

        Raises:
            Exception: whatever hinders it.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Worked | None] = loop.create_future()
        self._asking.append((member, answer))
        self._away = [each for each in self._away if each is not member]
        self._schedule(AWAY_S if self._away else self._pause_s)
        return await answer

    def _schedule(self, pause_s: float) -> None:
        """The next pass so long after the last one."""
        if self._coming is not None:
            self._coming.cancel()
        self._coming = asyncio.get_running_loop().call_at(self._ended_s + pause_s, self._run)

    def _run(self) -> None:
        asking = [(member, answer) for member, answer in self._asking if not answer.done()]
        self._asking, self._away, self._coming = [], [], None
        with suppress(Exception):  # the shard that it is about meets it again, alone
            decode_together([side for member, _ in asking for side in member.sides])
        drafts: list[tuple[Draft, asyncio.Future[Worked | None]]] = []
        customers = 0
        for place, (member, answer) in enumerate(asking):
            if customers >= PASS_CUSTOMERS:
                self._asking = asking[place:]
                break
            try:
                draft = member.draft()
            except Exception as error:  # noqa: BLE001 - it is the shard's, whatever it is
                answer.set_exception(error)
                continue
            count = 0 if draft is None else len(draft.loaded.ids)
            if draft is None or count > PASS_CUSTOMERS:
                answer.set_result(None if draft is None else (draft, None))
                continue
            drafts.append((draft, answer))
            customers += count
            if count <= SMALL_CUSTOMERS:  # a larger one is not waited for
                self._away.append(member)
        self._answer(drafts)
        self._ended_s, self._pause_s = asyncio.get_running_loop().time(), self.linger_s * len(self._away)
        if self._asking:
            self._away = []
            self._schedule(0)

    def _answer(self, drafts: list[tuple[Draft, "asyncio.Future[Worked | None]"]]) -> None:
        """Work them together; where that fails, each alone, so that only those fail that it is about."""
        try:
            outcomes = together([draft.loaded for draft, _ in drafts], self.encoder)
        except Exception as error:  # noqa: BLE001 - as above
            if len(drafts) == 1:
                drafts[0][1].set_exception(error)
                return
            for each in drafts:
                self._answer([each])
            return
        for (draft, answer), outcome in zip(drafts, outcomes, strict=True):
            answer.set_result((draft, outcome))
