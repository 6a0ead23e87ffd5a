"""Moving a shard's position by hand: for a shard that stopped because an input no longer has what comes next.

The move is a commit of its own in the journal, so that a later rollback of Redis replays it, and the audit knows.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

from segflow.engine.columns import events
from segflow.engine.columns.messages import Messages
from segflow.engine.commit.execute import Executor
from segflow.engine.commit.plan import plan_for, positions_after
from segflow.schemas.settings import Settings
from segflow.state.head import Head, Position
from segflow.state.store import Store
from segflow.streams.control.topic import Control
from segflow.streams.journal import journal
from segflow.streams.journal.input_reader import InputReader
from segflow.streams.journal.journal import JournalError, JournalReader
from segflow.streams.journal.replay import JournalReplay, positioned
from segflow.streams.publish.publisher import Publisher
from segflow.streams.runtime.errors import UsageError
from segflow.streams.runtime.wall_clock import now_us
from segflow.streams.shard.input_positions import ROLES, describe_move, position_problems
from segflow.streams.shard.recovery import Recovery, nowhere
from segflow.streams.state_topic.commit_state import state_of
from segflow.streams.state_topic.reader import StateTopicReader, TopicFacts
from segflow.streams.state_topic.whole import is_whole

Target = Literal["earliest", "latest"] | int


class NothingToResetError(UsageError):
    """The shard's positions are sound: moving one would lose or repeat records for nothing."""


