"""Counts and times of this worker, for Prometheus."""

from collections import Counter as TallyOf
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from segments.instant import SECOND_US, UNKNOWN
from state.head import Head
from streams.changes import Cause
from streams.execution import Outcome

STEP_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
"""From a batch of one event on loopback to a full batch on a slow network."""


class Metrics:
    """What this process did; one instance a worker."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.events = Counter("segflow_events", "usable events, repeats too", registry=self.registry)
        self.duplicates = Counter("segflow_duplicates", "repeated event ids", registry=self.registry)
        self.late = Counter("segflow_late", "events older than what was concluded", registry=self.registry)
        self.dead = Counter("segflow_dead_letters", "records that cannot be used", ["kind"], registry=self.registry)
        self.changes = Counter("segflow_changes", "changes published", ["dimension", "cause"], registry=self.registry)
        self.swept = Counter("segflow_swept", "customers whose timer was due", registry=self.registry)
        self.retakes = Counter("segflow_retakes", "shards taken anew after an error", registry=self.registry)
        self.reexecuted = Counter(
            "segflow_reexecuted", "commits executed again from the journal", registry=self.registry
        )
        self.commits = Counter("segflow_commits", "commits", registry=self.registry)
        self.sequence = Gauge("segflow_sequence", "commits of a shard so far", ["shard"], registry=self.registry)
        self.clock = Gauge("segflow_clock_seconds", "event clock of a shard", ["shard"], registry=self.registry)
        self.steps = Histogram(
            "segflow_step_seconds", "time of a commit's step", ["step"], buckets=STEP_BUCKETS_S, registry=self.registry
        )

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step of a commit."""
        start = perf_counter()
        yield
        self.steps.labels(name).observe(perf_counter() - start)

    def taken(self, partition: int, sequence: int) -> None:
        """A shard was taken."""
        self.sequence.labels(partition).set(sequence)

    def committed(self, partition: int, outcome: Outcome, head: Head, dimensions: tuple[str, ...]) -> None:
        """A commit is done."""
        self.commits.inc()
        self.events.inc(outcome.events)
        self.duplicates.inc(outcome.duplicates)
        self.late.inc(outcome.late)
        self.swept.inc(outcome.swept)
        for kind in outcome.dead_kinds:
            self.dead.labels(kind).inc()
        moves = outcome.change_columns.moves
        causes = outcome.change_columns.steps.causes[moves.steps].tolist()
        for (dimension, cause), count in TallyOf(zip(moves.dimensions.tolist(), causes, strict=True)).items():
            self.changes.labels(dimensions[dimension], Cause(cause).name.lower()).inc(count)
        self.sequence.labels(partition).set(head.sequence)
        if head.clock_us != UNKNOWN:
            self.clock.labels(partition).set(head.clock_us / SECOND_US)
