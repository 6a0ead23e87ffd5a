"""One commit of one shard: decode is done, here is load, advance, and what to write and publish.

Everything a commit depends on beside its input and the stored state stands in its plan, so that it can be done again
from the journal to the same result.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.settings import Settings
from segments.instant import UNKNOWN
from segments.rules import Rules
from state import record
from state.customers import Customers
from state.erasure import Erasure, pseudonym
from state.head import PAGE_CUSTOMERS, Adopting, Head
from state.head import Erasures as Between
from state.store import HOLE, Store, TornStateError, Write
from streams import alias_store
from streams.aliasing import Aliases, advance
from streams.book import Book
from streams.changes import Changes
from streams.dead_letters import dead_letters
from streams.encode import Encoder, Publication
from streams.erasing import Erasures, start_labels
from streams.errand import Errand
from streams.events import HANDOVER, Chunk, Kind
from streams.merge import Merged, merge, refuse_aliases, refuse_invoices
from streams.messages import Message, Messages
from streams.plan import Plan
from streams.processor import Adoption, Advance, Work
from streams.rulebook import Rulebook

DIGEST_BYTES: Final = 16
"""Of the hash over a commit's change ids: no two commits that differ share it."""

LET_GO_MAX: Final = 1000
"""Erased customers of whom a commit lets go what stayed of them long enough; more wait for the next commits."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a commit writes and publishes."""

    write: Write
    changes: Messages
    alerts: Messages
    make_current: Callable[[], Messages]  # of the customers that changed; only who publishes them needs them
    dead: list[Message]
    dead_kinds: list[str]
    events: int
    duplicates: int
    late: int
    outdated: int  # events from before their customer's erase
    erased: int  # customers of whom something was held
    merged: int  # customers who became another, and of whom something was held
    handover: list[tuple[int, Message]]  # for other shards, and for this one later: partition and record
    swept: int
    told: list[tuple[Rules, Changes]]  # the changes as columns, and the rules they were made under
    adopts: int | None  # version of the rules adopted before the events, None where none were
    digest: str  # hash of the changes' content, for the journal

    @property
    def current(self) -> Messages:
        """The segments of each customer that changed, made anew each time."""
        return self.make_current()


