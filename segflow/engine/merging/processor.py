"""Two customers who are one (`alias`), within a batch. Pure.

Where there is one shard, all of it is in that one, and happens in the step of the alias. Where there are more, a shard
does its part and sends a message to the next (docs/decisions/049-alias-decided-by-shard-0.md). Events around those of
aliases are worked in stretches, each vectorised as ever.
"""

from dataclasses import dataclass, field

import msgspec
import numpy as np

from segflow.engine.advance.processor import Adoption, Advance, Advancing, Work
from segflow.engine.advance.rounds import rounds
from segflow.engine.columns.changes import Cause
from segflow.engine.columns.events import Kind
from segflow.engine.columns.merge_messages import CLAIM, ERASED, EVENT, TRANSFER, MergeMessage
from segflow.segments.facts import Rows, Times
from segflow.segments.instant import NEVER
from segflow.segments.rules import Rules
from segflow.state import record
from segflow.state.customers import Customers
from segflow.state.merging import merge
from segflow.state.redirect import Redirect
from segflow.state.store import LedgerEntry


@dataclass(slots=True, kw_only=True)
class Aliases:
    """What of a batch's customers and events has to do with aliases. Mutable, as Customers is."""

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


def advance(
    customers: Customers, work: Work, rules: Rules, adoption: Adoption | None, aliases: Aliases | None
) -> Advance:
    """As streams.processor.advance, with aliases where there are any."""
    kind = Advancing if aliases is None else _Merging
    advancing = kind(customers, work, rules)
    if aliases is not None and isinstance(advancing, _Merging):
        advancing.aliases, advancing.erases = aliases, True
    return advancing.run(adoption)