class UntakenError(NothingToResetError):
    """No worker has acquired the shard yet, so it has no position."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """The ids and offsets of the inputs, each as (purchases, interactions, handover)."""

    topic_ids: tuple[str, ...]
    first: tuple[int, ...]
    end: tuple[int, ...]
    diverged: tuple[int | None, ...]  # from where on it no longer has what was read


@dataclass(kw_only=True)
class Reset:
    """The reset of one shard.

    to: where the position goes. role: of which input; None: of each that has a problem. force: also where nothing is
    wrong. say: called with what will be skipped or read again, before it is done.
    """

    settings: Settings
    control: Control
    topic_ids: tuple[str, ...]
    facts: TopicFacts
    partition: int
    store: Store
    to: Target
    role: str | None
    force: bool
    say: Callable[[str], None]

    async def run(self) -> int:
        """Do it.

        1. See whether it is called for, without disturbing anybody.
        2. InitTransactions: a worker that has the shard can commit no more.
        3. Bring Redis to the last commit, as a worker does that takes the shard; write an own token into the head.
        4. Publish a commit that does nothing but move the positions; then store it. A crash between the two heals as
           any other: whoever acquires the shard copies that commit.

        Returns:
            The number of the commit.

        Raises:
            NothingToResetError, UsageError: it was not done; the message says why.
            JournalError: commits that did not reach Redis cannot be replayed.
            ShardLostError: a worker has acquired the shard meanwhile.
            aiokafka.errors.KafkaError, redis.RedisError: type it again; where it was published it is done by now.
        """
        async with (
            JournalReader(self.settings, self.partition) as entries,
            InputReader(self.settings, self.partition) as inputs,
            StateTopicReader(self.settings, self.partition) as topic,
        ):
            stored = self.store.head()
            first, end = await inputs.bounds()
            before, missing = await self._ahead(stored, entries, self._replay(entries, inputs), first, topic)
            diverged = await inputs.diverged_at(before.positions)
            places = Places(topic_ids=self.topic_ids, first=first, end=end, diverged=diverged)
            self._decide(before, places, missing)  # 1
            publisher = Publisher(self.settings, self.partition)
            await publisher.start()  # 2
            try:
                head = await self._take(entries, inputs, topic)  # 3
                moved, lines = self._decide(head, places)
                self.say("\n".join(lines))
                await self._commit(publisher, head, moved)  # 4
            finally:
                await publisher.close()
                self.store.close()
        return head.sequence + 1

    async def _ahead(
        self,
        stored: Head | None,
        entries: JournalReader,
        replay: JournalReplay,
        first: tuple[int, ...],
        topic: StateTopicReader,
    ) -> tuple[Head, int]:
        """The shard's head once all commits are in Redis, and how many it lacks."""
        head, missing = stored or Head(), 0
        last, published = await topic.last_head(await topic.end()), await entries.last()
        if (
            last is not None
            and is_whole(last, self.facts, published)
            and (head.partial or last.sequence > head.sequence)
        ):
            head, missing = last, last.sequence - head.sequence
        if published is None and await entries.was_cut():
            if not head.sequence:
                raise JournalError(nowhere(self.settings))
            return head, missing
        async for _, entry in entries.after(head):
            replay.check(entry, first, head)
            head, missing = positioned(head, entry), missing + 1
            after = positions_after(head, entry.plan)
            head = msgspec.structs.replace(head, sequence=entry.plan.sequence, **after)
        if not head.sequence and not head.purchases.topic_id:
            raise UntakenError(f"no worker has acquired shard {self.partition} yet: it has no position to move")
        return head, missing

    def _decide(self, head: Head, places: Places, missing: int = 0) -> tuple[Head, list[str]]:
        """The head with its positions moved, and what that means."""
        wrong = position_problems(
            self.settings, self.partition, head, places.topic_ids, places.first, places.end, places.diverged
        )
        roles = [self.role] if self.role is not None else [role for role in ROLES if role in wrong or self.force]
        if not self.force and not any(role in wrong for role in roles):
            what = f"the {self.role} of shard {self.partition}" if self.role else f"shard {self.partition}"
            if missing:
                raise NothingToResetError(
                    f"{missing:,} commits of shard {self.partition} are in the journal and not in Redis: it lost them, "
                    "or a worker died. A reset is no help: start a worker (`segflow worker`), which replays them"
                )
            raise NothingToResetError(
                f"nothing is wrong with {what}: what comes next is there. A reset would skip records or count them "
                "twice; --force does it all the same"
            )
        if isinstance(self.to, int) and len(roles) > 1:
            raise UsageError(
                "several inputs would go to that offset: say which with --input purchases, interactions or handover"
            )
        lines = []
        for side, role in enumerate(ROLES):
            if role not in roles:
                continue
            position = Position(topic_id=places.topic_ids[side], offset=self._offset(role, side, places))
            where = f"shard {self.partition}: {getattr(self.settings.kafka.topics, role)}"
            lines.append(
                f"{where} {describe_move(getattr(head, role), position, places.first[side], places.end[side])}"
            )
            head = msgspec.structs.replace(head, **{role: position})
        return head, lines

    def _offset(self, role: str, side: int, places: Places) -> int:
        first, end = places.first[side], places.end[side]
        if self.to == "earliest":
            return first
        if self.to == "latest":
            return end
        if not first <= self.to <= end:
            topic = getattr(self.settings.kafka.topics, role)
            raise UsageError(
                f"{topic} partition {self.partition} has offsets {first} to {end}: {self.to} is none of them"
            )
        return self.to

    async def _take(self, entries: JournalReader, inputs: InputReader, topic: StateTopicReader) -> Head:
        """The head in Redis, ours, with every commit in it."""
        recovery = Recovery(
            settings=self.settings,
            partition=self.partition,
            topic_ids=self.topic_ids,
            facts=self.facts,
            control=self.control,
            store=self.store,
            inputs=inputs,
            journal=entries,
            topic=topic,
        )
        stored, in_topic = await recovery.run(self.store.head())
        assert stored is not None  # `_ahead` saw to that
        if not self.settings.worker.transactional:
            in_topic = None
        head = msgspec.structs.replace(stored, owner=secrets.token_hex(8), in_topic=in_topic)
        await asyncio.to_thread(self.store.acquire, head, stored)
        return head

    def _replay(self, entries: JournalReader, inputs: InputReader) -> JournalReplay:
        return JournalReplay(
            settings=self.settings,
            partition=self.partition,
            topic_ids=self.topic_ids,
            control=self.control,
            inputs=inputs,
            journal=entries,
            store=self.store,
        )

    async def _commit(self, publisher: Publisher, head: Head, moved: Head) -> None:
        """A commit that reads nothing and begins, and ends, at the new positions."""
        plan = plan_for(
            self.settings,
            head,
            purchases_to=moved.purchases.offset,
            interactions_to=moved.interactions.offset,
            handover_to=moved.handover.offset,
            wall_us=now_us(),
            rules=head.rules,
        )
        plan = msgspec.structs.replace(plan, sweep_limit=0, pages=0)
        executor = Executor(self.control.settings, self.control.rule_versions, self.partition)
        result = executor.execute(plan, events.none(), events.none(), moved, self.store, head)
        write, state = state_of(result.write, plan, None, None)
        names, entry = self.settings.kafka.topics, journal.entry(plan, moved, result, reset=True)
        await publisher.publish({names.state: state, names.journal: Messages.of([journal.message(entry)])})
        self.store.commit(write)
