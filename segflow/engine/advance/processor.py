"""The heart: how events, silence and new rules change customers, vectorised over a batch.

Steps 0 to 4, C and c are those of docs/architecture.md#how-one-event-is-applied.
Pure: no clock, no I/O. Customers go in and come out as columns, changes come out as columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Protocol

import numpy as np
import numpy.typing as npt

from segflow.engine.advance.apply_events import apply, untakable
from segflow.engine.advance.erasures import Erasures, start_labels
from segflow.engine.advance.forecast import NextChanges, next_changes
from segflow.engine.advance.label_codes import Codes, translate
from segflow.engine.advance.rounds import rounds
from segflow.engine.advance.silence import Silence
from segflow.engine.columns.changes import NO_EVENT, Cause, Changes, Moves, Steps
from segflow.engine.columns.events import REMEMBERED_LONG, Chunk, Kind
from segflow.segments.at_stake import AtStake, at_stake
from segflow.segments.facts import Facts, Labels, Rows, Times
from segflow.segments.model import NO_LABEL
from segflow.segments.rules import NOTHING_HELD, Rules
from segflow.state.customers import Customers
from segflow.state.layout import REMEMBERED
from segflow.state.tails import REFUNDED_MOST, REFUNDED_ORDERS


@dataclass(frozen=True, kw_only=True, slots=True)
class Adoption:
    """New rules a shard has adopted at the event time `at_us`; customers still under `old` go through it first."""

    old: Rules
    at_us: int
    cause: Cause
    quiet: bool = False  # what moves by the adoption itself is no change: neither published nor counted


class EventFlag(IntFlag):
    """The counters of a commit in which an event counts, as bits."""

    DUPLICATE = 1
    LATE = 2
    OUTDATED = 4  # from before its customer's erase, left out
    ERASED = 8  # an erase of a customer of whom something was held
    REFUSED = 16  # changed nothing, as its customer has too many open invoices


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """The work of some commits: m usable events, each shard's in its order, and k rows whose timers are due."""

    events: Chunk  # every row usable
    rows: Rows  # (m,) the events' customers
    horizons_us: Times  # (m,) C of the event's shard at the event
    due: Rows  # (k,) rows to sweep, taken out of the timer set
    until_us: Times  # (k,) how far the sweep goes
    erasures: Erasures  # of all customers; changed in place


@dataclass(frozen=True, kw_only=True, slots=True)
class Advance:
    """The result of a Work. Its customers were changed in place."""

    before: Changes | None  # what silence brought under the old rules of an adoption; before all of `changes`
    changes: Changes
    touched: npt.NDArray[np.bool_]  # (n,) customers to store
    timers: npt.NDArray[np.bool_]  # (n,) customers whose place in the timer set moved
    flags: npt.NDArray[np.uint8]  # (m,) of EventFlag
    adopted: int  # customers brought under the rules of an adoption; all of them are stored


class MergeHook(Protocol):
    """The processor's hook for merging customers (`segflow.engine.merging`)."""

    def take_events(self, processor: "Processor") -> None:
        """Take all events of the batch in their order: `Processor.take`, and what more merges ask for."""
        ...

    def erased(self, processor: "Processor", rows: Rows, events: Rows) -> None:
        """The customers of `rows` were erased by `events`, both of shape (k,)."""
        ...


def advance(
    customers: Customers, work: Work, rules: Rules, adoption: Adoption | None = None, merges: MergeHook | None = None
) -> Advance:
    """Advance `customers` by `work` under `rules`, in place.

    The order within a customer is: adoption, the events in the shard's order (each after the deadlines it makes due),
    then the sweep up to the horizon.
    """
    return Processor(customers, work, rules, merges).run(adoption)


