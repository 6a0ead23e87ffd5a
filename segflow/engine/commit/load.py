"""The first half of a commit: its events in the shard's order, and what the store holds of their customers.

Pure but for the store's reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from segflow.engine.advance.processor import Adoption
from segflow.engine.columns.events import Chunk, Kind
from segflow.engine.columns.merge_messages import MergeMessage
from segflow.engine.commit.plan import Plan
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.merge_inputs import OrderedInputs, merge, refuse_aliases, refuse_misplaced
from segflow.engine.decode.nobody import refuse_nobody
from segflow.engine.merging.merges import Aliases
from segflow.engine.merging.stored import read_aliases
from segflow.schemas.settings import Settings
from segflow.segments.facts import Rows, Times
from segflow.segments.instant import UNKNOWN
from segflow.segments.rules import Rules
from segflow.state.erasure import Erasure, pseudonym
from segflow.state.head import Adopting, Head
from segflow.state.store import HOLE, Store, TornStateError

NOBODY: Final = ""
"""In the place of an id: a record that was handed over, whose customer is another's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitInput:
    """The input of one shard's commit: m events, and n customers, some of whom the store may not know yet."""

    settings: Settings
    rule_versions: RuleVersions
    partition: int
    plan: Plan
    store: Store  # begun
    before: Head  # as it was
    head: Head  # with what the plan adopts
    merged: OrderedInputs
    asked: list[MergeMessage]  # that are no step of a customer
    in_order: Rows  # (m,) of the events in `merged`
    events: Chunk  # (m,) usable, in the shard's order
    rows: Rows  # (m,) the events' customers
    due: Rows  # (k,) rows to sweep
    clock_us: int  # the shard's time after all of it
    until_us: int  # how far the sweep goes
    ids: list[str]  # n customers, NOBODY for records that were handed over: the last ones
    values: list[bytes | None]  # n records
    known: npt.NDArray[np.bool_]  # (n,) of whom there is one
    erased: dict[int, Erasure]  # by row, of those who are unknown or have an event that may be too old
    aliases: Aliases | None
    rules: Rules
    adoption: Adoption | None

    @property
    def horizons_us(self) -> Times:
        """The shard's time at each event."""
        times_us: Times = np.maximum(np.maximum.accumulate(self.events.occurred_us), self.head.clock_us)
        return times_us

    @property
    def swept(self) -> int:
        """Customers whose timer was due."""
        return len(self.due)

    @property
    def joins(self) -> bool:
        """Whether it may join a batch with other shards' commits: it brings no more than events and silence."""
        return self.adoption is None and self.aliases is None


