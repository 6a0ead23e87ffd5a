"""Bringing a shard's state back from a snapshot into Redis; nothing is published.

What a restored shard lacks, the worker that takes it replays from the journal and the inputs. So a restore is done only
where all of that is there: the shard then has the state of its last commit, with everybody erased who was erased since.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from segflow.engine.commit.plan import positions_after
from segflow.operations.backup.manifest import Manifest, ShardFile
from segflow.operations.backup.place import Place
from segflow.operations.backup.state_file import StateFile
from segflow.schemas.settings import Settings
from segflow.state.head import Head, InTopic
from segflow.state.store import Store, TornStateError
from segflow.streams.control.topic import Control
from segflow.streams.journal.input_reader import InputReader
from segflow.streams.journal.journal import JournalError, JournalReader
from segflow.streams.journal.replay import JournalReplay, positioned
from segflow.streams.publish.publisher import Publisher
from segflow.streams.runtime.errors import UsageError
from segflow.streams.runtime.failpoints import failpoint
from segflow.streams.runtime.wall_clock import now_us
from segflow.streams.shard.recovery import lacks_rules
from segflow.streams.state_topic.copier import Copier
from segflow.streams.state_topic.reader import StateTopicReader, TopicFacts
from segflow.streams.state_topic.whole import is_whole
from segflow.streams.worker.installation import fingerprint

OF_NO_TOPIC = "snapshot"
"""In the place of a topic's id, while a head says that a shard is being filled from a file: no topic goes on there."""
MARKER = 1
"""Offsets that a transaction takes behind its record."""

OnProgress = Callable[[int, str, int], None]
"""Called with (rows done, a note, of how many)."""


