"""Journal replay: execute the journal's commits again from the inputs, into a store, and publish nothing.

A shard that is acquired replays the commits that did not reach Redis. `segflow audit` compares the published changes
with a replay, and `segflow rebuild` makes a state by one.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from segflow.engine.columns.events import HANDOVER, INTERACTIONS, PURCHASES, Chunk
from segflow.engine.commit.engine_version import ENGINE
from segflow.engine.commit.execute import CommitResult, Executor
from segflow.engine.decode.transfers import Decoders, decoders
from segflow.schemas.settings import Settings
from segflow.state.head import Head, Position
from segflow.state.store import ShardLostError, Store, TornStateError
from segflow.streams.control.topic import Control
from segflow.streams.journal.entry import Entry
from segflow.streams.journal.input_reader import InputReader
from segflow.streams.journal.journal import JournalError, JournalReader
from segflow.streams.runtime.version import installed_version

THIS_VERSION: Final = f"segflow {installed_version()} (engine {ENGINE})"
SIDES: Final = ((PURCHASES, "purchases"), (INTERACTIONS, "interactions"), (HANDOVER, "handover"))


class InputGoneError(JournalError):
    """A commit cannot be replayed: what it read is no longer in Kafka."""


class OtherVersionError(JournalError):
    """A commit was made by another version of what commits give (ENGINE), and cannot be replayed by this one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayedCommit:
    """One commit, replayed."""

    at: int  # the entry's offset in the journal
    entry: Entry
    result: CommitResult


@dataclass(kw_only=True)
class JournalReplay:
    """Replays one shard's commits into `store`.

    topic_ids: those that the inputs have now. inputs, journal: open. tries_other_versions: commits of another ENGINE
    are replayed, too, and are right where they give the same changes; else they are refused.
    """

    settings: Settings
    partition: int
    topic_ids: tuple[str, ...]
    control: Control  # read as far as the commits need
    inputs: InputReader
    journal: JournalReader
    store: Store
    tries_other_versions: bool = False
    head: Head | None = None  # the store's, while and after it runs
    _decoders: dict[int | None, Decoders] = field(default_factory=dict)  # by the plan's record_max_bytes
    _executor: Executor = field(init=False)
    _other: Entry | None = None  # the latest one of another ENGINE

    def __post_init__(self) -> None:
        self._executor = Executor(self.control.decoding, self.control.rule_versions, self.partition)

    async def run(self, stored: Head | None, end: int | None = None) -> AsyncIterator[ReplayedCommit]:
        """Replay the commits beyond `stored`, the store's head, in order; each is in the store when it is yielded.

        Args:
            stored: None where the store is empty: from the first commit on.
            end: an offset of the journal to stop before; None: all there are.

        Raises:
            InputGoneError: retention has cut a commit's input, or its topic was recreated.
            OtherVersionError: another version made a commit.
            JournalError: journal, input and state do not belong together.
            ShardLostError: somebody else wrote to the store.
            TornStateError: part of the store's content is missing.
        """
        self.head = head = await self._begin(stored)
        first = (await self.inputs.bounds())[0]
        async for at, entry in self.journal.after(head or Head(), end):
            if head is None:
                head = Head(rules=self.control.rule_versions.first.version)
                await asyncio.to_thread(self.store.acquire, head, None)
            self.check(entry, first, head)
            start = positioned(head, entry)
            chunks = [await self._chunk(side, entry) for side, _ in SIDES]
            result = await asyncio.to_thread(self._execute, entry, chunks, head, start)
            self.head = head = result.write.head
            yield ReplayedCommit(at=at, entry=entry, result=result)

    def check(self, entry: Entry, first: tuple[int, ...], before: Head) -> None:
        """Check whether the commit can be replayed, as far as that is known without executing it.

        Args:
            entry: the commit.
            first: the oldest offsets of purchases, interactions and what was handed over.
            before: the head that the commit before left.

        Raises:
            InputGoneError, OtherVersionError, JournalError: see `run`.
        """
        sequence, topics = entry.plan.sequence, self.settings.kafka.topics
        if entry.reshard:
            raise InputGoneError(
                f"commit {sequence} divided the customers into {entry.reshard} shards (`segflow reshard`): no inputs "
                f"give that, and {topics.state} does not have all that came of it"
            )
        if entry.engine != ENGINE:
            self._other = entry
            if not self.tries_other_versions:
                raise OtherVersionError(self._refusal(entry))
        for side, name in SIDES:
            start, stop = _range(entry, side)
            if start == stop:
                continue
            topic = getattr(topics, name)
            if _topic_ids(entry, before)[side] != self.topic_ids[side]:
                raise InputGoneError(
                    f"commit {sequence} cannot be replayed: the {topic} it read was deleted, and the topic of that "
                    "name is a new one"
                )
            if start < first[side]:
                raise InputGoneError(
                    f"commit {sequence} cannot be replayed: it read {topic} from offset {start}, but retention has "
                    f"cut it to {first[side]}"
                )
        if not self.control.rule_versions.has(entry.plan.rules):
            raise JournalError(f"commit {sequence} used rules {entry.plan.rules}, which the control topic lacks")

    async def _begin(self, stored: Head | None) -> Head | None:
        """The head to go on from; what a rebuild left halfway is cleared away."""
        await check_whole(self.store, stored)
        if stored is None or not stored.partial:
            return stored
        mark = msgspec.structs.replace(stored, owner=secrets.token_hex(8))
        await asyncio.to_thread(self.store.clear, mark, stored)
        head = Head(rules=self.control.rule_versions.first.version)
        await asyncio.to_thread(self.store.acquire, head, mark)
        return head

    async def _chunk(self, side: int, entry: Entry) -> Chunk:
        most = entry.plan.record_max_bytes
        if most not in self._decoders:
            self._decoders[most] = decoders(self.control.decoding, most)
        return self._decoders[most][side].records(await self.inputs.read(side, *_range(entry, side)))

    def _refusal(self, entry: Entry) -> str:
        """The refusal of a commit of another version, with what to do."""
        theirs = written_by(entry)
        found = (
            f"commit {entry.plan.sequence} of the journal, which Redis lacks, was made by {theirs}; this is "
            f"{THIS_VERSION}, which may make something else of it. "
        )
        if entry.engine > ENGINE:
            return f"{found}Start {theirs}: an older version does not go on behind a newer one"
        return (
            f"{found}Drain the shard first: start {theirs}, which takes the shard, stop it cleanly, then start this "
            f"one. If Redis has lost what it held, `segflow rebuild --shard {self.partition}` replays all commits "
            "with this version, and changes nothing unless each gives what it gave"
        )

    def _execute(self, entry: Entry, chunks: list[Chunk], stored: Head, start: Head) -> CommitResult:
        """Load, advance, check and store one commit."""
        purchases, interactions, handed = chunks
        result = self._executor.execute(entry.plan, purchases, interactions, start, self.store, stored, handed)
        if (result.digest, len(result.dead)) != (entry.digest, entry.dead_letters):
            wrong = f"commit {entry.plan.sequence} replayed gives other changes or dead letters than it published: "
            if self._other is not None:
                raise OtherVersionError(
                    f"{wrong}{written_by(self._other)} made commit {self._other.plan.sequence}, this is {THIS_VERSION}"
                )
            raise JournalError(f"{wrong}the input or the settings are not what they were")
        self.store.commit(result.write)
        return result


