"""Two customers who are one (`alias`), within a batch. Pure.

Where there is one shard, all of it is in that one, and happens in the step of the alias. Where there are more, a shard
does its part and sends a message to the next (docs/decisions/049-alias-decided-by-shard-0.md). Events around those of
aliases are worked in stretches, each vectorised as ever.
"""

from dataclasses import dataclass, field

import msgspec
import numpy as np

from segflow.engine.advance.processor import Processor
from segflow.engine.columns.changes import Cause
from segflow.engine.columns.events import Kind
from segflow.engine.columns.merge_messages import CLAIM, ERASED, EVENT, TRANSFER, MergeMessage
from segflow.segments.facts import Rows, Times
from segflow.state import record
from segflow.state.merging import merge, remembered_by_both
from segflow.state.redirect import Redirect
from segflow.state.store import LedgerEntry


@dataclass(slots=True, kw_only=True)
class Aliases:
    """The aliases, redirects and merge messages of a batch. Mutable, as Customers is."""

    alone: bool  # one shard has all customers
    rows: dict[str, int]  # customer id → row, of all who are loaded
    redirects: dict[int, Redirect]  # by row, of ids that became another's
    merge_messages: dict[int, MergeMessage]  # by event
    guests: dict[int, int] = field(default_factory=dict)  # by event: the row of the record that was handed over with it
    before: set[int] = field(default_factory=set)  # rows that redirected before
    moved: set[int] = field(default_factory=set)  # rows that began or ceased to redirect
    gone: set[int] = field(default_factory=set)  # rows of customers who became another
    ledger: list[LedgerEntry] = field(default_factory=list)  # where one shard has all customers
    sent: list[tuple[int, MergeMessage]] = field(default_factory=list)  # by which event, in their order
    claimed: int = 0  # aliases of customers of this shard
    merged: int = 0  # customers of whom something was held
    repeats: int = 0  # events that both of a merge remember: both have counted them


