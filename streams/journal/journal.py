"""The journal: one record a commit, from which a shard's state can be made again."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from segflow.engine.columns.messages import Message
from segflow.engine.commit.engine_version import ENGINE
from segflow.engine.commit.execute import CommitResult
from segflow.engine.commit.plan import Plan
from segflow.schemas.settings import Settings
from segflow.state.head import Head
from segflow.streams.journal.entry import Entry
from segflow.streams.journal.entry_codec import decode, encode
from segflow.streams.kafka.partition_reader import GROWTH, TAIL_STEP
from segflow.streams.kafka.shard_topic_reader import ShardTopicReader
from segflow.streams.runtime.version import installed_version

log = logging.getLogger(__name__)


class JournalError(Exception):
    """The journal and the stored state do not belong together; going on could lose or repeat changes."""


def entry(plan: Plan, head: Head, result: CommitResult, *, reset: bool = False, short: bool = False) -> Entry:
    """The entry of a commit that began at the positions of `head` and gave `result`.

    short: what the owner's first entry says is left out of those that follow it. Versions of segflow that cannot read
    that do not start where the journal has an end.
    """
    follows = short and head.sequence > 0 and head.committed_by == plan.owner
    return Entry(
        plan=plan,
        topic_ids=() if follows else tuple(each.topic_id for each in head.positions),
        purchases_from=head.purchases.offset,
        interactions_from=head.interactions.offset,
        handover_from=head.handover.offset,
        reset=reset,
        changes=len(result.changes),
        dead_letters=len(result.dead),
        alerts=len(result.alerts),
        handed_over=len(result.handover),
        adopts=result.adopts,
        digest=result.digest,
        engine=ENGINE,
        segflow="" if follows else installed_version(),
    )


def message(entry: Entry) -> Message:
    """The entry as the journal keeps it."""
    return Message(key=str(entry.plan.sequence).encode(), value=encode(entry), headers=[])


def read(record: Any, place: str) -> Entry | None:
    """The entry of a record of the journal; None of one that another program wrote.

    Args:
        record: as Kafka gives it.
        place: topic and partition, for messages.

    Raises:
        JournalError: it has an entry's key, and is none: passing over it could lose a commit.
    """
    try:
        return decode(record.value or b"")
    except msgspec.MsgspecError as error:
        if (record.key or b"").isdigit():
            raise JournalError(
                f"{place}, offset {record.offset}, has the key of an entry and cannot be read ({error}): a newer "
                "version of segflow wrote it, or another program did. Start that version; else restore the topic, or "
                "begin a new installation"
            ) from error
        log.warning(
            "%s, offset %d, is no entry of segflow (%s), and is passed over: commits are counted without it. Another "
            "program writes to the topic; take its right to do so",
            place,
            record.offset,
            error,
        )
        return None


class JournalReader(ShardTopicReader):
    """One shard's journal.

    Use it when no transaction of the shard is open (after InitTransactions), or take `settled_end` for its end.

    since: an offset; what stands before it is taken for cut.
    """

    def __init__(self, settings: Settings, partition: int, since: int = 0) -> None:
        super().__init__(settings.kafka, settings.kafka.topics.journal, partition, since)

    async def settled_end(self, transaction_timeout_s: float) -> int:
        """See PartitionReader."""
        return await self._reader.settled_end(transaction_timeout_s)

    async def last(self) -> Entry | None:
        """The last entry; None where there is none any more.

        Raises:
            JournalError: a record that has an entry's key cannot be read.
        """
        return await self._reader.last(await self._reader.end(), lambda record: read(record, self.where))

    async def was_cut(self) -> bool:
        """Whether retention has taken entries."""
        return await self.first() > 0

    async def first_entry(self, end: int) -> Entry | None:
        """The oldest entry that is kept, before the offset `end`; None where there is none.

        Raises:
            JournalError: a record that has an entry's key cannot be read.
        """
        return await self._first_entry(await self.first(), end)

    async def after(self, head: Head, end: int | None = None) -> AsyncIterator[tuple[int, Entry]]:
        """The entries beyond the last commit of `head` and before the offset `end`, oldest first, each with its offset.

        Finding where that commit stands costs what is missing, not what there is; what is held at any time is a slice.
        An entry that stands there twice (at_least_once repeats a record whose acknowledgement was lost) counts once.

        Raises:
            JournalError: the entries do not go on from that commit without a gap, end before it, or have another one in
                its place.
        """
        sequence = head.sequence
        stop = await self._reader.end() if end is None else end
        start = await self._start(sequence, stop)
        last: Entry | None = None
        reached = 0
        async for records in self._reader.slices(start, stop):
            for record in records:
                entry = read(record, self.where)
                if entry is None or entry == last:
                    continue
                last, before = entry, reached
                reached = entry.plan.sequence
                if reached == sequence and head.committed_by not in ("", entry.plan.owner):
                    raise self._replaced(sequence)
                if before < reached <= sequence:
                    continue
                if 0 < before < sequence or reached != max(before, sequence) + 1:
                    raise self._broken(before or sequence)
                yield record.offset, entry
        if reached < sequence:
            raise self._short(reached, sequence)

    async def _start(self, sequence: int, stop: int) -> int:
        """An offset at or before the entry of commit `sequence`, or the journal's first; found back from `stop`."""
        first, step = await self._reader.first(), TAIL_STEP
        while (start := stop - step) > first:
            entry = await self._first_entry(start, stop)
            if entry is not None and entry.plan.sequence <= sequence:
                return start
            step *= GROWTH
        return first

    async def _first_entry(self, start: int, stop: int) -> Entry | None:
        while (record := await self._reader.record_from(start, stop)) is not None:
            entry = read(record, self.where)
            if entry is not None:
                return entry
            start = record.offset + 1
        return None

    def _broken(self, sequence: int) -> JournalError:
        return JournalError(
            f"{self.where}, has no unbroken line of commits after {sequence}: it was cut, lost records, or belongs to "
            "another installation"
        )

    def _short(self, reached: int, sequence: int) -> JournalError:
        found = f"{self.where}, ends at commit {reached}, but the state is of commit {sequence}: "
        if not reached:
            return JournalError(f"{found}it was recreated, or belongs to another installation")
        return JournalError(
            f"{found}it lost its last records, or belongs to another installation. {self._way_back(reached + 1)}"
        )

    def _replaced(self, sequence: int) -> JournalError:
        return JournalError(
            f"{self.where}, has another commit {sequence} than the one that the state is of: it lost its last records "
            f"and took others in their place, or belongs to another installation. {self._way_back(None)}"
        )

    def _way_back(self, first: int | None) -> str:
        """The command by which the state goes back to what the journal has; `first`: the first commit it lacks."""
        lost = "the commits it lost" if first is None else f"commit {first} and what followed"
        return (
            f"If it lost them, type `segflow rebuild --shard {self._partition}`: the state goes back to what the "
            f"journal has. What {lost} read is then read again; changes of theirs that are still in Kafka come a "
            "second time, with the same change_id"
        )
