"""Recovery of a shard's state in its store, before the shard is worked: by copying, else by replaying."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from segflow.schemas.settings import Settings
from segflow.state.head import Head, InTopic
from segflow.state.store import Store
from segflow.streams.control.topic import Control
from segflow.streams.journal.entry import Entry
from segflow.streams.journal.input_reader import InputReader
from segflow.streams.journal.journal import JournalError, JournalReader
from segflow.streams.journal.replay import JournalReplay, check_whole
from segflow.streams.runtime.error_reason import reason
from segflow.streams.runtime.failpoints import failpoint
from segflow.streams.runtime.wall_clock import now_us
from segflow.streams.state_topic.copier import Copier, OnProgress
from segflow.streams.state_topic.reader import StateTopicReader, TopicFacts
from segflow.streams.state_topic.whole import is_whole

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Recovery:
    """Brings one shard's store to the last commit that was published, and says what `segments.state` has of it.

    No transaction of the shard may be open. `inputs`, `journal`, `topic`: open.
    """

    settings: Settings
    partition: int
    topic_ids: tuple[str, ...]
    facts: TopicFacts
    control: Control
    store: Store
    inputs: InputReader
    journal: JournalReader
    topic: StateTopicReader
    on_copied: OnProgress = lambda *_: None
    on_replayed: Callable[[], None] = lambda: None

    async def run(self, stored: Head | None) -> tuple[Head | None, InTopic | None]:
        """Recover.

        1. Read the last head of the topic, and the journal's last entry. What the topic has is complete, and the
           journal has its commit; or it is left alone until 4.
        2. Complete, and the store has nothing, an older commit, or a copying that was ended: copy what is beyond. What
           is older than tombstones are kept, or from before the topic was filled, is cleared away and filled anew.
        3. Read the journal from the state's commit on. An older version of segflow, which does not write the topic, may
           have published commits beyond it. Cut to nothing it has none, and the store's state is taken as it is.
        4. Replay those from the inputs; so, too, all that the store lacks where the topic is not complete.

        Args:
            stored: the store's head.

        Returns:
            The head that the store has now, None: nothing. And what the topic has of this state: None where it has to
            be filled from the beginning.

        Raises:
            JournalError: topics, inputs and state do not belong together, or none of them has the state.
            TornStateError: part of the store's content is missing.
            ShardLostError: somebody else wrote to the store.
        """
        end = await self.topic.end()
        last, published = await self.topic.last_head(end), await self.journal.last()  # 1
        complete = last is not None and is_whole(last, self.facts, published)
        if stored is not None or not complete:  # what is left without a head is cleared away by a copying
            await check_whole(self.store, stored)
        if complete and last is not None and (stored is None or stored.partial or stored.sequence < last.sequence):
            stored = await self._copy(stored, last, end, published)  # 2
        is_copy = complete and stored is not None and last is not None and self._is_copy(stored, last)
        before = stored
        if published is not None or not await self.journal.was_cut():  # 3
            stored = await self._replay(stored)  # 4
        elif stored is None or stored.partial:
            raise JournalError(nowhere(self.settings))
        if stored is None:
            return None, InTopic(topic_id=self.facts.topic_id, since=end, offset=end, complete=True)
        if stored != before:
            known = last.in_topic if last is not None and _are_of_one_commit(stored, last) else None
        else:
            known = stored.in_topic if is_copy else self._kept(stored, last)
        return stored, None if known is None else msgspec.structs.replace(known, offset=end)

    def _kept(self, stored: Head, last: Head | None) -> InTopic | None:
        """The reach of a topic that is not complete into the state; None: it is to be filled from the beginning."""
        known = stored.in_topic
        if known is None or last is None or last.in_topic is None or not _are_of_one_commit(stored, last):
            return None
        return known if (known.topic_id, known.since) == (self.facts.topic_id, last.in_topic.since) else None

    async def _copy(self, stored: Head | None, last: Head, end: int, published: Entry | None) -> Head:
        copier = Copier(
            topic=self.topic,
            last=last,
            end=end,
            store=self.store,
            versions=self.control.rule_versions,
            on_progress=self.on_copied,
        )
        if stored is not None and await self._can_go_on(stored, last, published):
            copied = await copier.beyond(stored)
        else:
            self._say_anew(stored)
            copied = await copier.anew(stored, now_us())
        log.info(
            "shard %d: its state is copied from %s, to commit %d",
            self.partition,
            self.settings.kafka.topics.state,
            copied.sequence,
        )
        return copied

    def _say_anew(self, stored: Head | None) -> None:
        log.warning(
            "shard %d: its state in Redis is %s: it is filled from %s",
            self.partition,
            "gone" if stored is None else "too old, or not whole",
            self.settings.kafka.topics.state,
        )

    async def _can_go_on(self, stored: Head, last: Head, published: Entry | None) -> bool:
        """Whether all that the store lacks is behind the offset that its head says."""
        known, now = stored.in_topic, last.in_topic
        if known is None or now is None or known.topic_id != now.topic_id or known.since != now.since:
            return False
        if known.offset < await self.topic.first():
            return False
        if stored.sequence and published is not None and not await self._is_of(stored):
            return False
        only_one = stored.sequence + 1 == last.sequence and not stored.partial
        return now_us() - (now.at_us if only_one else known.at_us) < self.facts.fresh_us

    async def _is_of(self, stored: Head) -> bool:
        """Whether the journal has the commit of this head, so that what it has beyond goes on from there.

        The state of another may be a replica's, from before journal and topic lost records and took others.
        """
        try:
            async for _ in self.journal.after(stored):
                break
        except JournalError as error:
            log.warning("shard %d: %s", self.partition, reason(error))
            return False
        return True

    def _is_copy(self, stored: Head, last: Head) -> bool:
        """Whether the topic has all of this state."""
        known = stored.in_topic
        same_topic = known is not None and known.topic_id == self.facts.topic_id
        return same_topic and stored.is_in_topic and _are_of_one_commit(stored, last)

    async def _replay(self, stored: Head | None) -> Head | None:
        """Replay the journal's commits beyond the stored head into the store; the head stored then."""
        if stored is not None and not self.control.rule_versions.has(stored.rules):
            raise JournalError(lacks_rules(stored))
        replay = JournalReplay(
            settings=self.settings,
            partition=self.partition,
            topic_ids=self.topic_ids,
            control=self.control,
            inputs=self.inputs,
            journal=self.journal,
            store=self.store,
        )
        count = 0
        async for _ in replay.run(stored):
            self.on_replayed()
            failpoint("acquire:one-replayed")
            count += 1
        if count:
            log.info("shard %d: %d commits of the journal replayed", self.partition, count)
        return replay.head


def _are_of_one_commit(head: Head, other: Head) -> bool:
    return (head.sequence, head.committed_by) == (other.sequence, other.committed_by)


def lacks_rules(head: Head) -> str:
    """The refusal of a state whose rules are gone."""
    return (
        f"its rules are version {head.rules}, which the control topic lacks: it was cut or recreated. Restore it, or "
        "begin a new installation"
    )


def nowhere(settings: Settings) -> str:
    """The refusal of a shard whose commits nobody has any more; it must not begin as a new one."""
    topics = settings.kafka.topics
    return (
        f"its state is nowhere: Redis and {topics.state} do not have it, and {topics.journal} was cut to nothing. "
        f"Restore a snapshot (`segflow restore`), a backup of Redis or of {topics.state}, or begin a new installation "
        "(another redis.prefix, kafka.group and output topics)"
    )
