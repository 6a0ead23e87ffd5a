"""Copying a shard's state from `segments.state` into a store."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from segflow.engine.commit import label_counts
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.state import record
from segflow.state.head import PAGE_CUSTOMERS, Head, InTopic
from segflow.state.layout import NO_TIMER, LayoutError
from segflow.state.redirect import is_redirect
from segflow.state.store import HOLE, LedgerEntry, Store, Write
from segflow.state.topic_layout import StatePart
from segflow.streams.runtime.failpoints import failpoint
from segflow.streams.state_topic.reader import StateSource, StateTopicError

PADDED_MAX: Final = 64 * PAGE_CUSTOMERS
"""Places of the directory made at once before somebody stands there: some hundred kilobytes in one write."""

OnProgress = Callable[[int, int, int], None]
"""Called with offsets done, of how many, and the records in them."""


@dataclass(kw_only=True)
class Copier:
    """Copies what the topic has beyond a store's state into it, always to the topic's end.

    While more than one slice is copied, the head in the store is `partial` and says in `in_topic.offset` how far: a
    copying that was ended at any point is gone on with from there, as every slice can be written twice. The last slice
    brings the topic's head.

    topic: open; or the file of a snapshot. last: the last head in it. end: the offset behind it. store: of the shard.
    versions: of the rules, to count customers by label.
    """

    topic: StateSource
    last: Head
    end: int
    store: Store
    versions: RuleVersions
    on_progress: OnProgress = lambda *_: None

    async def anew(self, stored: Head | None, at_us: int) -> Head:
        """Fill the store, whatever it holds, with all that the topic has; the head then stored.

        Args:
            stored: the store's head.
            at_us: the wall time now.

        Raises:
            ShardLostError: somebody else wrote to the store.
            StateTopicError: a record cannot be read.
        """
        assert self.last.in_topic is not None
        start = msgspec.structs.replace(self.last.in_topic, offset=self.last.in_topic.since, at_us=at_us)
        mark = Head(owner=secrets.token_hex(8), partial=True, counted=True, in_topic=start)
        if stored is None and await asyncio.to_thread(self.store.torn, None) is None:
            await asyncio.to_thread(self.store.acquire, mark, None)
        else:
            await asyncio.to_thread(self.store.clear, mark, stored)
        failpoint("acquire:cleared")
        return await self.beyond(mark)

    async def beyond(self, stored: Head) -> Head:
        """Bring the store from `stored`, its head, to the topic's end; the head then stored. Raises as `anew`."""
        assert stored.in_topic is not None
        start = at = stored.in_topic.offset
        head, held = stored, None
        async for part, count, stop in self.topic.parts(start, self.end):
            if held is not None:  # a slice late: the last one is told from the others
                head = await asyncio.to_thread(self._put, held, at, head)
                failpoint("acquire:one-copied")
            held, at = part, stop
            self.on_progress(stop - start, self.end - start, count)
        head = await asyncio.to_thread(self._put, held or StatePart(), self.end, head, is_last=True)
        failpoint("acquire:one-copied")
        return head

    def _put(self, part: StatePart, stop: int, head: Head, *, is_last: bool = False) -> Head:
        """Write one slice, which ends at the offset `stop`, over `head`; the head then stored."""
        highest = self.last.population - 1 if is_last else max(part.places, default=-1)
        while highest - head.population >= PADDED_MAX:
            head = self._pad(head)
        found = self.store.begin(head, list(part.customers))
        before = dict(zip(part.customers, found.records, strict=True))
        born = [part.places.get(place, HOLE) for place in range(head.population, highest + 1)]
        counts = self._counted(before, part.customers) if head.can_count else None
        then = self._then(head, stop, head.population + len(born), counted=counts is not None, is_last=is_last)
        standing = {place: name for place, name in part.places.items() if place < head.population}
        self.store.commit(
            Write(
                records=[(name, value) for name, value in part.customers.items() if value is not None],
                timers=_timers(before, part.customers),
                born=born,
                head=then,
                gone=[name for name, value in part.customers.items() if value is None and before[name] is not None],
                holes=[place for place, name in standing.items() if name == HOLE],
                placed=[(place, name) for place, name in standing.items() if name != HOLE],
                erased=list(part.erased.items()),
                ledger=self._ledger(part.merged_into),
                counts=counts or (),
            )
        )
        return then

    def _then(self, head: Head, stop: int, population: int, *, counted: bool, is_last: bool) -> Head:
        """The head after a slice."""
        if not is_last:
            in_topic = msgspec.structs.replace(_in_topic(head), offset=stop)
            return msgspec.structs.replace(
                head, partial=True, population=population, counted=counted, in_topic=in_topic
            )
        in_topic = msgspec.structs.replace(_in_topic(self.last), offset=stop)
        return msgspec.structs.replace(self.last, counted=counted, in_topic=in_topic)

    def _pad(self, head: Head) -> Head:
        """Make places of the directory in which nobody stands yet."""
        population = head.population + PADDED_MAX
        then = msgspec.structs.replace(head, partial=True, population=population, counted=head.can_count)
        self.store.begin(head)
        self.store.commit(Write(records=[], timers=[], born=[HOLE] * PADDED_MAX, head=then))
        return then

    def _counted(
        self, before: Mapping[str, bytes | None], now: Mapping[str, bytes | None]
    ) -> list[tuple[str, str, int]] | None:
        """Customers more and fewer by label; None where that cannot be known."""
        try:
            fewer = label_counts.of_records(list(before.values()), self.versions)
            more = label_counts.of_records(list(now.values()), self.versions)
        except LayoutError as error:
            raise StateTopicError(f"{self.topic.where}: {error}") from error
        if fewer is None or more is None:
            return None
        more.subtract(fewer)
        return [(*kind, count) for kind, count in more.items() if count]

    def _ledger(self, merged_into: Mapping[str, str | None]) -> list[LedgerEntry]:
        """The lines that make the ledger say so; a line that was there is ended before another takes its place."""
        names = list(merged_into)
        lines = []
        for name, stands in zip(names, self.store.merged_into(names), strict=True):
            parent = merged_into[name]
            if stands is not None and stands != parent:
                lines.append(LedgerEntry(name, stands, holds=False))
            if parent is not None:
                lines.append(LedgerEntry(name, parent, holds=True))
        return lines


def _in_topic(head: Head) -> InTopic:
    assert head.in_topic is not None
    return head.in_topic


def _timers(before: Mapping[str, bytes | None], now: Mapping[str, bytes | None]) -> list[tuple[str, int]]:
    """The timers as the records have them; of those that had none before and have none now, nothing."""
    names = [name for name, value in now.items() if value is not None and not is_redirect(value)]
    timers = dict(zip(names, record.timers_us([now[name] for name in names]), strict=True)) if names else {}
    return [
        (name, timer_us)
        for name in now
        if (timer_us := timers.get(name, NO_TIMER)) != NO_TIMER or before[name] is not None
    ]
