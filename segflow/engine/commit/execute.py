"""Commits of one or several shards: what they write and publish.

Everything a commit depends on, besides its input and the stored state, stands in its plan. So the journal can be
replayed to the same result. Commits of several shards executed in one batch give what each gives alone, and
cost hardly more than one: what a small commit costs is the calls, not the rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np

from segflow.engine.advance.erasures import Erasures, start_labels
from segflow.engine.advance.processor import EventFlag, Work, advance
from segflow.engine.columns import events
from segflow.engine.columns.changes import Changes
from segflow.engine.columns.events import HANDOVER, Chunk
from segflow.engine.columns.messages import Message, Messages
from segflow.engine.commit.label_counts import LabelCounts
from segflow.engine.commit.load import NOBODY, CommitInput, Loader
from segflow.engine.commit.plan import Plan
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.commit.shard_result import ShardResult, split
from segflow.engine.commit.write import write
from segflow.engine.decode.merge_inputs import refuse_invoices
from segflow.engine.encode.change_json import Encoder, Publication
from segflow.engine.encode.dead_letters import dead_letters
from segflow.engine.merging.ledger import MergeLedger
from segflow.engine.merging.merges import Merges
from segflow.engine.merging.stored import addressed, handed_over
from segflow.schemas.settings import Settings
from segflow.segments.facts import Labels
from segflow.segments.instant import UNKNOWN
from segflow.segments.rules import Rules
from segflow.state import record
from segflow.state.customers import Customers
from segflow.state.erasure import Erasure
from segflow.state.head import Head
from segflow.state.layout import REFUNDS, LayoutError
from segflow.state.redirect import Redirect
from segflow.state.store import Store, TornStateError, Write

UNREADABLE: Final = (LayoutError, ValueError, IndexError, KeyError, OverflowError)
"""The errors of decoding bytes that are no record."""
DIGEST_BYTES: Final = 16
"""Of the hash over a commit's change ids: no two commits that differ share it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitResult:
    """The outcome of executing a commit: what it writes to the store and what it publishes."""

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
    merged_repeats: int  # events that both of a merge remembered: they count twice
    left_out: int  # attributes of usable profiles that cannot be kept
    handover: list[tuple[int, Message]]  # for other shards, and for this one later: partition and record
    swept: int
    adopted: int  # customers brought under new rules: each is a record written, whether or not a label moves
    longest_run: int  # most events of one customer; they are applied one after the other
    published: list[tuple[Rules, Changes]]  # the changes as columns, and the rules they were made under
    adopts: int | None  # version of the rules adopted before the events, None where none were
    digest: str  # hash of the changes' content, for the journal

    @property
    def current(self) -> Messages:
        """The segments of each customer that changed; made, for all of its batch, when first asked for."""
        return self.make_current()


class Executor:
    """Executes plans on one shard's store, one after the other. Pure but for the store's reads."""

    def __init__(self, settings: Settings, rule_versions: RuleVersions, partition: int) -> None:
        self._loader = Loader(settings, rule_versions, partition)
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
    ) -> CommitResult:
        """The result of `plan`; see `Loader.load`, of which this also is what it raises."""
        loaded = self._loader.load(plan, purchases, interactions, head, store, stored, handed)
        return execute_single(loaded, self._encoder)


def execute_single(commit: CommitInput, encoder: Encoder) -> CommitResult:
    """The result of one loaded commit.

    Raises:
        Exception: whatever hinders it.
    """
    (result,) = execute_batch([commit], encoder)
    if isinstance(result, Exception):
        raise result
    return result


def execute_batch(commits: Sequence[CommitInput], encoder: Encoder) -> list[CommitResult | Exception]:
    """The results of loaded commits of any shards of one installation, each as if it were alone; or what hinders it.

    What failed is not to be tried again: its store may have lost its connection, and with it the watch on the head.
    """
    groups: dict[object, list[int]] = {}
    for place, each in enumerate(commits):
        alike = (each.rules.version, each.plan.erased_for_us) if each.joins else place
        groups.setdefault(alike, []).append(place)
    results = {
        place: result
        for places in groups.values()
        for place, result in zip(places, _group([commits[place] for place in places], encoder), strict=True)
    }
    return [results[place] for place in range(len(commits))]


def _group(commits: Sequence[CommitInput], encoder: Encoder) -> list[CommitResult | Exception]:
    """The results of commits that can be executed in one batch."""
    try:
        parts = _batch(commits, encoder)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is that shard's alone
        if len(commits) == 1:
            return [error]
        return [result for each in commits for result in _group([each], encoder)]  # nothing has changed yet
    results: list[CommitResult | Exception] = []
    for each in parts:
        try:
            results.append(_result(each))
        except Exception as error:  # noqa: BLE001 - its store is asked for some of it
            results.append(error)
    return results


