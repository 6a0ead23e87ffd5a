"""Customers divided into M shards where they were in N: who goes where, and what a shard knows of itself then. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np
import numpy.typing as npt

from segflow.engine.partitioner import Partitioner, partitions_of
from segflow.segments.instant import UNKNOWN
from segflow.state.erasure import Erasure
from segflow.state.head import Adopting, Erasures, Head, Position
from segflow.streams.runtime.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Division:
    """Shards before and after."""

    before: int
    after: int
    partitioner: Partitioner

    def homes(self, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """The shard of each id after it, shape (n,)."""
        return self.homes_of_keys([each.encode() for each in ids])

    def homes_of_keys(self, keys: Sequence[bytes]) -> npt.NDArray[np.int64]:
        """The same of keys as Kafka has them."""
        return partitions_of(keys, self.partitioner, self.after)

    def former_homes(self, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """The shard of each id before it, shape (n,)."""
        return partitions_of([each.encode() for each in ids], self.partitioner, self.before)

    def ancestors(self, shard: int) -> list[int]:
        """The shards before from which customers may come to a shard after.

        A key's partition is its hash modulo their number: two that share a divisor leave the same rest by it.
        """
        step = gcd(self.before, self.after)
        return list(range(shard % step, self.before, step))

    def heirs(self, shard: int) -> list[int]:
        """The shards after to which customers of a shard before may go."""
        step = gcd(self.before, self.after)
        return list(range(shard % step, self.after, step))


@dataclass(kw_only=True, slots=True)
class Content:
    """The content of a shard after it, so far."""

    population: int = 0
    redirects: int = 0
    erasures: Erasures | None = None

    def add_erasures(self, erasures: Sequence[Erasure]) -> None:
        """Widen the range of times by erasures that the shard gets."""
        times_us = [each.at_us for each in erasures]
        if not times_us:
            return
        was = self.erasures
        self.erasures = Erasures(
            oldest_us=min(times_us if was is None else [was.oldest_us, *times_us]),
            latest_us=max(times_us if was is None else [was.latest_us, *times_us]),
        )


def head_after(
    heads: Sequence[Head | None],
    division: Division,
    shard: int,
    content: Content,
    positions: Sequence[Position],
    owner: str,
) -> Head:
    """The head of a shard after it; what `segments.state` has of it is left open.

    Args:
        heads: of the shards before; None: one that no worker has acquired yet.
        division: of customers.
        shard: its number.
        content: what it has.
        positions: where it goes on to read: of purchases, interactions and what is handed over.
        owner: a token of whoever reshards.

    Raises:
        UsageError: the customers who come to it are under more than two versions of the rules.
    """
    known = [head for head in heads if head is not None]
    came = [head for number in division.ancestors(shard) if (head := heads[number]) is not None]
    own = heads[shard] if shard < division.before else None
    last = own.sequence if own is not None else 0
    if not last:  # above 1: the first commit of a journal would be executed from nothing by an audit
        last = max(1, *(head.sequence for head in known))
    clock_us = max((head.clock_us for head in came), default=UNKNOWN)
    rules, adopting = _rules(came or known, clock_us, content.population)
    purchases, interactions, handover = positions
    return Head(
        owner=owner,
        sequence=last + 1,
        committed_by=owner,
        purchases=purchases,
        interactions=interactions,
        handover=handover,
        clock_us=clock_us,
        population=content.population,
        rules=rules,
        adopting=adopting,
        erasures=content.erasures,
        redirects=content.redirects,
        aliases=sum(head.aliases for head in came),
    )


def _rules(heads: Sequence[Head], clock_us: int, population: int) -> tuple[int, Adopting | None]:
    """The version of the rules adopted last, and the adoption that is left to do.

    Customers of a shard that was ahead are under it already: an adoption passes over those.
    """
    newest = max(head.rules for head in heads)
    older = {head.rules for head in heads} | {head.adopting.old for head in heads if head.adopting is not None}
    older -= {newest}
    if len(older) > 1:
        versions = ", ".join(str(version) for version in sorted({newest, *older}))
        raise UsageError(
            f"customers are under more than two versions of the rules ({versions}): start workers until all shards "
            "have adopted the newest (the line `definition` of `segflow doctor` says so). Nothing was changed"
        )
    if not older or not population:
        return newest, None
    empty = Head(population=population)
    return newest, Adopting(old=older.pop(), at_us=clock_us, pages=empty.pages)


def later(one: Erasure | None, other: Erasure) -> Erasure:
    """The one that holds of two erasures under one pseudonym: an earlier reshard leaves copies in other shards."""
    return other if one is None else max(one, other, key=lambda each: (each.at_us, each.version))
