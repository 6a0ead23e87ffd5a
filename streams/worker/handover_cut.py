"""Cutting `segments.handover` below all that a shard may still read."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

import msgspec
from kafka import TopicPartition
from kafka.errors import KafkaError

from segflow.engine.columns.events import HANDOVER
from segflow.schemas.settings import Settings
from segflow.state.head import Head
from segflow.streams.journal.entry import Entry
from segflow.streams.journal.entry_codec import decode
from segflow.streams.kafka import topics
from segflow.streams.kafka.first_records import FirstRecords
from segflow.streams.runtime.error_reason import reason
from segflow.streams.runtime.shard_names import shard_names

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""Between two looks at which shards there are: a worker that was given others cuts theirs soon."""
EVERY_S: Final = 3600.0
"""Between two cuts of the same shards. Kafka keeps the journal in files of a day or more."""


def below(first: Entry | None, head: Head) -> int:
    """The offset below which a shard has no use for what was handed to it; 0: for all of it.

    No position of a shard lies before that of the journal's first entry: whoever has an older state copies
    `segments.state`, which is newer. So the cut follows the journal's retention, and an audit reaches as far in both.

    Args:
        first: the oldest entry that the journal keeps; None: it keeps none any more. Where that is the first commit,
            commits may be replayed.
        head: of the shard, as stored: a position that was moved back by hand is respected.
    """
    if first is None:
        return head.handover.offset
    before = first.topic_ids[HANDOVER:]  # unknown where it follows another: the head's bound holds all the same
    if first.plan.sequence <= 1 or (first.topic_ids and before != (head.handover.topic_id,)):
        return 0
    return min(first.handover_from, head.handover.offset)


class HandoverCut:
    """Cuts the partitions of a worker's shards now and then.

    Args:
        settings: where the topics are.
        heads: of the shards that are acquired, as stored.
    """

    def __init__(self, settings: Settings, heads: Callable[[], Mapping[int, Head]]) -> None:
        self._settings = settings
        self._heads = heads
        self._shards: set[int] = set()  # cut last
        self._cut_s = 0.0  # when, of monotonic
        self._told = ""

    async def keep_cutting(self) -> None:
        """Cut, and again after a while, for ever; what hinders it is in the log, and nothing waits for it."""
        while True:
            await asyncio.sleep(LOOK_S)
            heads = dict(self._heads())
            if not heads or (set(heads) == self._shards and monotonic() - self._cut_s < EVERY_S):
                continue
            try:
                await asyncio.to_thread(self._cut, heads)
            except (KafkaError, OSError) as error:
                self._tell(error)
            self._shards, self._cut_s = set(heads), monotonic()

    def _cut(self, heads: Mapping[int, Head]) -> None:
        names = self._settings.kafka.topics
        journals = {number: TopicPartition(names.journal, number) for number in heads}
        handed = {number: TopicPartition(names.handover, number) for number in heads}
        with FirstRecords(self._settings.kafka) as kafka:
            bounds = kafka.bounds([*journals.values(), *handed.values()])
            found = kafka.oldest({place: bounds[place] for place in journals.values()})
        offsets = {}
        for number, place in journals.items():
            if place not in found or (found[place] is None and not bounds[place].first):
                continue  # not looked at in time, or a journal without a commit
            try:
                entry = None if found[place] is None else decode(found[place].value or b"")
            except msgspec.MsgspecError:
                continue  # none of segflow's
            offset = below(entry, heads[number])
            if offset > bounds[handed[number]].first:
                offsets[handed[number]] = offset
        if not offsets:
            return
        with topics.admin(self._settings.kafka) as client:
            client.delete_records(offsets)
        log.info("%s is cut below what %s have read", names.handover, shard_names([each.partition for each in offsets]))

    def _tell(self, error: Exception) -> None:
        text = reason(error)
        if text != self._told:
            log.warning("%s is not cut, and grows: %s", self._settings.kafka.topics.handover, text)
        self._told = text