class Loader:
    """Reads what commits of one shard work on."""

    def __init__(self, settings: Settings, rule_versions: RuleVersions, partition: int) -> None:
        self._settings = settings
        self._rule_versions = rule_versions
        self._partition = partition

    def load(
        self,
        plan: Plan,
        purchases: Chunk,
        interactions: Chunk,
        head: Head,
        store: Store,
        stored: Head | None = None,
        handed: Chunk | None = None,
        due: Sequence[str] | None = None,
    ) -> CommitInput:
        """Begin the commit of `plan` in the store, and load its input.

        Args:
            plan: of the commit.
            purchases: the records of that input.
            interactions: likewise.
            head: the state's, before the commit.
            store: of the shard.
            stored: the head in the store; None: it is `head`.
            handed: records that other shards handed over; None: no records.
            due: customers whose timers are due at the plan's sweep, at most its limit. For a caller who has already
                asked the store, and only without events; None: the store is asked here.

        Raises:
            ShardLostError: the store's head is another.
            TornStateError: the store lacks records that its timers or its directory name.
        """
        purchases, interactions = (refuse_nobody(each, plan.nobody) for each in (purchases, interactions))
        if plan.partitioner is not None:
            purchases, interactions = (
                refuse_misplaced(each, self._partition, plan.shards, plan.partitioner)
                for each in (purchases, interactions)
            )
        merged = merge(purchases, interactions if plan.shards else refuse_aliases(interactions), plan.future_us, handed)
        asked, in_order = _for_the_ledger(merged)
        events = merged.chunk.take(in_order)
        before, head = head, _adopt(plan, head)
        clock_us = max(head.clock_us, int(events.occurred_us.max(initial=UNKNOWN)))
        until_us = max(clock_us, plan.sweep_us)
        place: dict[str, int] = {}
        rows = [place.setdefault(customer_id, len(place)) for customer_id in events.customer_ids]
        if due is None:
            found = store.begin(stored or before, list(place), until_us, plan.sweep_limit)
            due = found.due
            due_rows = [place.setdefault(customer_id, len(place)) for customer_id in due]
        else:
            due_rows = [place.setdefault(customer_id, len(place)) for customer_id in due]
            found = store.begin(stored or before, list(place))
        page = _page(plan, head, store)
        for customer_id in page:
            place.setdefault(customer_id, len(place))
        values = found.records + store.load(list(place)[len(found.records) :])
        aliases = read_aliases(head, events, place, values, store, alone=plan.shards == 1)
        gone = sum(values[place[customer_id]] is None for customer_id in (*due, *page))
        if gone:
            raise TornStateError(f"the records of {gone} customers of shard {self._partition} are gone")
        ids = [*place, *[NOBODY] * (len(values) - len(place))]
        known = np.array([value is not None for value in values], dtype=np.bool_)
        adoption = None
        if head.adopting is not None:
            version = self._rule_versions.version(head.rules)
            old = self._rule_versions.rules(head.adopting.old)
            adoption = Adoption(old=old, at_us=head.adopting.at_us, cause=version.cause, quiet=version.quiet)
        return CommitInput(
            settings=self._settings,
            rule_versions=self._rule_versions,
            partition=self._partition,
            plan=plan,
            store=store,
            before=before,
            head=head,
            merged=merged,
            asked=asked,
            in_order=in_order,
            events=events,
            rows=np.array(rows, dtype=np.intp),
            due=np.array(due_rows, dtype=np.intp),
            clock_us=clock_us,
            until_us=until_us,
            ids=ids,
            values=values,
            known=known,
            erased=_erased(
                events, rows, ids, known, head, store, self._rule_versions.secret, everybody=aliases is not None
            ),
            aliases=aliases,
            rules=self._rule_versions.rules(head.rules),
            adoption=adoption,
        )


def _for_the_ledger(merged: OrderedInputs) -> tuple[list[MergeMessage], Rows]:
    """The merge messages that are no step of a customer, and the usable rows without them, in the shard's order."""
    in_order = merged.order[merged.chunk.usable[merged.order]]
    if not merged.chunk.merge_messages:
        return [], in_order
    asks = merged.chunk.kinds[in_order] >= Kind.CLAIM
    return [merged.chunk.merge_messages[row] for row in in_order[asks].tolist()], in_order[~asks]


def _adopt(plan: Plan, head: Head) -> Head:
    """Start adopting the plan's rules at C; a shard without customers just takes them."""
    if plan.rules == head.rules or head.adopting is not None:
        return head
    if head.population == 0:
        return msgspec.structs.replace(head, rules=plan.rules)
    adopting = Adopting(old=head.rules, at_us=head.clock_us, pages=head.pages)
    return msgspec.structs.replace(head, rules=plan.rules, adopting=adopting)


def _page(plan: Plan, head: Head, store: Store) -> list[str]:
    """Customers whom an adoption comes to in this commit."""
    if head.adopting is None:
        return []
    stop = min(head.adopting.page + plan.pages, head.adopting.pages)
    return [
        customer_id
        for number in range(head.adopting.page, stop)
        for customer_id in store.page(number)
        if customer_id != HOLE
    ]


def _erased(
    events: Chunk,
    rows: list[int],
    ids: list[str],
    known: npt.NDArray[np.bool_],
    head: Head,
    store: Store,
    secret: bytes,
    *,
    everybody: bool,
) -> dict[int, Erasure]:
    """Erasures by row: of customers who are unknown or have an event that may be too old, or of everybody."""
    if head.erasures is None:
        return {}
    asked = ~known | everybody
    asked[np.array(rows, dtype=np.intp)[events.occurred_us <= head.erasures.latest_us]] = True
    places = [row for row in np.flatnonzero(asked).tolist() if ids[row] != NOBODY]
    answers = store.erased([pseudonym(secret, ids[row]) for row in places])
    return {row: erasure for row, erasure in zip(places, answers, strict=True) if erasure is not None}