class Executor:
    """Executes plans on one shard's store. Pure but for the store's reads."""

    def __init__(self, settings: Settings, rulebook: Rulebook, partition: int) -> None:
        self._settings = settings
        self._rulebook = rulebook
        self._partition = partition
        self._encoder = Encoder(settings.currency)

    def execute(
        self,
        plan: Plan,
        purchases: Chunk,
        interactions: Chunk,
        head: Head,
        store: Store,
        stored: Head | None = None,
        handed: Chunk | None = None,
    ) -> Outcome:
        """The outcome of `plan` on the state behind `head`, whose inputs `purchases` and `interactions` are.

        `handed`: what other shards have handed over, None: nothing.

        Begins the commit in the store, whose head is `stored`, or `head` where that is None.

        Raises:
            ShardLostError: it is another.
            TornStateError: the store lacks records that its timers or its directory name.
        """
        merged = merge(purchases, interactions if plan.shards else refuse_aliases(interactions), plan.future_us, handed)
        asked, in_order = _for_the_book(merged)
        events = merged.chunk.take(in_order)
        before, head = head, self._adopt(plan, head)
        clock_us = max(head.clock_us, int(events.occurred_us.max()) if len(events) else UNKNOWN)
        horizon_us = max(clock_us, plan.sweep_us)
        place: dict[str, int] = {}
        rows = [place.setdefault(customer_id, len(place)) for customer_id in events.customer_ids]
        found = store.begin(stored or before, list(place), horizon_us, plan.sweep_limit)
        due_rows = [place.setdefault(customer_id, len(place)) for customer_id in found.due]
        page = self._page(plan, head, store)
        for customer_id in page:
            place.setdefault(customer_id, len(place))
        rules = self._rulebook.rules(head.rules)
        values = found.records + store.load(list(place)[len(found.records) :])
        aliases = alias_store.read(head, events, place, values, store, alone=plan.shards == 1)
        guests = len(values) - len(place)
        ids = [*place, *[""] * guests]
        old = None if head.adopting is None else self._rulebook.rules(head.adopting.old)
        kept = rules.kept if old is None else (*rules.kept, *old.kept)
        customers = record.decode(ids, values, start_labels(rules), rules.version, kept)
        gone = [customer_id for customer_id in (*found.due, *page) if values[place[customer_id]] is None]
        if gone:
            raise TornStateError(
                f"the records of {len(gone)} customers of shard {self._partition} are gone: {gone[:5]}"
            )
        if guests:
            customers.fixed["rules"][-guests:] = rules.version  # their labels are nobody's
        known = np.array([value is not None for value in values], dtype=np.bool_)
        work = Work(
            events=events,
            rows=np.array(rows, dtype=np.intp),
            clock_us=head.clock_us,
            due=np.array(due_rows, dtype=np.intp),
            horizon_us=horizon_us,
            erasures=self._erasures(plan, events, rows, ids, known, head, store, aliases),
        )
        adoption = None
        if head.adopting is not None and old is not None:
            version = self._rulebook.version(head.rules)
            adoption = Adoption(old=old, at_us=head.adopting.at_us, cause=version.cause, quiet=version.quiet)
        done = advance(customers, work, rules, adoption, aliases)
        assert done.clock_us == clock_us
        merged = refuse_invoices(merged, in_order[done.refused])
        customers.keep(rules.kept)
        at = Publication(detected_us=plan.wall_us, position=self._position(plan), mode=plan.mode)
        encoded = [self._encoder.encode(done.changes, customers, events.event_ids, rules, old, at)]
        told = [(rules, done.changes)]
        if done.before is not None and old is not None:
            first = self._encoder.encode(done.before, customers, events.event_ids, old, None, at, done.changes)
            encoded.insert(0, first)
            told.insert(0, (old, done.before))
        book = Book(store)
        errands = [errand for each in asked for errand in book.take(each)]
        if aliases is not None:
            sides = merged.sides[in_order]
            errands += alias_store.handed_over(self._settings, self._partition, events, sides, aliases.sent)
        handover = alias_store.messages(self._settings, plan.shards, errands)
        return Outcome(
            write=self._write(plan, head, store, customers, done, known, work.erasures, aliases, book),
            changes=Messages.join([each.changes for each in encoded]),
            alerts=Messages.join([each.alerts for each in encoded]),
            make_current=lambda: Messages.join([each.current() for each in encoded]),
            dead=dead_letters(self._settings.kafka.topics, self._partition, merged),
            dead_kinds=[why.kind for why in merged.chunk.unusable.values()],
            events=int(np.count_nonzero(merged.chunk.usable & (merged.sides != HANDOVER))),
            duplicates=done.duplicates,
            late=done.late,
            outdated=done.outdated,
            erased=done.erased,
            merged=0 if aliases is None else aliases.merged,
            handover=handover,
            swept=len(found.due),
            told=told,
            adopts=head.rules if head.rules != before.rules else None,
            digest=_digest([*(each.change_ids for each in encoded), *(each.value for _, each in handover)]),
        )

    def _adopt(self, plan: Plan, head: Head) -> Head:
        """Start adopting the plan's rules at C; a shard without customers just takes them."""
        if plan.rules == head.rules or head.adopting is not None:
            return head
        if head.population == 0:
            return msgspec.structs.replace(head, rules=plan.rules)
        pages = -(-head.population // PAGE_CUSTOMERS)
        adopting = Adopting(old=head.rules, at_us=head.clock_us, pages=pages)
        return msgspec.structs.replace(head, rules=plan.rules, adopting=adopting)

    def _page(self, plan: Plan, head: Head, store: Store) -> list[str]:
        if head.adopting is None:
            return []
        stop = min(head.adopting.page + plan.pages, head.adopting.pages)
        return [
            customer_id
            for number in range(head.adopting.page, stop)
            for customer_id in store.page(number)
            if customer_id != HOLE
        ]

    def _erasures(
        self,
        plan: Plan,
        events: Chunk,
        rows: list[int],
        ids: list[str],
        known: Flags,
        head: Head,
        store: Store,
        aliases: Aliases | None,
    ) -> Erasures:
        """What stays of erased customers: of those who are unknown or have an event that may be too old."""
        forwards = [] if aliases is None else list(aliases.forwards.values())
        versions = {forward.rules for forward in forwards if forward.told_us != UNKNOWN}
        if head.erasures is None:
            return Erasures.of(known.copy(), {}, self._names(versions), plan.erased_for_us)
        asked = ~known if aliases is None else np.ones(len(known), dtype=np.bool_)
        asked[np.array(rows, dtype=np.intp)[events.occurred_us <= head.erasures.latest_us]] = True
        places = [row for row in np.flatnonzero(asked).tolist() if ids[row]]
        answers = store.erased([pseudonym(self._rulebook.secret, ids[row]) for row in places])
        found = {row: erasure for row, erasure in zip(places, answers, strict=True) if erasure is not None}
        versions |= {erasure.rules for erasure in found.values() if erasure.told_us != UNKNOWN}
        return Erasures.of(known.copy(), found, self._names(versions), plan.erased_for_us)

    def _names(self, versions: set[int]) -> dict[int, tuple[str, ...]]:
        """The dimensions of versions of the rules."""
        return {version: self._rulebook.rules(version).names for version in versions}

    def _write(
        self,
        plan: Plan,
        head: Head,
        store: Store,
        customers: Customers,
        done: Advance,
        known: Flags,
        erasures: Erasures,
        aliases: Aliases | None,
        book: Book,
    ) -> Write:
        stored = customers.take(np.flatnonzero(done.touched & erasures.known))
        moved = np.flatnonzero(done.timers).tolist()
        timers_us = customers.fixed["timer_us"]
        left = erasures.new.copy()  # those who came back go to a new place, as if they came in a later batch
        if aliases is not None:
            left[list(aliases.gone)] = True
        again = known & left
        born = [customers.ids[row] for row in np.flatnonzero(erasures.known & (~known | again)).tolist()]
        holes = self._places([customers.ids[row] for row in np.flatnonzero(again).tolist()], head, store)
        erased, kept = self._erased(plan, head, store, customers, erasures)
        adopting = head.adopting
        if adopting is not None:
            adopting = msgspec.structs.replace(adopting, page=adopting.page + plan.pages)
            adopting = None if adopting.page >= adopting.pages else adopting
        records = list(zip(stored.ids, record.encode(stored), strict=True))
        taken = known & ~erasures.known
        forwards, told = head.forwards, head.aliases
        if aliases is not None:
            records += alias_store.records(aliases, customers)
            taken[list(aliases.forwards)] = False
            taken[alias_store.ended(aliases, erasures.known)] = True
            forwards, told = forwards + len(aliases.forwards) - len(aliases.before), told + aliases.told
        return Write(
            records=records,
            timers=[(customers.ids[row], int(timers_us[row])) for row in moved],
            born=born,
            head=msgspec.structs.replace(
                head,
                sequence=plan.sequence,
                purchases=msgspec.structs.replace(head.purchases, offset=plan.purchases_to),
                interactions=msgspec.structs.replace(head.interactions, offset=plan.interactions_to),
                handover=msgspec.structs.replace(head.handover, offset=plan.handover_to),
                clock_us=done.clock_us,
                population=head.population + len(born),
                holes=head.holes + len(holes),
                adopting=adopting,
                erasures=kept,
                forwards=forwards,
                aliases=told,
            ),
            gone=[customers.ids[row] for row in np.flatnonzero(taken).tolist()],
            holes=holes,
            erased=erased,
            became=[*book.written, *(() if aliases is None else aliases.became)],
        )

    def _places(self, ids: list[str], head: Head, store: Store) -> list[int]:
        """Where the directory has these ids.

        Raises:
            TornStateError: it lacks one.
        """
        if not ids:
            return []
        places = store.places(ids, head.population)
        if len(places) < len(ids):
            missing = [customer_id for customer_id in ids if customer_id not in places]
            raise TornStateError(
                f"the directory of shard {self._partition} lacks {len(missing)} customers: {missing[:5]}"
            )
        return sorted(places.values())

    def _erased(
        self, plan: Plan, head: Head, store: Store, customers: Customers, erasures: Erasures
    ) -> tuple[list[tuple[bytes, Erasure | None]], Between | None]:
        """What of erased customers is to be written and let go of, and between which times what stays lies then."""
        written: dict[bytes, Erasure | None] = {}
        for row in np.flatnonzero(erasures.new & (erasures.at_us != UNKNOWN)).tolist():
            written[pseudonym(self._rulebook.secret, customers.ids[row])] = erasures.erasure(row)
        times_us = [each.at_us for each in written.values() if each is not None]
        before = head.erasures
        latest_us = times_us if before is None else [before.latest_us, *times_us]
        if before is not None and head.clock_us - before.oldest_us > plan.erased_for_us:
            oldest = store.oldest_erased(LET_GO_MAX + 1)
            over = [name for name, each in oldest[:LET_GO_MAX] if head.clock_us - each.at_us > plan.erased_for_us]
            times_us += [each.at_us for _, each in oldest[len(over) :]]
            written = dict.fromkeys(over) | written
        elif before is not None:
            times_us.append(before.oldest_us)
        between = Between(oldest_us=min(times_us), latest_us=max(latest_us)) if times_us else None
        return list(written.items()), between

    def _position(self, plan: Plan) -> dict[str, int]:
        topics = self._settings.kafka.topics
        return {topics.purchases: plan.purchases_to, topics.interactions: plan.interactions_to}


def _digest(contents: list[bytes]) -> str:
    return blake2b(b"".join(contents), digest_size=DIGEST_BYTES).hexdigest()


def _for_the_book(merged: Merged) -> tuple[list[Errand], npt.NDArray[np.intp]]:
    """The errands that are no step of a customer, and the usable rows without them; both in the shard's order."""
    in_order = merged.order[merged.chunk.usable[merged.order]]
    if not merged.chunk.errands:
        return [], in_order
    asks = merged.chunk.kinds[in_order] >= Kind.CLAIM
    return [merged.chunk.errands[row] for row in in_order[asks].tolist()], in_order[~asks]
