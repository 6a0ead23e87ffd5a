"""Two inputs of one shard, merged by event time: take the earlier head, as Kafka Streams does."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from segments.instant import UNKNOWN
from segments.payment import OPEN_MOST, SETTLED_MOST
from streams.events import Chunk, Unusable, join


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """Records of both inputs in the shard's order.

    `chunk` has purchases then interactions as they were read; `order` indexes it in the shard's order and
    `from_interactions` says whose each row is.
    """

    chunk: Chunk
    order: npt.NDArray[np.intp]
    from_interactions: npt.NDArray[np.bool_]  # by row of chunk


def merge(purchases: Chunk, interactions: Chunk, latest_us: int) -> Merged:
    """Merge by (event time, topic name), interactions first in a tie as their topic's name sorts first.

    A usable event after `latest_us` becomes unusable (kind "future"). Unusable records have no time: they go as soon
    as they are at the head. Taking the earlier head, again and again, is sorting by each input's running maximum.
    """
    both = _refuse_future(join([purchases, interactions]), latest_us)
    split = len(purchases)
    times_us = np.where(both.usable, both.occurred_us, UNKNOWN)
    keys = np.concatenate([np.maximum.accumulate(times_us[:split]), np.maximum.accumulate(times_us[split:])])
    from_interactions = np.arange(len(both)) >= split
    order = np.lexsort((~from_interactions, keys))  # stable: a row stays behind its predecessors of the same input
    return Merged(chunk=both, order=order, from_interactions=from_interactions)


def ready(purchases: Chunk, interactions: Chunk, waits: tuple[bool, bool], latest_us: int) -> tuple[int, int]:
    """How many records of each input may be taken: up to where an input that `waits` for more runs dry.

    Args:
        purchases: read so far, not yet taken.
        interactions: likewise.
        waits: whether (purchases, interactions) has more to come that must be seen first.
        latest_us: see `merge`.
    """
    if not any(waits):
        return len(purchases), len(interactions)
    merged = merge(purchases, interactions, latest_us)
    mine = merged.from_interactions[merged.order]
    stop = len(mine)
    for is_interactions, waiting in ((False, waits[0]), (True, waits[1])):
        if waiting:
            places = np.flatnonzero(mine == is_interactions)
            stop = min(stop, int(places[-1]) + 1 if len(places) else 0)
    taken = int(np.count_nonzero(mine[:stop]))
    return stop - taken, taken


def refuse_invoices(merged: Merged, rows: npt.NDArray[np.intp]) -> Merged:
    """The same records, those of `rows` unusable: their customers have more open invoices than are kept."""
    if not len(rows):
        return merged
    why = Unusable(
        "too_many_invoices",
        f"invoice_id: this customer has {OPEN_MOST} open invoices already, which is as many as are kept, or "
        f"{SETTLED_MOST} that were settled later than this: tell of the others' payment first, then send this again",
    )
    usable = merged.chunk.usable.copy()
    usable[rows] = False
    unusable = merged.chunk.unusable | dict.fromkeys(rows.tolist(), why)
    return replace(merged, chunk=merged.chunk.with_unusable(usable, unusable))


def _refuse_future(chunk: Chunk, latest_us: int) -> Chunk:
    late = np.flatnonzero(chunk.usable & (chunk.occurred_us > latest_us))
    if not len(late):
        return chunk
    why = Unusable(
        "future", "occurred_at is further ahead of the worker's clock than worker.future_max: is a clock wrong?"
    )
    usable = chunk.usable.copy()
    usable[late] = False
    return chunk.with_unusable(usable, chunk.unusable | dict.fromkeys(late.tolist(), why))