@dataclass(frozen=True, slots=True)
class Merges:
    """The processor's hook for merges.

    An alias, and whatever is handed over, is worked alone; so is an erase, which ends redirects. The processor is
    passed on and not kept: a circle of both would outlive the batch.
    """

    aliases: Aliases

    def take_events(self, processor: Processor) -> None:
        """See MergeHook."""
        kinds = processor.work.events.kinds
        start = 0
        for event in np.flatnonzero(kinds >= Kind.ERASE).tolist():
            processor.take(self._of_their_customers(processor, np.arange(start, event)))
            self._alone(processor, event)
            start = event + 1
        processor.take(self._of_their_customers(processor, np.arange(start, len(kinds))))

    def erased(self, processor: Processor, rows: Rows, events: Rows) -> None:
        """See MergeHook."""
        occurred_us = processor.work.events.occurred_us[events]
        for row, event, erased_us in zip(rows.tolist(), events.tolist(), occurred_us.tolist(), strict=True):
            if not self.aliases.alone:
                self._send(event, MergeMessage(kind=ERASED), customer=processor.customers.ids[row])
                continue
            for other in [each for each in self.aliases.redirects if self._end_of(each) == row]:
                self._unlink(processor, other, erased_us)

    def _alone(self, processor: Processor, event: int) -> None:
        kind, row = processor.work.events.kinds[event], int(processor.work.rows[event])
        if kind == Kind.APPROVE:
            self._approved(processor, event, row)
        elif kind == Kind.UNLINK:
            if row in self.aliases.redirects:
                self._unlink(processor, row, int(processor.work.events.occurred_us[event]))
        elif not len(self._of_their_customers(processor, np.array([event]))):
            return  # handed over
        elif kind == Kind.ERASE:
            processor.take(np.array([event]))
        else:
            self._alias(processor, event, int(processor.work.rows[event]))

    def _of_their_customers(self, processor: Processor, events: Rows) -> Rows:
        """Give events under an id that became another's to that customer; those of other shards are handed over."""
        redirects, rows = self.aliases.redirects, processor.work.rows
        if not redirects:
            return events
        elsewhere = np.isin(rows[events], list(redirects))
        for event in events[elsewhere].tolist():
            if self.aliases.alone:
                rows[event] = self._end_of(int(rows[event]))
            else:
                here = self.aliases.merge_messages.get(event, MergeMessage(kind=EVENT))
                kind = TRANSFER if here.kind == TRANSFER else EVENT
                self._send(event, here, kind=kind, to=redirects[int(rows[event])].to)
        return events if self.aliases.alone else events[~elsewhere]

    def _end_of(self, row: int) -> int:
        while row in self.aliases.redirects:
            row = self.aliases.rows[self.aliases.redirects[row].to]
        return row

    def _send(self, event: int, base: MergeMessage, **fields: object) -> None:
        self.aliases.sent.append((event, msgspec.structs.replace(base, **fields)))

    def _alias(self, processor: Processor, event: int, row: int) -> None:
        """An alias of the customer of `row`, or the transfer that follows one."""
        one = np.array([event])
        if not len(processor.since_the_erase(one)):
            return
        asked = self.aliases.merge_messages[event]
        guest = self.aliases.guests.get(event)
        transferred = processor.work.events.kinds[event] == Kind.TRANSFER
        if guest is not None:
            self._merge(processor, event, row, guest)
        elif transferred or self._is_duplicate(processor, event, row) or asked.previous == processor.customers.ids[row]:
            processor.take(one)
        elif self.aliases.alone:
            self._alias_here(processor, event, row, self.aliases.rows[asked.previous])
        else:
            self.aliases.claimed += 1
            concluded_us = int(processor.customers.fixed["concluded_us"][row])
            self._send(
                event,
                MergeMessage(kind=CLAIM),
                previous=asked.previous,
                customer=processor.customers.ids[row],
                concluded_us=max(concluded_us, int(processor.work.events.occurred_us[event])),
            )

    def _alias_here(self, processor: Processor, event: int, row: int, previous: int) -> None:
        """Both customers are in this shard, which decides, too: an id is merged once, and never into itself."""
        if previous in self.aliases.redirects or previous == row:
            processor.take(np.array([event]))
            return
        self.aliases.claimed += 1
        self.aliases.ledger.append(
            LedgerEntry(processor.customers.ids[previous], processor.customers.ids[row], holds=True)
        )
        if processor.work.erasures.known[previous]:
            processor.pass_silence(np.array([previous]), processor.work.horizons_us[[event]])
            self._merge(processor, event, row, previous, publish=True)
        else:
            self._redirect(processor, previous, row_id=processor.customers.ids[row])
            processor.take(np.array([event]))

    def _merge(self, processor: Processor, event: int, row: int, other: int, *, publish: bool = False) -> None:
        """The event is an alias, and the record of `other` is added to that of `row`.

        `publish`: changes of `other` are published, too.
        """
        rows, fixed = np.array([row]), processor.customers.fixed
        processor.touched[row] = True
        horizon_us = processor.work.horizons_us[[event]]
        processor.pass_silence(rows, horizon_us)
        duplicate = self._is_duplicate(processor, event, row)
        self.aliases.repeats += remembered_by_both(processor.customers, row, other)
        merge(processor.customers, rows, processor.customers.take(np.array([other])), processor.rules.window_slots)
        at_us = np.maximum(fixed["concluded_us"][rows], processor.work.events.occurred_us[[event]])
        if publish:
            self._publish_merged(processor, other, at_us)
            self._redirect(processor, other, row_id=processor.customers.ids[row])
        if not duplicate:
            processor.remember(1, rows, processor.work.events.identities[[event]])
        fixed["concluded_us"][rows] = at_us
        processor.work.erasures.known[row] = True
        self.aliases.merged += 1
        processor.conclude(rows, at_us, np.array([Cause.MERGE], dtype=np.uint8))

    def _approved(self, processor: Processor, event: int, row: int) -> None:
        """The customer of `row` becomes another: what is held of it goes there, what comes under its id later, too."""
        asked = self.aliases.merge_messages[event]
        if row in self.aliases.redirects:
            return  # sent twice, where nothing keeps a record from being written twice
        transfer = MergeMessage(kind=TRANSFER, to=asked.customer, previous=asked.previous, customer=asked.customer)
        if processor.work.erasures.known[row]:
            rows = np.array([row])
            processor.pass_silence(rows, processor.work.horizons_us[[event]])
            held = record.encode(processor.customers.take(rows))[0]
            at_us = np.maximum(processor.customers.fixed["concluded_us"][rows], asked.concluded_us)
            self._publish_merged(processor, row, at_us)
            self._send(event, transfer, record=held)
        else:
            self._send(event, transfer)
        self._redirect(processor, row, row_id=asked.customer)

    def _publish_merged(self, processor: Processor, row: int, at_us: Times) -> None:
        """All labels become null, and what stays is as after an erase, but for the time of one."""
        rows, erasures = np.array([row]), processor.work.erasures
        processor.publish_gone(rows, at_us, Cause.MERGE)
        erasures.published_us[rows] = at_us
        erasures.versions[rows] = processor.customers.fixed["changes"][rows]
        erasures.rules[rows] = processor.rules.version
        erasures.dimensions[processor.rules.version] = processor.rules.names
        self.aliases.gone.add(row)

    def _redirect(self, processor: Processor, row: int, row_id: str) -> None:
        """Redirect events under the id of `row` to another customer from now on."""
        erasures = processor.work.erasures
        self.aliases.redirects[row] = Redirect(
            to=row_id,
            published_us=int(erasures.published_us[row]),
            version=int(erasures.versions[row]),
            rules=int(erasures.rules[row]),
        )
        self.aliases.moved.add(row)
        self._blank(processor, row)

    def _unlink(self, processor: Processor, row: int, erased_us: int) -> None:
        """The id of `row` redirects no more: the customer it became was erased, and it with that one."""
        erasures, redirect = processor.work.erasures, self.aliases.redirects.pop(row)
        self.aliases.moved.add(row)
        erasures.at_us[row], erasures.published_us[row] = erased_us, redirect.published_us
        erasures.versions[row], erasures.rules[row] = redirect.version, redirect.rules
        erasures.new[row] = True
        if self.aliases.alone:
            self.aliases.ledger.append(LedgerEntry(processor.customers.ids[row], redirect.to, holds=False))
        self._blank(processor, row)

    def _blank(self, processor: Processor, row: int) -> None:
        rows = np.array([row])
        processor.work.erasures.known[row] = False
        processor.work.erasures.forget(processor.customers, rows, processor.rules)
        processor.touched[row] = True
        processor.silence.end(rows)

    def _is_duplicate(self, processor: Processor, event: int, row: int) -> bool:
        identity = processor.work.events.identities[event]
        return any((seen[row] == identity).any() for seen in processor.customers.seen)
