"""The last part of a commit: what its shard's store is to hold from now on."""

from typing import Final

import msgspec
import numpy as np

from segflow.engine.commit.load import CommitInput
from segflow.engine.commit.plan import positions_after
from segflow.engine.commit.shard_result import ShardResult
from segflow.engine.merging.ledger import MergeLedger
from segflow.engine.merging.stored import ended_redirects, redirect_records
from segflow.segments.instant import UNKNOWN
from segflow.state.erasure import Erasure, pseudonym
from segflow.state.head import Adopting
from segflow.state.head import Erasures as Between
from segflow.state.store import TornStateError, Write

LET_GO_MAX: Final = 1000
"""Erased customers of whom a commit lets go what stayed of them long enough; more wait for the next commits."""


def write(result: ShardResult, ledger: MergeLedger) -> Write:
    """The commit's writes to the store.

    Raises:
        TornStateError: the directory lacks a customer.
    """
    commit, customers, erasures = result.commit, result.customers, result.erasures
    plan, head, aliases, known = commit.plan, commit.head, commit.aliases, commit.known
    moved = np.flatnonzero(result.timers)
    timers_us = customers.fixed["timer_us"][moved].tolist()
    left = erasures.new.copy()  # those who came back go to a new place, as if they came in a later batch
    if aliases is not None:
        left[list(aliases.gone)] = True
    again = known & left
    born = [customers.ids[row] for row in np.flatnonzero(erasures.known & (~known | again)).tolist()]
    holes = _places(commit, [customers.ids[row] for row in np.flatnonzero(again).tolist()])
    erased, between = _erased(result)
    records = result.records
    taken = known & ~erasures.known
    redirects, claimed = head.redirects, head.aliases
    counted = head.can_count
    if aliases is not None:
        records = records + redirect_records(aliases, customers)
        taken[list(aliases.redirects)] = False
        taken[ended_redirects(aliases, erasures.known)] = True
        redirects, claimed = redirects + len(aliases.redirects) - len(aliases.before), claimed + aliases.claimed
    return Write(
        records=records,
        timers=list(zip([customers.ids[row] for row in moved.tolist()], timers_us, strict=True)),
        born=born,
        head=msgspec.structs.replace(
            head,
            sequence=plan.sequence,
            committed_by=plan.owner,
            **positions_after(head, plan),
            clock_us=commit.clock_us,
            population=head.population + len(born),
            holes=head.holes + len(holes),
            adopting=_adopting(commit),
            erasures=between,
            redirects=redirects,
            aliases=claimed,
            counted=counted,
        ),
        gone=[customers.ids[row] for row in np.flatnonzero(taken).tolist()],
        holes=holes,
        erased=erased,
        ledger=[*ledger.written, *(() if aliases is None else aliases.ledger)],
        counts=[(*kind, count) for kind, count in result.counted.items() if count] if counted else (),
    )


def _adopting(commit: CommitInput) -> Adopting | None:
    """The progress of the adoption under way; None: there is none, or it is done."""
    adopting = commit.head.adopting
    if adopting is None:
        return None
    page = adopting.page + commit.plan.pages
    return None if page >= adopting.pages else msgspec.structs.replace(adopting, page=page)


def _places(commit: CommitInput, ids: list[str]) -> list[int]:
    """The places of these ids in the directory, ascending."""
    if not ids:
        return []
    places = commit.store.places(ids, commit.head)
    if len(places) < len(ids):
        missing = len(ids) - len(places)
        raise TornStateError(f"the directory of shard {commit.partition} lacks {missing} customers")
    return sorted(places.values())


def _erased(result: ShardResult) -> tuple[list[tuple[bytes, Erasure | None]], Between | None]:
    """Erasures to write (None: to delete), by pseudonym, and the range of times of those that stay."""
    commit, erasures = result.commit, result.erasures
    head, kept_us = commit.head, commit.plan.erased_for_us
    written: dict[bytes, Erasure | None] = {}
    for row in np.flatnonzero(erasures.new & (erasures.at_us != UNKNOWN)).tolist():
        written[pseudonym(commit.rule_versions.secret, result.customers.ids[row])] = erasures.erasure(row)
    times_us = [each.at_us for each in written.values() if each is not None]
    before = head.erasures
    latest_us = times_us if before is None else [before.latest_us, *times_us]
    if before is not None and head.clock_us - before.oldest_us > kept_us:
        oldest = commit.store.oldest_erased(LET_GO_MAX + 1)
        over = [name for name, each in oldest[:LET_GO_MAX] if head.clock_us - each.at_us > kept_us]
        times_us += [each.at_us for _, each in oldest[len(over) :]]
        written = dict.fromkeys(over) | written
    elif before is not None:
        times_us.append(before.oldest_us)
    between = Between(oldest_us=min(times_us), latest_us=max(latest_us)) if times_us else None
    return list(written.items()), between
