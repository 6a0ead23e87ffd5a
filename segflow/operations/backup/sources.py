"""The two sources of a shard's rows for a snapshot: `segments.state`, and Redis where the topic does not have them."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, Protocol

from segflow.state import topic_layout
from segflow.state.head import PAGE_CUSTOMERS, Head
from segflow.state.store import HOLE, NO_CURSOR, Cursor, Store, TornStateError
from segflow.state.topic_layout import Pair, StatePart
from segflow.streams.runtime.errors import UsageError
from segflow.streams.state_topic.reader import StateTopicReader

PATIENCE_S: Final = 60.0
"""For so long a moment is waited for in which a busy shard has no commit that was not read."""


class Source(Protocol):
    """Rows that make the state of one commit, a later one of a key in the place of an earlier."""

    head: Head  # of that commit, once all rows are read

    def pairs(self) -> AsyncIterator[list[Pair]]:
        """The rows without the head, in slices.

        Raises:
            UsageError: they are not those of one commit.
        """
        ...


@dataclass(kw_only=True)
class OfTopic:
    """The state topic's records, beside workers.

    Compaction takes a record away once a later one of its key stands in the topic. So what was read is the state of one
    commit only if there is nothing behind the last record read, seen after it was read.
    """

    topic: StateTopicReader
    head: Head  # the last in it; all of its state is there
    on_progress: Callable[[int, int], None] = field(default=lambda *_: None)

    async def pairs(self) -> AsyncIterator[list[Pair]]:
        """See Source."""
        known = self.head.in_topic
        assert known is not None
        at, end, until_s = known.since, await self.topic.end(), None
        while at < end:
            async for pairs in self.topic.pairs(at, end):
                yield [pair for pair in pairs if not self._is_head(pair)]
            at, end = end, await self.topic.end()
            self.on_progress(at - known.since, end - known.since)
            until_s = until_s or monotonic() + PATIENCE_S
            if at < end and monotonic() > until_s:
                raise UsageError(f"{self.topic.where}, takes commits faster than they are read: type it again later")
        if self.head.in_topic is None or not self.head.is_in_topic or self.head.in_topic.since != known.since:
            raise UsageError(f"{self.topic.where}, was begun anew while it was read: type it again")

    def _is_head(self, pair: Pair) -> bool:
        key, value = pair
        if key != topic_layout.HEAD:
            return False
        self.head = topic_layout.head_of(key, value)
        return True


@dataclass(kw_only=True)
class OfRedis:
    """The content of Redis. A commit meanwhile spoils it, so it is for a shard that rests."""

    store: Store
    where: str  # for people
    head: Head  # as stored
    on_progress: Callable[[int, int], None] = field(default=lambda *_: None)

    async def pairs(self) -> AsyncIterator[list[Pair]]:
        """See Source."""
        for number in range(self.head.pages):
            yield self._page(number)
            self.on_progress(number + 1, self.head.pages)
        cursor: Cursor | None = NO_CURSOR
        while cursor is not None:
            found = self.store.outside_directory(cursor)
            yield _pairs(topic_layout.of_outside(found))
            cursor = found.then
        self._is_unchanged()

    def _page(self, number: int) -> list[Pair]:
        places = self.store.page(number)
        names = [name for name in places if name != HOLE]
        records = dict(zip(names, self.store.load(names), strict=True))
        if None in records.values():
            self._is_unchanged()
            raise TornStateError(f"page {number} of the directory of {self.where} names customers without a record")
        return _pairs(StatePart(customers=records, places=dict(enumerate(places, number * PAGE_CUSTOMERS))))

    def _is_unchanged(self) -> None:
        if self.store.head() != self.head:
            raise UsageError(
                f"a worker committed while {self.where} was read in Redis, as the state topic does not have all of "
                "it. Stop the workers, or back up Redis itself: its RDB file, or its append-only file"
            )


def _pairs(part: StatePart) -> list[Pair]:
    return list(zip(*topic_layout.encode(part), strict=True))
