"""The inputs of one shard, merged by event time: take the earlier head, as Kafka Streams does."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.engine.columns.events import HANDOVER, Chunk, Kind, Unusable, join
from segflow.engine.partitioner import Partitioner, partitions_of
from segflow.segments.facts import Times
from segflow.segments.instant import LATEST_US, UNKNOWN
from segflow.segments.invoices import OPEN_MOST, SETTLED_MOST

MISPLACED: Final = "wrong_partition"
"""The kind of dead letter of a record that lies where its key does not belong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderedInputs:
    """Records of all inputs in the shard's order.

    `chunk` has purchases, interactions and what was handed over as they were read; `order` indexes it in the shard's
    order and `sides` says whose each row is.
    """

    chunk: Chunk
    order: npt.NDArray[np.intp]
    sides: npt.NDArray[np.uint8]  # by row of chunk: PURCHASES, INTERACTIONS or HANDOVER


RANKS: Final = np.array([2, 1, 0])
"""Of purchases, interactions and what was handed over, at one moment: a record comes before what follows it."""


def merge(purchases: Chunk, interactions: Chunk, latest_us: int, handed: Chunk | None = None) -> OrderedInputs:
    """Merge by (event time, topic name), interactions first in a tie as their topic's name sorts first.

    A usable event after `latest_us` becomes unusable (kind "future"); one that was handed over was looked at where it
    was read. Unusable records have no time: they go as soon as they are at the head. Taking the earlier head, again and
    again, is sorting by each input's running maximum.
    """
    parts = [purchases, interactions] if handed is None else [purchases, interactions, handed]
    both = join(parts)
    sides = np.repeat(np.arange(len(parts), dtype=np.uint8), list(map(len, parts)))
    both = refuse_future(both, latest_us, sides != HANDOVER)
    keys = np.concatenate([_keys(part, LATEST_US if part is handed else latest_us) for part in parts])
    order = np.lexsort((RANKS[sides], keys))  # stable: a row stays behind its predecessors of the same input
    return OrderedInputs(chunk=both, order=order, sides=sides)


def ready(purchases: Chunk, interactions: Chunk, waits: tuple[bool, bool], latest_us: int) -> tuple[int, int]:
    """The number of records of each input that may be taken: up to where an input that `waits` for more runs dry.

    Where both wait, it is the one whose last record comes first in the shard's order. Nothing is merged for this.

    Args:
        purchases: read so far, not yet taken.
        interactions: likewise.
        waits: whether (purchases, interactions) has more to come that must be seen first.
        latest_us: see `merge`.
    """
    counts = len(purchases), len(interactions)
    if not any(waits):
        return counts
    if any(waiting and not count for waiting, count in zip(waits, counts, strict=True)):
        return 0, 0
    bought_us, done_us = _keys(purchases, latest_us), _keys(interactions, latest_us)
    wait_for_purchases, wait_for_interactions = waits
    if wait_for_purchases and not (wait_for_interactions and done_us[-1] <= bought_us[-1]):
        return counts[0], int(np.searchsorted(done_us, bought_us[-1], side="right"))
    return int(np.searchsorted(bought_us, done_us[-1], side="left")), counts[1]


def refuse_invoices(merged: OrderedInputs, rows: npt.NDArray[np.intp]) -> OrderedInputs:
    """The same records, those of `rows` unusable: their customers have more open invoices than are kept."""
    if not len(rows):
        return merged
    why = Unusable(
        "too_many_invoices",
        f"invoice_id: this customer has {OPEN_MOST} open invoices already, which is as many as are kept, or "
        f"{SETTLED_MOST} that were settled later than this: send the payments of others first, then this one again",
    )
    usable = merged.chunk.usable.copy()
    usable[rows] = False
    unusable = merged.chunk.unusable | dict.fromkeys(rows.tolist(), why)
    return replace(merged, chunk=merged.chunk.with_unusable(usable, unusable))


def refuse_aliases(interactions: Chunk) -> Chunk:
    """The same records, aliases unusable: as a version had it that did not merge customers."""
    rows = np.flatnonzero(interactions.usable & (interactions.kinds == Kind.ALIAS))
    if not len(rows):
        return interactions
    why = Unusable("unsupported_type", "type alias is not supported by this version of segflow yet")
    usable = interactions.usable.copy()
    usable[rows] = False
    return interactions.with_unusable(usable, interactions.unusable | dict.fromkeys(rows.tolist(), why))


def _keys(chunk: Chunk, latest_us: int) -> Times:
    """By what an input's records are merged, ascending: the running maximum of the times of the usable ones."""
    usable = chunk.usable & (chunk.occurred_us <= latest_us)
    times_us: Times = np.maximum.accumulate(np.where(usable, chunk.occurred_us, UNKNOWN))
    return times_us


def refuse_misplaced(chunk: Chunk, partition: int, partitions: int, partitioner: Partitioner) -> Chunk:
    """The same records of a partition, those whose key belongs on another unusable: their customers live there."""
    rows = np.flatnonzero(chunk.usable)
    keys = [chunk.keys[row] or b"" for row in rows.tolist()]
    right = partitions_of(keys, partitioner, partitions)
    wrong = np.flatnonzero(right != partition)
    if not len(wrong):
        return chunk
    usable = chunk.usable.copy()
    usable[rows[wrong]] = False
    unusable = {
        row: Unusable(
            MISPLACED,
            f"lies on partition {partition}, but kafka.partitioner = {partitioner} puts its key on {other} of "
            f"{partitions}: its producer places keys in another way, or the topic was given more partitions",
        )
        for row, other in zip(rows[wrong].tolist(), right[wrong].tolist(), strict=True)
    }
    return chunk.with_unusable(usable, chunk.unusable | unusable)


def refuse_future(chunk: Chunk, latest_us: int, among: npt.NDArray[np.bool_] | None = None) -> Chunk:
    """The same records, usable ones after `latest_us` unusable; `among`: those that are looked at, None: all."""
    ahead = chunk.usable & (chunk.occurred_us > latest_us)
    rows = np.flatnonzero(ahead if among is None else ahead & among)
    if not len(rows):
        return chunk
    why = Unusable(
        "future", "occurred_at is further ahead of this machine's clock than worker.future_max: is a clock wrong?"
    )
    usable = chunk.usable.copy()
    usable[rows] = False
    return chunk.with_unusable(usable, chunk.unusable | dict.fromkeys(rows.tolist(), why))
