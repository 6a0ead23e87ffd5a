"""The result of a batch for each of its shards, before it is written."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segflow.engine.advance.erasures import Erasures
from segflow.engine.advance.processor import Advance
from segflow.engine.columns.changes import Changes
from segflow.engine.commit.label_counts import Differences
from segflow.engine.commit.load import CommitInput
from segflow.engine.encode.change_json import Encoded
from segflow.segments.rules import Rules
from segflow.state import record
from segflow.state.customers import Customers


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardResult:
    """One shard's part of a batch: its n customers, advanced, the changes of its m events and of silence."""

    commit: CommitInput
    customers: Customers  # n
    erasures: Erasures  # of all n
    timers: npt.NDArray[np.bool_]  # (n,) whose place in the timer set moved
    records: list[tuple[str, bytes]]  # of those to store
    encoded: list[Encoded]  # the changes as messages: those before an adoption, then the others
    published: list[tuple[Rules, Changes]]  # the same as columns, and the rules they were made under
    flags: npt.NDArray[np.uint8]  # (m,) of EventFlag
    counted: Differences  # customers by dimension and label
    adopted: int  # customers brought under the rules of an adoption


def split(
    commits: Sequence[CommitInput],
    customers: Customers,
    done: Advance,
    erasures: Erasures,
    encoded: list[list[Encoded]],
    published: list[list[tuple[Rules, Changes]]],
    counted: list[Differences],
) -> list[ShardResult]:
    """By shard what became of the batch's `customers` and events; the lists are by shard already."""
    rows = np.flatnonzero(done.touched & erasures.known)
    records = list(zip([customers.ids[row] for row in rows.tolist()], record.encode(customers, rows), strict=True))
    results = []
    row = event = place = 0
    for number, commit in enumerate(commits):
        row_end, event_end = row + len(commit.ids), event + len(commit.events)
        place_end = int(np.searchsorted(rows, row_end))
        results.append(
            ShardResult(
                commit=commit,
                customers=customers.part(row, row_end),
                erasures=erasures.part(row, row_end),
                timers=done.timers[row:row_end],
                records=records[place:place_end],
                encoded=encoded[number],
                published=published[number],
                flags=done.flags[event:event_end],
                counted=counted[number],
                adopted=done.adopted,  # a commit that adopts is in no batch with others
            )
        )
        row, event, place = row_end, event_end, place_end
    return results
