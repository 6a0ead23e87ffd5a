"""A shard's part in a re-cut: scan its customers in slices, hand the count in; shard 0 decides the new cuts."""

from collections.abc import Callable
from dataclasses import dataclass, field

from segflow.engine.columns.messages import Message
from segflow.engine.commit.population_scan import scan
from segflow.schemas.settings import Settings
from segflow.segments.instant import UNKNOWN
from segflow.segments.recut import PopulationHistograms, RecutPolicy, next_cuts
from segflow.segments.rules import recut_policy_of
from segflow.state.head import PAGE_CUSTOMERS, Head
from segflow.state.store import Store
from segflow.streams.control import scans
from segflow.streams.control.messages import cuts_message
from segflow.streams.control.topic import Control


@dataclass(slots=True)
class RecutCoordinator:
    """Called between commits; a slice a call. What it returns goes into the next commit's transaction."""

    partition: int
    partitions: int
    control: Control
    _boundary_us: int | None = None  # being scanned for
    _scanned_us: int = UNKNOWN  # handed in
    _decided_us: int = UNKNOWN  # decided for, by shard 0
    _page: int = 0
    _scan: PopulationHistograms = field(default_factory=PopulationHistograms)
    _known: tuple[Settings, RecutPolicy] | None = None  # asked for at every commit, and seldom other than it was

    @property
    def _policy(self) -> RecutPolicy:
        settings = self.control.settings
        if self._known is None or self._known[0] is not settings:
            self._known = settings, recut_policy_of(settings)
        return self._known[1]

    def work(self, head: Head, store: Store, caught_up: Callable[[], bool], horizon_us: int) -> list[Message]:
        """Control records to publish: this shard's scan once it is whole, new cuts where this is shard 0."""
        if not self._policy.wanted:
            return []
        messages = []
        if self._boundary_us is None:
            self._begin(head, caught_up, horizon_us)
        if self._boundary_us is not None and self._slice(head, store):
            messages.append(scans.message(self._scan, self._boundary_us, self.partition))
            self._scanned_us, self._boundary_us = self._boundary_us, None
        if self.partition == 0:
            messages += self._decide()
        return messages

    def _begin(self, head: Head, caught_up: Callable[[], bool], horizon_us: int) -> None:
        """Start a scan when the shard's time has passed a boundary, or when it has read everything and others ask."""
        every_us = self._policy.every_us
        now_us = max(head.clock_us, horizon_us)
        wanted_us = UNKNOWN if now_us == UNKNOWN else now_us // every_us * every_us
        if caught_up():
            wanted_us = max(wanted_us, self.control.shard_scans.asked_us)
        if wanted_us > max(self._scanned_us, self.control.shard_scans.answered_us):
            self._boundary_us, self._page, self._scan = wanted_us, 0, PopulationHistograms()

    def _slice(self, head: Head, store: Store) -> bool:
        """Count some pages of customers; whether that was all."""
        assert self._boundary_us is not None
        pages = head.pages
        stop = min(pages, self._page + max(1, self.control.settings.worker.sweep_max_customers // PAGE_CUSTOMERS))
        parameters = self.control.rule_versions.latest.cuts.parameters
        self._scan = self._scan + scan(self._policy, parameters, store, self._page, stop, self._boundary_us)
        self._page = stop
        return stop >= pages

    def _decide(self) -> list[Message]:
        complete = self.control.shard_scans.complete(self.partitions)
        if complete is None or complete[0] == self._decided_us:
            return []
        at_us, scan = complete
        self._decided_us = at_us
        held = self.control.rule_versions.latest.cuts
        new = next_cuts(scan, at_us, held, self._policy)
        return [cuts_message(new or held, at_us, scan.population, moved=new is not None)]
