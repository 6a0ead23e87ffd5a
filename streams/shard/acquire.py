"""Acquiring a shard, in five steps; from the fourth on, whoever had it before fails at its next commit."""

import asyncio
import logging
import secrets
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import msgspec

from segflow.engine.commit import label_counts
from segflow.segments.instant import UNKNOWN
from segflow.state.head import Head, InTopic
from segflow.streams.journal.input_reader import InputReader
from segflow.streams.journal.journal import JournalError, JournalReader
from segflow.streams.publish.publisher import PUBLISH_S, Publisher
from segflow.streams.runtime.failpoints import failpoint
from segflow.streams.shard.input_positions import starting_head
from segflow.streams.shard.recovery import Recovery, lacks_rules
from segflow.streams.shard.shard_state import ShardState
from segflow.streams.state_topic.reader import StateTopicReader

log = logging.getLogger(__name__)

SAY_S: Final = 5.0
"""Between two lines in the log about a state that is copied."""


async def acquire(state: ShardState) -> None:
    """Make the shard this worker's.

    1. InitTransactions: an earlier owner's open transaction is ended, and it can commit no more.
    2. Read the stored head.
    3. Recover (`Recovery.run`): copy what the store lacks from `segments.state` to its end, the topic's head last.
       Where the topic is not complete, or an older version of segflow published commits since, replay the journal's
       commits from the inputs, unpublished, checking that they give what they gave.
    4. Write the head with an own token, and with what the topic has of this state, if it is still the one that was
       read: from here on, whoever held the shard before fails at its next commit.
    5. Open the inputs where the state stands.

    Killed before 3, nothing has changed. In 3, the head in the store is the one before (up to the first slice, and
    between commits that were replayed), or partial with the offset up to which was copied: the next owner goes on from
    there, and a slice that is copied twice is the same. After 3, the store is at the last commit that was published;
    the head is still an earlier owner's, and taking the shard again finds nothing to copy. After 4, it is ours.

    Raises:
        InputLostError: an input does not hold what comes next.
        JournalError, msgspec.MsgspecError: journal, topics, input and state do not belong together.
        TornStateError: part of the store's content is missing.
        ShardLostError: somebody else wrote to the store.
        KafkaError, redis.RedisError, OSError: a server does not answer or refuses.
    """
    settings, partition, store = state.settings, state.partition, state.store
    state.begin()
    state.publisher = Publisher(settings, partition, state.packing)
    await asyncio.wait_for(state.publisher.start(), PUBLISH_S)  # 1
    failpoint("acquire:fenced")
    stored = await asyncio.to_thread(store.head)  # 2
    failpoint("acquire:head-read")
    async with (
        JournalReader(settings, partition) as journal,
        InputReader(settings, partition) as inputs,
        StateTopicReader(settings, partition) as topic,
    ):
        await state.control.reaches(await inputs.control_end())  # an earlier owner may have adopted what is newest
        recovery = Recovery(
            settings=settings,
            partition=partition,
            topic_ids=state.topic_ids,
            facts=state.state_topic,
            control=state.control,
            store=store,
            inputs=inputs,
            journal=journal,
            topic=topic,
            on_copied=CopyProgress(state),
            on_replayed=state.metrics.replayed.inc,
        )
        try:
            stored, in_topic = await recovery.run(stored)  # 3
        finally:
            state.copying = ""
        state.publisher.journal_end = await journal.end()
        failpoint("acquire:recovered")
        head = stored or Head(rules=state.control.rule_versions.first.version)
        if not state.control.rule_versions.has(head.rules):
            raise JournalError(lacks_rules(head))
        leaders = await inputs.leader_epochs()  # before it is compared: records of any later leader are compared again
        diverged = await inputs.diverged_at(head.positions)
        head = await starting_head(settings, partition, head, state.topic_ids, *await inputs.bounds(), diverged)
        if not state.publisher.transactional:  # an unconfirmed record might take the place of a good one
            in_topic = None
        elif in_topic is None:
            in_topic = await _unfilled(state, head, topic)
    head = msgspec.structs.replace(head, in_topic=in_topic)
    state.head = msgspec.structs.replace(head, owner=secrets.token_hex(8))
    await asyncio.to_thread(store.acquire, state.head, stored)  # 4
    failpoint("acquire:owned")
    state.labels = await _labels(state)
    offsets = tuple(position.offset for position in state.head.positions)
    for buffer, position, leader in zip(state.inputs.buffers, state.head.positions, leaders, strict=True):
        buffer.begin(position.offset, position.leader_epoch, leader)
    await state.feed.open(partition, offsets, state.inputs)  # 5
    failpoint("acquire:opened")
    state.metrics.acquisitions.inc()
    if state.trouble:
        log.warning("shard %d is acquired again", partition)
    state.acquired, state.trouble, state.concluded_us = True, "", UNKNOWN
    log.info("acquired shard %d at commit %d", partition, state.head.sequence)


async def _unfilled(state: ShardState, head: Head, topic: StateTopicReader) -> InTopic:
    """The reach of the topic into a state that is to be written there from the beginning, beside its commits."""
    log.warning(
        "shard %d: %s does not have its %d customers yet. They are written there beside its commits; until then Redis "
        "is made again from the journal and the inputs alone",
        state.partition,
        topic.where,
        head.population - head.holes,
    )
    end = await topic.end()
    return InTopic(topic_id=state.state_topic.topic_id, since=end, offset=end, until=head.population)


@dataclass(slots=True)
class CopyProgress:
    """Says how far a shard's state is copied: to its pages at once, to the log now and then."""

    state: ShardState
    _began_s: float = field(default_factory=monotonic)
    _said_s: float = field(default_factory=monotonic)
    _records: int = 0

    def __call__(self, done: int, total: int, records: int) -> None:
        """See Copier."""
        state = self.state
        self._records += records
        state.metrics.copied.inc(records)
        state.copying = (
            f"its state is copied from {state.settings.kafka.topics.state}: {100 * done // max(1, total)} %, "
            f"{self._records:,} records so far"
        )
        now_s = monotonic()
        if now_s - self._said_s >= SAY_S or done >= total:
            self._said_s = now_s
            log.info("shard %d: %s, in %.1f s", state.partition, state.copying, now_s - self._began_s)


async def _labels(state: ShardState) -> dict[tuple[str, str], int] | None:
    """Customers by dimension and label; None where the state does not have them."""
    head, versions = state.head, state.control.rule_versions
    counts = await asyncio.to_thread(state.store.counts)
    counted = (head.counted or not head.population) and versions.has(head.rules)
    if counted and label_counts.are_of(counts, head, versions.rules(head.rules)):
        return counts
    log.warning(
        "shard %d: how many customers have each label is not known, and segflow_customers is absent: the state was "
        "begun by an older version, or lost a key. `segflow rebuild --shard %d` counts them",
        state.partition,
        state.partition,
    )
    return None
