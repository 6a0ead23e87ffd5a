"""Files in, changes out: the engine over the memory store, with no server."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import numpy as np

from segflow.engine.columns import events
from segflow.engine.columns.events import Chunk, Kind
from segflow.engine.commit.execute import CommitResult, Executor
from segflow.engine.commit.plan import Plan, plan_for
from segflow.engine.commit.population_scan import scan
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.merge_inputs import refuse_future
from segflow.engine.decode.records import Decoder
from segflow.engine.decode.transfers import HandoverDecoder
from segflow.engine.merging.ledger import MergeLedger
from segflow.engine.partitioner import partitions_of
from segflow.schemas.settings import Settings
from segflow.segments.instant import LATEST_US, UNKNOWN, duration_us
from segflow.segments.recut import PopulationHistograms, RecutPolicy, next_cuts
from segflow.segments.rules import from_settings, recut_policy_of
from segflow.state.head import PAGE_CUSTOMERS, Head
from segflow.state.memory import MemoryStore

SWEEP_CUSTOMERS: Final = 16_384
"""Customers of one sweep: no live event waits for it, so `worker.sweep_max_customers` does not bound it here."""
SWEEP_PAGES: Final = SWEEP_CUSTOMERS // PAGE_CUSTOMERS


@dataclass(slots=True)
class MemoryShard:
    """One shard in memory, taking its log batch by batch."""

    settings: Settings
    rule_versions: RuleVersions
    partition: int = 0
    store: MemoryStore = field(default_factory=MemoryStore)
    shards: int = 1
    executor: Executor = field(init=False)

    def __post_init__(self) -> None:
        self.executor = Executor(self.settings, self.rule_versions, self.partition)
        self.store.acquire(Head(rules=self.rule_versions.first.version), None)

    def feed(self, chunk: Chunk, wall_us: int, handed: Chunk | None = None) -> CommitResult:
        """Apply the next records of the log, in their order, and sweep what they make due.

        `handed`: what shards have handed over since the last time.
        """
        head = self.head
        plan = plan_for(
            self.settings,
            head,
            purchases_to=head.purchases.offset + len(chunk),
            interactions_to=0,
            wall_us=wall_us,
            rules=self.rule_versions.next_version(head.rules),
            handover_to=head.handover.offset + (0 if handed is None else len(handed)),
            shards=self.shards,
        )
        return self._commit(msgspec.structs.replace(plan, future_us=LATEST_US, every_alert=True), chunk, handed)

    def sweep(self, until_us: int, wall_us: int) -> Iterator[CommitResult]:
        """Everybody up to max(C, until_us), in slices, and whatever new rules are still to be brought to customers."""
        while True:
            head = self.head
            plan = plan_for(
                self.settings,
                head,
                purchases_to=head.purchases.offset,
                interactions_to=0,
                wall_us=wall_us,
                rules=self.rule_versions.next_version(head.rules),
                shards=self.shards,
            )
            plan = msgspec.structs.replace(
                plan, sweep_us=until_us, sweep_limit=SWEEP_CUSTOMERS, pages=SWEEP_PAGES, every_alert=True
            )
            result = self._commit(plan, events.none())
            yield result
            if (
                not result.swept
                and self.head.adopting is None
                and self.rule_versions.next_version(head.rules) == head.rules
            ):
                return

    @property
    def head(self) -> Head:
        """The shard's head."""
        head = self.store.head()
        assert head is not None
        return head

    def _commit(self, plan: Plan, chunk: Chunk, handed: Chunk | None = None) -> CommitResult:
        result = self.executor.execute(plan, chunk, events.none(), self.head, self.store, handed=handed)
        self.store.commit(result.write)
        return result


