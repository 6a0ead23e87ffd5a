"""The store of `segflow run`, of the audit and of the property tests: dictionaries."""

from collections import Counter
from collections.abc import Sequence
from heapq import heapify, heappop, heappush, nsmallest
from itertools import count

from segflow.segments.instant import UNKNOWN
from segflow.state.erasure import Erasure
from segflow.state.head import PAGE_CUSTOMERS, Head
from segflow.state.layout import NO_TIMER
from segflow.state.redirect import is_redirect
from segflow.state.store import HOLE, Cursor, Found, Outside, ShardLostError, Write


class MemoryStore:
    """One shard's state in this process; gone with it."""

    def __init__(self) -> None:
        self._head: Head | None = None
        self._records: dict[str, bytes] = {}
        self._directory: list[str] = []
        self._timers: dict[str, int] = {}
        self._queue: list[tuple[int, bytes, str]] = []  # by (timer, id); an entry whose timer has moved is stale
        self._places: dict[str, int] | None = None  # where the directory has each id; None until somebody asks
        self._erased: dict[bytes, Erasure] = {}
        self._merged_into: dict[str, str] = {}
        self._merged_from: dict[str, set[str]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    def head(self) -> Head | None:
        """See Store."""
        return self._head

    def begin(self, expected: Head, ids: Sequence[str] = (), until_us: int = UNKNOWN, limit: int = 0) -> Found:
        """See Store."""
        if self._head != expected:
            raise ShardLostError(f"the head is {self._head}, expected {expected}")
        return Found(records=self.load(ids), due=self.due(until_us, limit))

    def load(self, ids: Sequence[str]) -> list[bytes | None]:
        """See Store."""
        return list(map(self._records.get, ids))

    def due(self, until_us: int, limit: int) -> list[str]:
        """See Store. Looks without taking: the commit moves the timers."""
        found: list[tuple[int, bytes, str]] = []
        while self._queue and self._queue[0][0] <= until_us and len(found) < limit:
            entry = heappop(self._queue)
            if self._timers.get(entry[2]) == entry[0] and (not found or found[-1] != entry):
                found.append(entry)
        for entry in found:
            heappush(self._queue, entry)
        return [entry[2] for entry in found]

    def page(self, number: int) -> list[str]:
        """See Store."""
        return self._directory[number * PAGE_CUSTOMERS : (number + 1) * PAGE_CUSTOMERS]

    def places(self, ids: Sequence[str], head: Head) -> dict[str, int]:  # noqa: ARG002 - the protocol's
        """See Store."""
        if self._places is None:
            self._places = {customer_id: place for place, customer_id in enumerate(self._directory)}
        return {customer_id: self._places[customer_id] for customer_id in ids if customer_id in self._places}

    def erased(self, pseudonyms: Sequence[bytes]) -> list[Erasure | None]:
        """See Store."""
        return list(map(self._erased.get, pseudonyms))

    def oldest_erased(self, limit: int) -> list[tuple[bytes, Erasure]]:
        """See Store."""
        return nsmallest(limit, self._erased.items(), key=lambda item: (item[1].at_us, item[0]))

    def merged_into(self, ids: Sequence[str]) -> list[str | None]:
        """See Store."""
        return list(map(self._merged_into.get, ids))

    def merged_from(self, customer_id: str) -> list[str]:
        """See Store."""
        return sorted(self._merged_from.get(customer_id, ()))

    def outside_directory(self, cursor: Cursor) -> Outside:  # noqa: ARG002 - the protocol's
        """See Store. All of it at once."""
        redirects = tuple(self.redirects.items())
        return Outside(
            erased=tuple(self._erased.items()), merged_into=tuple(self._merged_into.items()), redirects=redirects
        )

    def counts(self) -> dict[tuple[str, str], int]:
        """See Store."""
        return {kind: count for kind, count in self._counts.items() if count}

    @property
    def ledger(self) -> dict[str, str]:
        """All ids that became another, and whom."""
        return dict(self._merged_into)

    @property
    def has_merges(self) -> bool:
        """Whether any id became another."""
        return bool(self._merged_into)

    @property
    def redirects(self) -> dict[str, bytes]:
        """The stored redirects, by the id that became another."""
        return {customer_id: value for customer_id, value in self._records.items() if is_redirect(value)}

    def commit(self, write: Write) -> None:
        """See Store."""
        self.send(write)

    def settle(self) -> None:
        """See Store."""

    async def answered(self, timeout_s: float) -> None:
        """See Store."""

    def send(self, write: Write) -> None:
        """See Store."""
        self._records.update(write.records)
        for customer_id in write.gone:
            del self._records[customer_id]
        self._direct(write)
        for pseudonym, erasure in write.erased:
            if erasure is None:
                self._erased.pop(pseudonym, None)
            else:
                self._erased[pseudonym] = erasure
        self._note(write)
        for customer_id, timer_us in write.timers:
            if timer_us == NO_TIMER:
                self._timers.pop(customer_id, None)
            else:
                self._timers[customer_id] = timer_us
                heappush(self._queue, (timer_us, customer_id.encode(), customer_id))
        if len(self._queue) > 2 * len(self._timers) + PAGE_CUSTOMERS:  # mostly stale: build it again
            self._queue = [(timer_us, who.encode(), who) for who, timer_us in self._timers.items()]
            heapify(self._queue)
        self._head = write.head

    def _direct(self, write: Write) -> None:
        if self._places is not None:
            for place in write.holes:
                self._places.pop(self._directory[place], None)
            self._places.update(zip(write.born, count(len(self._directory)), strict=False))
            self._places.update({customer_id: place for place, customer_id in write.placed})
        self._directory.extend(write.born)
        for place, customer_id in (*dict.fromkeys(write.holes, HOLE).items(), *write.placed):
            self._directory[place] = customer_id

    def _note(self, write: Write) -> None:
        for dimension, label, by in write.counts:
            self._counts[dimension, label] += by
        for customer_id, parent, holds in write.ledger:
            if holds:
                self._merged_into[customer_id] = parent
                self._merged_from.setdefault(parent, set()).add(customer_id)
            else:
                self._merged_into.pop(customer_id, None)
                self._merged_from.get(parent, set()).discard(customer_id)

    def acquire(self, head: Head, expected: Head | None) -> None:
        """See Store."""
        if self._head != expected:
            raise ShardLostError(f"the head is {self._head}, expected {expected}")
        self._head = head

    def torn(self, head: Head | None) -> str | None:  # noqa: ARG002 - the protocol's
        """See Store. Memory is all there or all gone."""
        return None

    def drop_head(self) -> None:
        """See Store."""
        self._head = None

    def clear(self, mark: Head, expected: Head | None) -> None:
        """See Store."""
        self.acquire(mark, expected)
        self.wipe()
        self._head = mark

    def wipe(self) -> None:
        """See Store."""
        self.__init__()  # type: ignore[misc]

    def close(self) -> None:
        """See Store."""
