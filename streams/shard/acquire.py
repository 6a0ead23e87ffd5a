"""Acquiring a shard, in six steps; from the fifth on, whoever had it before fails at its next commit."""

import asyncio
import logging
import secrets

import msgspec

from segflow.engine.commit import label_counts
from segflow.segments.instant import UNKNOWN
from segflow.state.head import Head
from segflow.streams.journal.input_reader import InputReader
from segflow.streams.journal.journal import JournalError, JournalReader
from segflow.streams.journal.replay import JournalReplay
from segflow.streams.publish.publisher import PUBLISH_S, Publisher
from segflow.streams.runtime.failpoints import failpoint
from segflow.streams.shard.input_positions import starting_head
from segflow.streams.shard.shard_state import ShardState

log = logging.getLogger(__name__)


async def acquire(state: ShardState) -> None:
    """Make the shard this worker's.

    1. InitTransactions: an earlier owner's open transaction is ended, and it can commit no more.
    2. Read the stored head.
    3. Read the journal beyond it: commits that were published but did not reach the store.
    4. Replay them from the input, unpublished, checking that they give what they gave.
    5. Write the head with an own token, if it is still the one that was read: from here on, whoever held the
       shard before fails at its next commit.
    6. Open the inputs where the state stands.

    Raises:
        InputLostError: an input does not hold what comes next.
        JournalError, msgspec.MsgspecError: journal, input and state do not belong together.
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
    async with JournalReader(settings, partition) as journal, InputReader(settings, partition) as inputs:
        await state.control.reaches(await inputs.control_end())  # an earlier owner may have adopted what is newest
        if stored is not None and not state.control.rule_versions.has(stored.rules):
            raise JournalError(
                f"its rules are version {stored.rules}, which the control topic lacks: it was cut or recreated. "
                "Restore it, or begin a new installation"
            )
        stored = await _replay(state, stored, journal, inputs)  # 3, 4
        state.publisher.journal_end = await journal.end()
        failpoint("acquire:replayed")
        head = stored or Head(rules=state.control.rule_versions.first.version)
        leaders = await inputs.leader_epochs()  # before it is compared: records of any later leader are compared again
        diverged = await inputs.diverged_at(head.positions)
        head = await starting_head(settings, partition, head, state.topic_ids, *await inputs.bounds(), diverged)
    state.head = msgspec.structs.replace(head, owner=secrets.token_hex(8))
    await asyncio.to_thread(store.acquire, state.head, stored)  # 5
    failpoint("acquire:owned")
    state.labels = await _labels(state)
    offsets = tuple(position.offset for position in state.head.positions)
    for buffer, position, leader in zip(state.inputs.buffers, state.head.positions, leaders, strict=True):
        buffer.begin(position.offset, position.leader_epoch, leader)
    await state.feed.open(partition, offsets, state.inputs)  # 6
    failpoint("acquire:opened")
    state.metrics.acquisitions.inc()
    if state.trouble:
        log.warning("shard %d is acquired again", partition)
    state.acquired, state.trouble, state.concluded_us = True, "", UNKNOWN
    log.info("acquired shard %d at commit %d", partition, state.head.sequence)


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


async def _replay(state: ShardState, stored: Head | None, journal: JournalReader, inputs: InputReader) -> Head | None:
    """Replay the journal's commits beyond the stored head into the store; the head stored then."""
    replay = JournalReplay(
        settings=state.settings,
        partition=state.partition,
        topic_ids=state.topic_ids,
        control=state.control,
        inputs=inputs,
        journal=journal,
        store=state.store,
    )
    count = 0
    async for _ in replay.run(stored):
        state.metrics.replayed.inc()
        failpoint("acquire:one-replayed")
        count += 1
    if count:
        log.info("shard %d: %d commits of the journal replayed", state.partition, count)
    return replay.head