class _Merging(Advancing):
    """An alias, and whatever is handed over, is worked alone; so is an erase, which ends redirection."""

    aliases: Aliases
    _event: int = 0  # the one that is worked alone

    def _take_events(self) -> None:
        kinds = self.work.events.kinds
        start = 0
        for event in np.flatnonzero(kinds >= Kind.ERASE).tolist():
            self._together(np.arange(start, event))
            self._alone(event)
            start = event + 1
        self._together(np.arange(start, len(kinds)))

    def _together(self, events: Rows) -> None:
        events = self._of_their_customers(events)
        for places in rounds(self.work.rows[events]):
            self._round(events[places])

    def _alone(self, event: int) -> None:
        self._event = event
        kind, row = self.work.events.kinds[event], int(self.work.rows[event])
        if kind == Kind.APPROVE:
            self._approved(event, row)
        elif kind == Kind.UNLINK:
            if row in self.aliases.redirects:
                self._unlink(row, int(self.work.events.occurred_us[event]))
        elif not len(self._of_their_customers(np.array([event]))):
            return  # handed over
        elif kind == Kind.ERASE:
            self._round(np.array([event]))
        else:
            self._alias(event, int(self.work.rows[event]))

    def _of_their_customers(self, events: Rows) -> Rows:
        """Give events under an id that became another's to that customer; those of other shards are handed over."""
        redirects, rows = self.aliases.redirects, self.work.rows
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

    def _alias(self, event: int, row: int) -> None:
        """An alias of the customer of `row`, or the transfer that follows one."""
        one = np.array([event])
        if not len(self._since_the_erase(one)):
            return
        asked = self.aliases.merge_messages[event]
        guest = self.aliases.guests.get(event)
        transferred = self.work.events.kinds[event] == Kind.TRANSFER
        if guest is not None:
            self._merge(event, row, guest)
        elif transferred or self._is_duplicate(event, row) or asked.previous == self.customers.ids[row]:
            self._round(one)
        elif self.aliases.alone:
            self._alias_here(event, row, self.aliases.rows[asked.previous])
        else:
            self.aliases.claimed += 1
            concluded_us = int(self.customers.fixed["concluded_us"][row])
            self._send(
                event,
                MergeMessage(kind=CLAIM),
                previous=asked.previous,
                customer=self.customers.ids[row],
                concluded_us=max(concluded_us, int(self.work.events.occurred_us[event])),
            )

    def _alias_here(self, event: int, row: int, previous: int) -> None:
        """Both customers are in this shard, which decides, too: an id is merged once, and never into itself."""
        if previous in self.aliases.redirects or previous == row:
            self._round(np.array([event]))
            return
        self.aliases.claimed += 1
        self.aliases.ledger.append(LedgerEntry(self.customers.ids[previous], self.customers.ids[row], holds=True))
        if self.work.erasures.known[previous]:
            self._silence(np.array([previous]), self.work.horizons_us[[event]])
            self._merge(event, row, previous, tell=True)
        else:
            self._redirect(previous, row_id=self.customers.ids[row])
            self._round(np.array([event]))

    def _merge(self, event: int, row: int, other: int, *, tell: bool = False) -> None:
        """The event is an alias, and the record of `other` is added to that of `row`.

        `tell`: changes of `other` are published, too.
        """
        rows, fixed = np.array([row]), self.customers.fixed
        self.touched[row] = True
        horizon_us = self.work.horizons_us[[event]]
        if self.due_us[row] <= horizon_us[0]:
            self._silence(rows, horizon_us)
        duplicate = self._is_duplicate(event, row)
        merge(self.customers, rows, self.customers.take(np.array([other])), self.rules.window_slots)
        at_us = np.maximum(fixed["concluded_us"][rows], self.work.events.occurred_us[[event]])
        if tell:
            self._tell_merged(other, at_us)
            self._redirect(other, row_id=self.customers.ids[row])
        if not duplicate:
            self._remember(1, rows, self.work.events.identities[[event]])
        fixed["concluded_us"][rows] = at_us
        self.work.erasures.known[row] = True
        self.aliases.merged += 1
        self._conclude(rows, at_us, np.array([Cause.MERGE], dtype=np.uint8))

    def _approved(self, event: int, row: int) -> None:
        """The customer of `row` becomes another: what is held of it goes there, what comes under its id later, too."""
        asked = self.aliases.merge_messages[event]
        if row in self.aliases.redirects:
            return  # sent twice, where nothing keeps a record from being written twice
        transfer = MergeMessage(kind=TRANSFER, to=asked.customer, previous=asked.previous, customer=asked.customer)
        if self.work.erasures.known[row]:
            rows = np.array([row])
            self._silence(rows, self.work.horizons_us[[event]])
            held = record.encode(self.customers.take(rows))[0]
            at_us = np.maximum(self.customers.fixed["concluded_us"][rows], asked.concluded_us)
            self._tell_merged(row, at_us)
            self._send(event, transfer, record=held)
        else:
            self._send(event, transfer)
        self._redirect(row, row_id=asked.customer)

    def _tell_merged(self, row: int, at_us: Times) -> None:
        """All labels become null, and what stays is as after an erase, but for the time of one."""
        rows, erasures = np.array([row]), self.work.erasures
        self._tell_gone(rows, at_us, Cause.MERGE)
        erasures.published_us[rows] = at_us
        erasures.versions[rows] = self.customers.fixed["changes"][rows]
        erasures.rules[rows] = self.rules.version
        erasures.dimensions[self.rules.version] = self.rules.names
        self.aliases.gone.add(row)

    def _redirect(self, row: int, row_id: str) -> None:
        """What comes under the id of `row` is of another customer from now on."""
        erasures = self.work.erasures
        self.aliases.redirects[row] = Redirect(
            to=row_id,
            published_us=int(erasures.published_us[row]),
            version=int(erasures.versions[row]),
            rules=int(erasures.rules[row]),
        )
        self.aliases.moved.add(row)
        self._blank(row)

    def _unlink(self, row: int, erased_us: int) -> None:
        """The id of `row` redirects no more: the customer it became was erased, and it with that one."""
        erasures, redirect = self.work.erasures, self.aliases.redirects.pop(row)
        self.aliases.moved.add(row)
        erasures.at_us[row], erasures.published_us[row] = erased_us, redirect.published_us
        erasures.versions[row], erasures.rules[row] = redirect.version, redirect.rules
        erasures.new[row] = True
        if self.aliases.alone:
            self.aliases.ledger.append(LedgerEntry(self.customers.ids[row], redirect.to, holds=False))
        self._blank(row)

    def _blank(self, row: int) -> None:
        rows = np.array([row])
        self.work.erasures.known[row] = False
        self.work.erasures.forget(self.customers, rows, self.rules)
        self.touched[row] = True
        self.due_us[row] = NEVER

    def _erase(self, rows: Rows, events: Rows) -> None:
        super()._erase(rows, events)
        occurred_us = self.work.events.occurred_us[events]
        for row, erased_us in zip(rows.tolist(), occurred_us.tolist(), strict=True):
            if not self.aliases.alone:
                self._send(self._event, MergeMessage(kind=ERASED), customer=self.customers.ids[row])
                continue
            for other in [each for each in self.aliases.redirects if self._end_of(each) == row]:
                self._unlink(other, erased_us)

    def _is_duplicate(self, event: int, row: int) -> bool:
        identity = self.work.events.identities[event]
        return any((seen[row] == identity).any() for seen in self.customers.seen)