def check_installation(manifest: Manifest, control: Control, settings: Settings, partitions: int) -> None:
    """Check that a snapshot is of this installation.

    Raises:
        UsageError: it is not.
    """
    if manifest.installation != fingerprint(control.secret):
        raise UsageError(
            f"the snapshot is of another installation: {settings.kafka.topics.control} has another secret. Take the "
            "settings of that installation. If that topic was lost, restore it, or begin a new installation (another "
            "redis.prefix, kafka.group and output topics)"
        )
    theirs, ours = (manifest.partitions, manifest.partitioner), (partitions, settings.kafka.partitioner)
    if theirs != ours:
        raise UsageError(
            f"the snapshot is of {theirs[0]} partitions and the partitioner {theirs[1]}, the settings and inputs have "
            f"{ours[0]} and {ours[1]}: customers would stand in the wrong shards"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """The result of restoring a shard."""

    shard: int
    customers: int
    commit: int
    missing: int  # commits since, which the next worker replays


@dataclass(kw_only=True, slots=True)
class Restore:
    """One shard to be restored.

    control: read. part: of the snapshot, checked. parked: a worker has put the shard aside.
    """

    settings: Settings
    control: Control
    topic_ids: tuple[str, ...]
    facts: TopicFacts
    place: Place
    part: ShardFile
    store: Store
    parked: bool
    on_progress: OnProgress = lambda *_: None

    async def unneeded(self) -> str | None:
        """The reason why nothing of the shard is to be restored; None: it is.

        Raises:
            UsageError: commits since the snapshot cannot be replayed.
            aiokafka.errors.KafkaError, redis.RedisError: a server does not answer or refuses.
        """
        ours = self.part.head.sequence
        if not ours:
            return "the snapshot has nothing of it"
        async with (
            StateTopicReader(self.settings, self.part.shard) as topic,
            JournalReader(self.settings, self.part.shard) as journal,
        ):
            last, published = await topic.last_head(await topic.end()), await journal.last()
            if last is not None and last.sequence >= ours and is_whole(last, self.facts, published):
                return (
                    f"{topic.topic} has all of it, up to commit {last.sequence:,}, and the snapshot is of commit "
                    f"{ours:,}. What Redis lacks a worker copies from there, or `segflow rebuild`"
                )
        stored = self._stored()
        if stored is not None and stored.sequence >= ours and not self.parked and not self._is_torn(stored):
            return f"Redis has it, of commit {stored.sequence:,}, and the snapshot is of commit {ours:,}"
        await self._missing()
        return None

    async def run(self) -> Restored:
        """Restore it. `unneeded` has said that it is to be.

        1. InitTransactions: a worker that has the shard can commit no more. Look once more what is missing.
        2. Mark the head and clear the rest away. From here on nobody takes the state for whole: a worker parks the
           shard, or makes all of it again where the journal and the inputs have everything.
        3. Fill it, slice by slice, each only while the mark is still there; the last one brings the snapshot's head.
        4. Say in the head that `segments.state` has none of it: the next owner fills the topic, too.

        Killed in between it can be typed again.

        Raises:
            UsageError: commits since the snapshot cannot be replayed any more. Nothing was changed.
            ShardLostError: a worker has acquired the shard meanwhile.
            StateTopicError: the file has rows that are none.
            aiokafka.errors.KafkaError, redis.RedisError: type it again.
        """
        shard, part = self.part.shard, self.part
        publisher = Publisher(self.settings, shard)
        await publisher.start()  # 1
        failpoint("restore:fenced")
        try:
            missing = await self._missing()
            stored = self._stored()
            if stored is None:
                self.store.drop_head()  # where there is one that cannot be read
            copier = Copier(
                topic=StateFile(self.place, part),
                last=msgspec.structs.replace(part.head, in_topic=InTopic(topic_id=OF_NO_TOPIC)),
                end=part.rows,
                store=self.store,
                versions=self.control.rule_versions,
                on_progress=lambda done, total, _: self.on_progress(done, f"shard {shard}", total),
            )
            head = await copier.anew(stored, now_us())  # 2, 3
            failpoint("restore:filled")
            then = msgspec.structs.replace(head, owner=secrets.token_hex(8), in_topic=None)
            self.store.acquire(then, head)  # 4
        finally:
            await publisher.close()
            self.store.close()
        return Restored(shard=shard, customers=head.population - head.holes, commit=head.sequence, missing=missing)

    def _stored(self) -> Head | None:
        """The head in Redis; None also for one that cannot be read."""
        try:
            return self.store.head()
        except TornStateError:
            return None

    def _is_torn(self, stored: Head) -> bool:
        return stored.partial or self.store.torn(stored) is not None

    async def _missing(self) -> int:
        """The number of commits since the snapshot, all of which can be replayed.

        Raises:
            UsageError: they cannot.
        """
        shard, head = self.part.shard, self.part.head
        if not self.control.rule_versions.has(head.rules):
            raise UsageError(f"shard {shard} cannot be restored: {lacks_rules(head)}")
        async with JournalReader(self.settings, shard) as journal, InputReader(self.settings, shard) as inputs:
            end = await journal.end()
            if await journal.last() is None and end:
                if 0 <= end - self.part.journal_next <= MARKER * self.settings.worker.transactional:
                    return 0  # cut to nothing, while the shard rested
                raise UsageError(self._refusal(f"{journal.topic} was cut to nothing"))
            replay = JournalReplay(
                settings=self.settings,
                partition=shard,
                topic_ids=self.topic_ids,
                control=self.control,
                inputs=inputs,
                journal=journal,
                store=self.store,
            )
            first, count = (await inputs.bounds())[0], 0
            try:
                async for _, entry in journal.after(head, end):
                    replay.check(entry, first, head)
                    head = positioned(head, entry)
                    after = positions_after(head, entry.plan)
                    head = msgspec.structs.replace(head, sequence=entry.plan.sequence, **after)
                    count += 1
            except JournalError as error:
                raise UsageError(self._refusal(str(error))) from error
        return count

    def _refusal(self, why: str) -> str:
        return (
            f"shard {self.part.shard} cannot be restored: the snapshot is of commit {self.part.head.sequence:,}, and "
            f"the commits since are not to be had ({why}). Customers who were erased since would come back, and "
            "changes would be told twice. Restore a later snapshot, or begin a new installation (another redis.prefix, "
            "kafka.group and output topics)"
        )