@dataclass(slots=True)
class FileRun:
    """The run of one log over one or more shards. The order of the file is each shard's order.

    With cuts of the population, all shards are scanned and take the new cuts at the first record whose time has passed
    a boundary of `recut.every`, before that record; versions count 1, 2, 3 ….
    """

    settings: Settings
    shards: int = 1
    wall_us: int = 0
    refuses_future: bool = False  # events further ahead of `wall_us` than worker.future_max are dead letters
    until_us: int = LATEST_US  # later events are left out
    left_out: int = 0  # how many those were
    rule_versions: RuleVersions = field(init=False)
    _recut_policy: RecutPolicy = field(init=False)
    _shards: list[MemoryShard] = field(init=False)
    _decoder: Decoder = field(init=False)
    _handover: HandoverDecoder = field(init=False)
    _clock_us: int = UNKNOWN  # the latest event time of the file so far

    def __post_init__(self) -> None:
        self.rule_versions = RuleVersions(from_settings(self.settings))
        self._recut_policy = recut_policy_of(self.settings)
        self._shards = [
            MemoryShard(self.settings, self.rule_versions, each, shards=self.shards) for each in range(self.shards)
        ]
        self._handover = HandoverDecoder(self.settings)
        self._decoder = Decoder(self.settings, None)

    @property
    def memory_shards(self) -> list[MemoryShard]:
        """The shards, by partition."""
        return self._shards

    def feed(self, lines: list[bytes], first_line: int) -> Iterator[CommitResult]:
        """Apply lines of the file in their order; `first_line` is the number of the first."""
        chunk = self._decoder.decode(lines, None, range(first_line, first_line + len(lines)))
        if self.refuses_future:
            chunk = refuse_future(chunk, self.wall_us + duration_us(self.settings.worker.future_max))
        later = chunk.usable & (chunk.occurred_us > self.until_us)
        if later.any():
            self.left_out += int(np.count_nonzero(later))
            chunk = chunk.take(np.flatnonzero(~later))
        start = 0
        for row, boundary_us in self._boundaries(chunk):
            yield from self._apply(chunk.slice(start, row))
            yield from self._recut(boundary_us)
            start = row
        yield from self._apply(chunk.slice(start, len(chunk)))

    def finish(self, until_us: int = UNKNOWN) -> Iterator[CommitResult]:
        """Sweep every shard up to max(C, until_us)."""
        for shard in self._shards:
            yield from shard.sweep(until_us, self.wall_us)

    def _apply(self, chunk: Chunk) -> Iterator[CommitResult]:
        if self.shards == 1:
            yield self._shards[0].feed(chunk, self.wall_us)
            return
        apart = chunk.kinds == Kind.ALIAS
        if self._merged or apart.any():
            apart |= chunk.kinds == Kind.ERASE
        start = 0
        for row in np.flatnonzero(apart & chunk.usable).tolist():
            yield from self._place(chunk.slice(start, row))
            yield from self._place(chunk.slice(row, row + 1))
            start = row + 1
        yield from self._place(chunk.slice(start, len(chunk)))

    def _place(self, chunk: Chunk) -> Iterator[CommitResult]:
        """Apply records, each in the shard of the customer it is of, and whatever comes of that in others.

        The whole file is at hand, so an alias is done before what comes next, as in one shard.
        """
        if self._merged:
            ledger = MergeLedger(self._shards[0].store)
            chunk = replace(chunk, customer_ids=[ledger.end_of(each) for each in chunk.customer_ids])
        placed = partitions_of([each.encode() for each in chunk.customer_ids], "murmur2", self.shards)
        parts = {shard.partition: chunk.take(np.flatnonzero(placed == shard.partition)) for shard in self._shards}
        handed: dict[int, list[bytes]] = {}
        while any(map(len, parts.values())) or handed:
            coming: dict[int, list[bytes]] = {}
            for shard in self._shards:
                part, values = parts.get(shard.partition, events.none()), handed.get(shard.partition, [])
                if len(part) or values:
                    result = shard.feed(part, self.wall_us, self._handover.decode(values, range(len(values))))
                    for partition, each in result.handover:
                        coming.setdefault(partition, []).append(each.value)
                    yield result
            parts, handed = {}, coming

    @property
    def _merged(self) -> bool:
        """Whether any id has become another."""
        return self._shards[0].store.has_merges

    def _boundaries(self, chunk: Chunk) -> list[tuple[int, int]]:
        """Rows before which the cuts are renewed, with the boundary each has passed."""
        times_us = np.where(chunk.usable, chunk.occurred_us, UNKNOWN)
        clocks_us = np.maximum.accumulate(np.concatenate(([self._clock_us], times_us)))
        self._clock_us = int(clocks_us[-1])
        if not self._recut_policy.wanted:
            return []
        every_us = self._recut_policy.every_us
        known = clocks_us != UNKNOWN
        periods = np.where(known, clocks_us, 0) // every_us
        rows = np.flatnonzero(known[:-1] & (periods[1:] > periods[:-1]))
        return [(row, int(periods[row + 1]) * every_us) for row in rows.tolist()]

    def _recut(self, boundary_us: int) -> Iterator[CommitResult]:
        """Scan all shards, and bring new cuts to every customer at each shard's C."""
        held = self.rule_versions.latest.cuts
        parts = (
            scan(self._recut_policy, held.parameters, shard.store, 0, shard.head.pages, boundary_us)
            for shard in self._shards
        )
        new = next_cuts(sum(parts, start=PopulationHistograms()), boundary_us, held, self._recut_policy)
        if new is not None:
            self.rule_versions.add_cuts(replace(new, version=self.rule_versions.latest.version + 1))
            for shard in self._shards:
                yield from shard.sweep(UNKNOWN, self.wall_us)