def _batch(commits: Sequence[CommitInput], encoder: Encoder) -> list[ShardResult]:
    """Commits under the same rules, advanced and encoded; of one alone, if it brings more than events and silence."""
    rules, adoption, aliases = commits[0].rules, commits[0].adoption, commits[0].aliases
    old = None if adoption is None else adoption.old
    first_rows = np.cumsum([0, *(len(each.ids) for each in commits)])
    first_events = np.cumsum([0, *(len(each.events) for each in commits)])
    shifted = list(zip(commits, first_rows.tolist(), strict=False))
    ids = [customer_id for each in commits for customer_id in each.ids]
    refunds = (REFUNDS,) if any(each.events.full.any() for each in commits) else ()
    kept = (*rules.kept, *refunds, *(() if old is None else old.kept))
    values = [value for each in commits for value in each.values]
    customers = _decoded(ids, values, rules, kept)
    if aliases is not None:
        customers.fixed["rules"][[customer_id == NOBODY for customer_id in ids]] = rules.version  # nobody's labels
    erased = {first + row: erasure for each, first in shifted for row, erasure in each.erased.items()}
    work = Work(
        events=events.join([each.events for each in commits]),
        rows=np.concatenate([each.rows + first for each, first in shifted]),
        horizons_us=np.concatenate([each.horizons_us for each in commits]),
        due=np.concatenate([each.due + first for each, first in shifted]),
        until_us=np.repeat([each.until_us for each in commits], [len(each.due) for each in commits]),
        erasures=_erasures(commits, erased),
    )
    counts = LabelCounts(customers, work.erasures.known, rules, old)
    done = advance(customers, work, rules, adoption, None if aliases is None else Merges(aliases))
    customers.keep(rules.kept)
    changes, shares = done.changes.by_shard(first_rows[:-1])
    at = [_publication(each) for each in commits]
    event_ids, occurred_us = work.events.event_ids, work.events.occurred_us
    encoded = [[each] for each in encoder.encode(changes, shares, customers, event_ids, occurred_us, rules, old, at)]
    firsts = zip(first_rows.tolist(), first_events[:-1].tolist(), strict=False)
    published = [[(rules, changes.part(shares, shard, *first))] for shard, first in enumerate(firsts)]
    if done.before is not None and old is not None:
        before, ends = done.before.by_shard(first_rows[:-1])
        encoded[0] += encoder.encode(before, ends, customers, event_ids, occurred_us, old, None, at, changes)
        encoded[0].reverse()
        published[0].insert(0, (old, before))
    counted = counts.differences(work.erasures.known, first_rows[:-1])
    return split(commits, customers, done, work.erasures, encoded, published, counted)


def _decoded(ids: list[str], values: list[bytes | None], rules: Rules, kept: Sequence[str]) -> Customers:
    """The customers.

    Raises:
        TornStateError: what is stored of one is no record.
    """
    start = start_labels(rules)
    try:
        return record.decode(ids, values, start, rules.version, kept)
    except UNREADABLE as error:
        wrong = sum(not _is_record(name, value, start, kept) for name, value in zip(ids, values, strict=True))
        raise TornStateError(f"the records of {wrong} customers in Redis cannot be read: {error}") from error


def _is_record(customer_id: str, value: bytes | None, start: Labels, kept: Sequence[str]) -> bool:
    try:
        record.decode([customer_id], [value], start, 0, kept)
    except UNREADABLE:
        return False
    return True


def _erasures(commits: Sequence[CommitInput], found: dict[int, Erasure]) -> Erasures:
    """The erasures of these commits, and the dimensions of the rule versions in them."""
    known = np.concatenate([each.known for each in commits])
    stays: list[Erasure | Redirect] = [*found.values()]
    for each in commits:
        stays += [] if each.aliases is None else each.aliases.redirects.values()
    versions = {each.rules for each in stays if each.published_us != UNKNOWN}
    dimensions = {version: commits[0].rule_versions.rules(version).names for version in versions}
    return Erasures.of(known, found, dimensions, commits[0].plan.erased_for_us)


def _publication(commit: CommitInput) -> Publication:
    topics, plan = commit.settings.kafka.topics, commit.plan
    position = {topics.purchases: plan.purchases_to, topics.interactions: plan.interactions_to}
    return Publication(
        detected_us=plan.wall_us, position=position, live_from_us=plan.live_from_us, every_alert=plan.every_alert
    )


def _result(part: ShardResult) -> CommitResult:
    """The result of one shard's commit."""
    commit, encoded, flags = part.commit, part.encoded, part.flags
    count = {flag: int(np.count_nonzero(flags & np.uint8(flag))) for flag in EventFlag}
    merged = refuse_invoices(commit.merged, commit.in_order[np.flatnonzero(flags & np.uint8(EventFlag.REFUSED))])
    aliases, ledger = commit.aliases, MergeLedger(commit.store)
    merge_messages = [message for each in commit.asked for message in ledger.decide(each)]
    if aliases is not None:
        sides = merged.sides[commit.in_order]
        merge_messages += handed_over(commit.settings, commit.partition, commit.events, sides, aliases.sent)
    handover = addressed(commit.settings, commit.plan.shards, merge_messages)
    return CommitResult(
        write=write(part, ledger),
        changes=Messages.join([each.changes for each in encoded]),
        alerts=Messages.join([each.alerts for each in encoded]),
        make_current=lambda: Messages.join([each.current() for each in encoded]),
        dead=dead_letters(commit.settings.kafka.topics, commit.partition, merged),
        dead_kinds=[why.kind for why in merged.chunk.unusable.values()],
        events=int(np.count_nonzero(merged.chunk.usable & (merged.sides != HANDOVER))),
        duplicates=count[EventFlag.DUPLICATE],
        late=count[EventFlag.LATE],
        outdated=count[EventFlag.OUTDATED],
        erased=count[EventFlag.ERASED],
        merged=0 if aliases is None else aliases.merged,
        merged_repeats=0 if aliases is None else aliases.repeats,
        left_out=sum(
            count
            for row, count in merged.chunk.left_out.items()
            if merged.chunk.usable[row] and merged.sides[row] != HANDOVER
        ),
        handover=handover,
        swept=commit.swept,
        adopted=part.adopted,
        longest_run=int(np.bincount(commit.rows).max(initial=0)),
        published=part.published,
        adopts=commit.head.rules if commit.head.rules != commit.before.rules else None,
        digest=digest_of([*(each.change_ids for each in encoded), *(each.value for _, each in handover)]),
    )


def digest_of(contents: list[bytes]) -> str:
    """The hash of what a commit publishes, for the journal."""
    return blake2b(b"".join(contents), digest_size=DIGEST_BYTES).hexdigest()