@dataclass(slots=True)
class Processor:
    """One batch being worked. `merges`: where customers are merged in it."""

    customers: Customers
    work: Work
    rules: Rules
    merges: MergeHook | None = None
    before: Changes | None = None
    adopted: int = 0
    parts: list[Changes] = field(default_factory=list)
    touched: npt.NDArray[np.bool_] = field(init=False)
    silence: Silence = field(init=False)
    flags: npt.NDArray[np.uint8] = field(init=False)
    erases: bool = field(init=False)  # there is anything to do with erasing

    def __post_init__(self) -> None:
        self.flags = np.zeros(len(self.work.events), dtype=np.uint8)
        self.touched = np.zeros(len(self.customers), dtype=np.bool_)
        self.silence = Silence(self.customers)
        erases = self.work.erasures.concern(self.work.events.kinds)
        if erases:
            left = np.flatnonzero(~self.work.erasures.known)
            self.work.erasures.forget(self.customers, left, self.rules)
        self.erases = erases or self.merges is not None

    def run(self, adoption: Adoption | None) -> Advance:
        """See `advance`."""
        if adoption is not None:
            self._adopt(adoption)
        if self.merges is None:
            self.take(np.arange(len(self.work.events)))
        else:
            self.merges.take_events(self)
        self.pass_silence(self.work.due, self.work.until_us)
        moved = self.silence.set_timers(np.flatnonzero(self.touched), self.work.due)
        self.touched[self.work.due] = True
        return Advance(
            before=self.before,
            changes=Changes.join(self.parts, len(self.rules.models)),
            touched=self.touched,
            timers=moved,
            flags=self.flags,
            adopted=self.adopted,
        )

    def take(self, events: Rows) -> None:
        """Events in the shard's order, shape (k,): each of a customer's in a round of its own."""
        for places in rounds(self.work.rows[events]):
            self._round(events[places])

    def pass_silence(self, rows: Rows, until_us: Times, facts: Facts | None = None) -> None:
        """Step 1 for `rows`; see `Silence.pass_until`."""
        self.silence.pass_until(self.rules, rows, until_us, self._conclude_silence, facts)

    def _adopt(self, adoption: Adoption) -> None:
        """Step 1 up to the adoption under the old rules, then classify there under the new."""
        rows = np.flatnonzero(self.customers.fixed["rules"] != self.rules.version)
        if not len(rows):
            return
        self.touched[rows] = True
        self.adopted = len(rows)
        new, self.rules = self.rules, adoption.old
        facts = self.customers.facts(rows, adoption.old.looked_at | new.looked_at)
        self.pass_silence(rows, np.full(len(rows), adoption.at_us), facts)
        if self.parts:
            self.before, self.parts = Changes.join(self.parts, len(adoption.old.models)), []
        codes = self._codes(rows)
        held = {name: codes[:, new.names.index(name)] for name in new.unmoved(adoption.old)}
        previous = translate(adoption.old, new, codes)
        self.rules = new
        fixed = self.customers.fixed
        fixed["rules"][rows] = new.version
        at_us = np.maximum(fixed["concluded_us"][rows], adoption.at_us)
        fixed["concluded_us"][rows] = at_us
        for name in set(new.names) - set(adoption.old.names):
            self.customers.begin(name, rows)
        causes = np.full(len(rows), adoption.cause, dtype=np.uint8)
        self.conclude(rows, at_us, causes, facts=facts, previous=previous, held=held, quiet=adoption.quiet)

    def _round(self, events: Rows) -> None:
        """One event of each of many customers (steps 0 to 3)."""
        if self.erases:
            events = self.since_the_erase(events)
        events = events[self._fresh(events)]
        rows, horizons_us = self.work.rows[events], self.work.horizons_us[events]
        self.touched[rows] = True
        self.pass_silence(rows, horizons_us)
        if self.erases:
            erasing = self.work.events.kinds[events] == Kind.ERASE
            self._erase(rows[erasing], events[erasing])
            events, rows = events[~erasing], rows[~erasing]
        self.work.erasures.known[rows] = True
        apply(self.customers, self.work.events, self.rules, rows, events)
        fixed = self.customers.fixed
        occurred_us = self.work.events.occurred_us[events]
        late = occurred_us < fixed["concluded_us"][rows]
        self._mark(events[late], EventFlag.LATE)
        at_us = np.maximum(fixed["concluded_us"][rows], occurred_us)
        fixed["concluded_us"][rows] = at_us
        self.conclude(rows, at_us, np.where(late, Cause.LATE, Cause.EVENT).astype(np.uint8), events)

    def since_the_erase(self, events: Rows) -> Rows:
        """The events but for those from before their customer's erase; they change nothing at all."""
        rows, erasures = self.work.rows[events], self.work.erasures
        erasures.expire(self.customers, rows, self.work.horizons_us[events], self.rules)
        out = erasures.outdated(rows, self.work.events.occurred_us[events], self.work.events.kinds[events])
        self._mark(events[out], EventFlag.OUTDATED)
        return events[~out]

    def _erase(self, rows: Rows, events: Rows) -> None:
        """Forget `rows`; of those of whom anything was known, every label becomes null, and that is the receipt."""
        if not len(rows):
            return
        fixed, erasures = self.customers.fixed, self.work.erasures
        occurred_us = self.work.events.occurred_us[events]
        known = erasures.known[rows]
        published = rows[known]
        self._mark(events[known], EventFlag.ERASED)
        late = occurred_us[known] < fixed["concluded_us"][published]
        self._mark(events[known][late], EventFlag.LATE)
        at_us = np.maximum(fixed["concluded_us"][published], occurred_us[known])
        self.publish_gone(published, at_us, Cause.ERASE)
        erasures.note(rows, occurred_us, published, at_us, fixed["changes"][published], self.rules)
        erasures.forget(self.customers, rows, self.rules)
        self.silence.end(rows)
        if self.merges is not None:
            self.merges.erased(self, rows, events)

    def _mark(self, events: Rows, flag: EventFlag) -> None:
        self.flags[events] |= np.uint8(flag)

    def publish_gone(self, rows: Rows, at_us: Times, cause: Cause) -> None:
        """Every label of `rows` becomes null: the last that is published of them as long as they do not come back."""
        if not len(rows):
            return
        old = self._codes(rows)
        nobody = Customers.unknown([""] * len(rows), start_labels(self.rules), 0, self.rules.kept)
        self._note(
            rows,
            nobody.facts(slice(None), self.rules.looked_at),
            at_us,
            np.full(len(rows), cause, dtype=np.uint8),
            np.full(len(rows), NO_EVENT, dtype=np.int64),
            old,
            np.full_like(old, NO_LABEL),
            quiet=False,
            ahead=False,
        )

    def _fresh(self, events: Rows) -> npt.NDArray[np.bool_]:
        """Step 0: which events are neither duplicates nor refused; they are remembered."""
        rows = self.work.rows[events]
        identities = self.work.events.identities[events]
        duplicate = np.zeros(len(events), dtype=np.bool_)
        for seen in self.customers.seen:
            duplicate |= (seen[rows] == identities[:, None]).any(axis=1)
        orders = self.work.events.refunded_orders[events]
        full = np.flatnonzero(orders)
        if len(full):
            refunded = self.customers.tails[REFUNDED_ORDERS]["key"]
            duplicate[full] |= (refunded[rows[full]] == orders[full, None]).any(axis=1)
        self._mark(events[duplicate], EventFlag.DUPLICATE)
        refused = ~duplicate & untakable(self.customers, self.work.events, self.rules, rows, events)
        self._mark(events[refused], EventFlag.REFUSED)
        fresh = ~duplicate & ~refused
        long = self.work.events.kinds[events] <= REMEMBERED_LONG
        for memory, mine in ((0, fresh & long), (1, fresh & ~long)):
            self.remember(memory, rows[mine], identities[mine])
        if len(full):
            full = full[fresh[full]]
            self._remember_refunds(rows[full], orders[full])
        return fresh

    def _remember_refunds(self, rows: Rows, orders: npt.NDArray[np.uint64]) -> None:
        """Keep orders refunded in full of `rows`, one each; the oldest makes room."""
        refunded = self.customers.tails[REFUNDED_ORDERS]["key"]
        held = np.count_nonzero(refunded[rows], axis=1)
        crowded = rows[held == REFUNDED_MOST]
        refunded[crowded, :-1] = refunded[crowded, 1:]
        refunded[rows, np.minimum(held, REFUNDED_MOST - 1)] = orders

    def remember(self, memory: int, rows: Rows, identities: npt.NDArray[np.uint64]) -> None:
        """Keep event ids of `rows`, one each, in one of the two memories; the oldest makes room."""
        if not len(rows):
            return
        seen, limit = self.customers.seen[memory], REMEMBERED[memory]
        counts = self.customers.fixed["remembered"][:, memory]
        held = counts[rows]
        full = rows[held == limit]
        seen[full, :-1] = seen[full, 1:]
        seen[rows, np.minimum(held, limit - 1)] = identities
        counts[rows] = np.minimum(held + 1, limit)

    def _conclude_silence(self, rows: Rows, at_us: Times, facts: Facts) -> None:
        """Classify at a deadline; it concludes the customer only where a label changed."""
        self.conclude(rows, at_us, np.full(len(rows), Cause.TIME, dtype=np.uint8), facts=facts)

    def _codes(self, rows: Rows) -> Labels:
        return self.customers.labels(self.rules.names, rows)

    def conclude(
        self,
        rows: Rows,
        at_us: Times,
        causes: npt.NDArray[np.uint8],
        events: Rows | None = None,
        *,
        facts: Facts | None = None,
        previous: Codes | None = None,
        held: Mapping[str, Labels] = NOTHING_HELD,
        quiet: bool = False,
    ) -> None:
        """Classify `rows` at their moments and note what moved.

        `facts`: theirs, where they are at hand. `previous`: the labels before, where rules change. `held`: those of
        dimensions that are known to stay as they are; their deadlines are among those that are known already.
        """
        if not len(rows):
            return
        facts = self.customers.facts(rows, self.rules.looked_at) if facts is None else facts
        new = self.rules.classify(facts, at_us, held)
        old: Codes | Labels = self._codes(rows) if previous is None else previous
        if previous is not None:
            self.customers.relabel(self.rules.names, rows, new)  # a label that stays may have another code
        moved = new != old
        some = moved.any(axis=1)
        if some.any():
            taken = np.flatnonzero(some)
            happened = events[taken] if events is not None else np.full(len(taken), NO_EVENT, dtype=np.int64)
            self._note(
                rows[taken], facts.take(taken), at_us[taken], causes[taken], happened, old[taken], new[taken], quiet
            )
        due_us = self.rules.deadline(facts, at_us, new, held)
        self.silence.expect(rows, np.minimum(self.silence.due_us[rows], due_us) if held else due_us)

    def _note(
        self,
        rows: Rows,
        facts: Facts,
        at_us: Times,
        causes: npt.NDArray[np.uint8],
        events: npt.NDArray[np.int64],
        old: Codes | Labels,
        new: Labels,
        quiet: bool,
        *,
        ahead: bool = True,
    ) -> None:
        """Write the new labels into the records and, if not `quiet`, one change a dimension that moved.

        `ahead`: whether silence may bring these customers anything more.
        """
        fixed = self.customers.fixed
        moved = new != old
        published = np.zeros_like(moved) if quiet else moved
        step, dimension = np.nonzero(published)  # by customer, then in the settings' order
        count = np.count_nonzero(published, axis=1)
        versions = fixed["changes"][rows].astype(np.int64) + count
        move_versions = (versions - count)[:, None] + np.cumsum(published, axis=1)
        since_us = self.customers.since_us(self.rules.names, rows)
        fixed["changes"][rows] = versions
        for column, name in enumerate(self.rules.names):
            mine = moved[:, column]
            self.customers.move(name, rows[mine], new[mine, column], at_us[mine])
        fixed["concluded_us"][rows] = at_us
        self.touched[rows] = True
        coming = next_changes(self.rules, facts, at_us, new) if ahead else NextChanges.none(len(rows))
        stakes = self._at_stake(facts, at_us, new, published)
        steps = Steps(
            rows=rows,
            effective_us=at_us,
            causes=causes,
            events=events,
            labels=new,
            since_us=np.where(moved, at_us[:, None], since_us),
            versions=versions,
            first_us=facts.first_us,
            last_us=facts.last_us,
            orders=facts.orders,
            net_minor=facts.net_minor,
            last_12_months_minor=stakes.last_12_months_minor,
            clv_minor=stakes.clv_minor,
            next_dimensions=coming.dimensions,
            next_labels=coming.labels,
            next_us=coming.at_us,
        )
        moves = Moves(
            steps=step,
            dimensions=dimension,
            previous=old[published].astype(np.int16),
            current=new[published],
            previous_since_us=since_us[published],
            versions=move_versions[published],
        )
        self.parts.append(Changes(steps=steps, moves=moves))

    def _at_stake(self, facts: Facts, at_us: Times, labels: Labels, published: npt.NDArray[np.bool_]) -> AtStake:
        """The money at stake of customers with a change that is an alert; unknown for all others."""
        stakes = AtStake.unknown(len(at_us))
        if not self.rules.actions.alerts:
            return stakes
        rows = np.flatnonzero((published & self.rules.alerts(labels)).any(axis=1))
        if len(rows):
            found = at_stake(self.rules, facts.take(rows), at_us[rows])
            stakes.last_12_months_minor[rows] = found.last_12_months_minor
            stakes.clv_minor[rows] = found.clv_minor
        return stakes