async def check_whole(store: Store, stored: Head | None) -> None:
    """Check that the store has all that stands beside the head `stored`.

    Raises:
        TornStateError: part of its content is missing.
        ShardLostError: somebody else wrote to the store.
    """
    torn = await asyncio.to_thread(store.torn, stored)
    if torn is None:
        return
    if await asyncio.to_thread(store.head) != stored:  # Redis was emptied or rolled back at this moment
        raise ShardLostError("the state in Redis changed while it was looked at")
    raise TornStateError(torn)


def written_by(entry: Entry) -> str:
    """The version that made a commit, for people."""
    if not entry.engine:
        return "a version of segflow that did not say which"
    if not entry.segflow:
        return f"engine {entry.engine} of segflow"
    return f"segflow {entry.segflow} (engine {entry.engine})"


def positioned(head: Head, entry: Entry) -> Head:
    """The head with the positions at which `entry` begins.

    They are the head's, but where the entry moved them by hand, and for the very first commit.

    Raises:
        JournalError: the entry does not go on from there.
    """
    before = head.positions
    starts = [
        Position(topic_id=topic_id, offset=_range(entry, side)[0])
        for (side, _), topic_id in zip(SIDES, _topic_ids(entry, head), strict=False)
    ]
    starts += before[len(starts) :]  # a version before shards handed anything over wrote it
    if before[HANDOVER] == Position():  # or the state
        before = (*before[:HANDOVER], starts[HANDOVER])
    if _places(before) != _places(starts) and head.sequence and not entry.reset:
        raise JournalError(
            f"commit {entry.plan.sequence} of the journal begins at {starts}, the state stands at {before}: they do "
            "not belong together"
        )
    purchases, interactions, handover = [
        was if _places([was]) == _places([start]) else start for was, start in zip(before, starts, strict=True)
    ]
    return msgspec.structs.replace(head, purchases=purchases, interactions=interactions, handover=handover)


def _topic_ids(entry: Entry, before: Head) -> tuple[str, ...]:
    """The topics that a commit read; `before`: the head that the commit before left."""
    return entry.topic_ids or tuple(position.topic_id for position in before.positions)


def _places(positions: Sequence[Position]) -> list[tuple[str, int]]:
    """Positions as an entry tells them: it has no leader epochs of where it began."""
    return [(each.topic_id, each.offset) for each in positions]


def _range(entry: Entry, side: int) -> tuple[int, int]:
    if side == PURCHASES:
        return entry.purchases_from, entry.plan.purchases_to
    if side == HANDOVER:
        return entry.handover_from, entry.plan.handover_to
    return entry.interactions_from, entry.plan.interactions_to
