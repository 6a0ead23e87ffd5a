"""The interface of a shard's store. The memory and the Redis store are held to one contract suite."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from segflow.segments.instant import UNKNOWN
from segflow.state.erasure import Erasure
from segflow.state.head import Head

HOLE: Final = ""
"""In the place of an id in the directory: its customer was erased. No customer has this id."""


class TornStateError(Exception):
    """Part of a shard's state is missing; going on would forget customers or deadlines.

    The message names no customer: it is kept in Redis and shown to whoever asks for health.
    """


class ShardLostError(Exception):
    """The stored head is not what this worker last wrote: another has the shard."""


class RolledBackError(ShardLostError):
    """The stored head is older than what this worker last wrote, or gone: the store lost what it had acknowledged."""


def head_error(partition: int, stored: Head | None, expected: Head | None) -> ShardLostError:
    """The error of a worker that expects one head in the store and finds another."""
    if expected is None:
        return ShardLostError(f"the store had nothing of shard {partition}, and has a head now: another worker came")
    if stored is None:
        return RolledBackError(
            f"Redis holds nothing of shard {partition} any more, which this worker wrote up to commit "
            f"{expected.sequence}: it was emptied, restarted without its data, or is another server"
        )
    if stored.sequence < expected.sequence:  # acquiring a shard never goes back in sequence
        return RolledBackError(
            f"Redis has shard {partition} at commit {stored.sequence}, but acknowledged commit {expected.sequence}: it "
            "lost what came after, or is another server"
        )
    return ShardLostError(
        f"shard {partition} in Redis is of commit {stored.sequence} by owner {stored.owner or 'nobody'}, not of commit "
        f"{expected.sequence} by this worker: another has taken it"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The answer of a store to the beginning of a commit."""

    records: list[bytes | None]  # of the ids asked for, None where there is none
    due: list[str]  # customers whose timer is due, by (timer, id)


class LedgerEntry(NamedTuple):
    """One line of the merge ledger."""

    customer_id: str
    merged_into: str  # whom it became
    holds: bool  # from now on; else it ends


@dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """The writes of one commit: records, timers, directory and head, all or nothing."""

    records: Sequence[tuple[str, bytes]]  # customer id, encoded record
    timers: Sequence[tuple[str, int]]  # customer id, deadline in microseconds; NO_TIMER takes it out
    born: Sequence[str]  # ids that had no record, in the order they enter the directory
    head: Head
    gone: Sequence[str] = ()  # ids whose record goes; their timers go by `timers`
    holes: Sequence[int] = ()  # places of the directory to make HOLE
    erased: Sequence[tuple[bytes, Erasure | None]] = ()  # by pseudonym; None: nothing stays any more
    ledger: Sequence[LedgerEntry] = ()  # applied one by one
    counts: Sequence[tuple[str, str, int]] = ()  # dimension, label, customers more or fewer
    placed: Sequence[tuple[int, str]] = ()  # places of the directory that there are already, and who stands there


Cursor = tuple[int, int]
"""A place in what stands outside the directory; of use to the store that gave it alone."""
NO_CURSOR: Final[Cursor] = (0, 0)
"""The beginning."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    """One slice of what no page of the directory leads to."""

    erased: Sequence[tuple[bytes, Erasure]] = ()
    merged_into: Sequence[tuple[str, str]] = ()  # an id and whom it became
    redirects: Sequence[tuple[str, bytes]] = ()  # an id and the redirect in the place of its record
    then: Cursor | None = None  # where the next slice begins; None: there is none


class Store(Protocol):
    """One shard's state. Not for two threads at once."""

    def head(self) -> Head | None:
        """The stored head, None where the shard has no state.

        Raises:
            TornStateError: what is stored is no head.
        """
        ...

    def begin(self, expected: Head, ids: Sequence[str] = (), until_us: int = UNKNOWN, limit: int = 0) -> Found:
        """Start a commit: from here to `commit`, a change of the head by anybody else makes `commit` fail.

        In the same round trip: the records of `ids`, and at most `limit` customers due at or before `until_us`.

        Raises:
            ShardLostError: the stored head is not `expected`.
            RolledBackError: it is an older one.
        """
        ...

    def load(self, ids: Sequence[str]) -> list[bytes | None]:
        """The records of `ids`, None where there is none."""
        ...

    def due(self, until_us: int, limit: int) -> list[str]:
        """At most `limit` customers whose timer is at or before `until_us`, by (timer, id)."""
        ...

    def page(self, number: int) -> list[str]:
        """The ids of one page of the directory, in the order they entered, HOLE among them; empty beyond the last."""
        ...

    def places(self, ids: Sequence[str], head: Head) -> dict[str, int]:
        """The places of these ids in the directory of `head`; an id that it lacks is left out.

        Takes time in proportion to the population.
        """
        ...

    def erased(self, pseudonyms: Sequence[bytes]) -> list[Erasure | None]:
        """The erasures under these pseudonyms, each None where there is none."""
        ...

    def oldest_erased(self, limit: int) -> list[tuple[bytes, Erasure]]:
        """At most `limit` erased customers by (time of the erase, pseudonym)."""
        ...

    def merged_into(self, ids: Sequence[str]) -> list[str | None]:
        """The customers that these ids were merged into, None for an id that was not. Only shard 0 has the ledger."""
        ...

    def merged_from(self, customer_id: str) -> list[str]:
        """The ids that became this one, likewise, sorted; not those that became them."""
        ...

    def outside_directory(self, cursor: Cursor) -> Outside:
        """One slice of what no page of the directory leads to: erasures, the merge ledger, redirects.

        What is there from the first slice (NO_CURSOR) to the last is in one of them, perhaps in two.
        """
        ...

    def counts(self) -> dict[tuple[str, str], int]:
        """Customers by dimension and label, without zeros; of a shard whose head says that it is `counted`."""
        ...

    def commit(self, write: Write) -> None:
        """Apply `write` as a whole: `send` and `settle`.

        Raises:
            ShardLostError: the head was changed since `begin`.
        """
        ...

    def send(self, write: Write) -> None:
        """The first half of `commit`: nothing else may be asked before the second."""
        ...

    async def answered(self, timeout_s: float) -> None:
        """Between the halves: wait until `settle` finds its answer, while the event loop goes on.

        Raises:
            redis.TimeoutError: there is none after `timeout_s` seconds.
        """
        ...

    def settle(self) -> None:
        """The second half of `commit`: the answer, waited for.

        Raises:
            ShardLostError: the head was changed since `begin`.
        """
        ...

    def acquire(self, head: Head, expected: Head | None) -> None:
        """Write `head` (with the own token) where the stored head is still `expected`.

        Raises:
            ShardLostError: it is not.
        """
        ...

    def torn(self, head: Head | None) -> str | None:
        """A description of keys that are missing beside the stored `head`, or left over without one; None: all is well.

        Looks at a few keys only.
        """
        ...

    def drop_head(self) -> None:
        """Forget a head that cannot be read."""
        ...

    def clear(self, mark: Head, expected: Head | None) -> None:
        """Forget all but the head, which becomes `mark` before anything else: ended halfway, it still is.

        Raises:
            ShardLostError: the stored head is not `expected`.
        """
        ...

    def wipe(self) -> None:
        """Forget everything of this shard."""
        ...

    def close(self) -> None:
        """Release the connections."""
        ...
