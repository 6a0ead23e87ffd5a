"""Filling `segments.state` with a state that was begun without it, in slices beside live work."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from segflow.state import topic_layout
from segflow.state.head import PAGE_CUSTOMERS, Head, InTopic
from segflow.state.store import HOLE, NO_CURSOR, Cursor, Store, TornStateError
from segflow.state.topic_layout import StatePart

PAGES: Final = 1
"""Pages of the directory a commit: 512 customers, of some 150 kilobytes, which hold live work up by a few
milliseconds. A million customers take 2,000 commits."""


class Filled(NamedTuple):
    """One slice: what to write to the topic, and what the topic has then."""

    part: StatePart
    in_topic: InTopic


@dataclass(slots=True)
class Filling:
    """The filling by one owner of the shard. The head says how many places of the directory are written already.

    What stands outside the directory comes last and from the beginning again with each owner: no cursor of Redis
    outlives it.
    """

    _cursor: Cursor | None = NO_CURSOR

    def next_slice(self, head: Head, store: Store) -> Filled | None:
        """The next slice of a commit that has begun in the store; None: the topic has all, or is not written to.

        Raises:
            TornStateError: the directory names customers who have no record.
        """
        in_topic = head.in_topic
        if in_topic is None or in_topic.complete:
            return None
        if in_topic.places < in_topic.until:
            return self._of_directory(in_topic, store)
        if self._cursor is None:
            return Filled(StatePart(), msgspec.structs.replace(in_topic, complete=True))
        found = store.outside_directory(self._cursor)
        self._cursor = found.then
        return Filled(topic_layout.of_outside(found), in_topic)

    def _of_directory(self, in_topic: InTopic, store: Store) -> Filled:
        first = in_topic.places // PAGE_CUSTOMERS
        places = [name for number in range(first, first + PAGES) for name in store.page(number)]
        names = [name for name in places if name != HOLE]
        records = dict(zip(names, store.load(names), strict=True))
        gone = [name for name, value in records.items() if value is None]
        stop = first * PAGE_CUSTOMERS + len(places)
        if gone or stop <= in_topic.places:
            raise TornStateError(f"page {first} of the directory is gone, or records of its customers: {gone[:5]}")
        part = StatePart(customers=records, places=dict(enumerate(places, first * PAGE_CUSTOMERS)))
        return Filled(part, msgspec.structs.replace(in_topic, places=min(stop, in_topic.until)))
