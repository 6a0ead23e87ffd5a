"""A batch in rounds, so that each round has one event a customer and is vectorised. Pure."""

import numpy as np

from segflow.segments.facts import Rows


def rounds(rows: Rows) -> list[Rows]:
    """Event indices by round: round j has the j-th event of every customer that has so many, in the shard's order."""
    if not len(rows):
        return []
    order = np.argsort(rows, kind="stable")
    first = np.concatenate(([True], rows[order][1:] != rows[order][:-1]))
    starts = np.flatnonzero(first)
    rank = np.empty(len(rows), dtype=np.intp)
    rank[order] = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    by_rank = np.argsort(rank, kind="stable")
    return np.split(by_rank, np.cumsum(np.bincount(rank))[:-1])
