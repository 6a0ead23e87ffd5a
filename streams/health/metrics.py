"""Counts, times and states of this worker, for Prometheus."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from segflow.engine.columns.changes import Cause, Changes
from segflow.engine.commit.execute import CommitResult
from segflow.segments.model import label_of
from segflow.segments.rules import Rules
from segflow.streams.health.dead_letter_log import DeadLetterLog
from segflow.streams.health.redis_memory import RedisMemory
from segflow.streams.kafka.topic_kinds import READ

log = logging.getLogger(__name__)

STEP_BUCKETS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60)
"""From a batch of one event on loopback to a full batch on a slow network; beyond 5 s a server is in trouble."""
DEAD_KINDS: Final = (
    *("tombstone", "oversized", "not_utf8", "not_json", "too_deep", "not_object", "missing_field", "bad_field"),
    *("unknown_type", "unsupported_type", "wrong_topic", "unknown_currency", "key_mismatch", "too_many_invoices"),
    "future",
    "wrong_partition",
    "nobody",
)
"""The kinds by which dead letters are counted; docs/contract.md#dead-letters says what each means."""
BATCH_BUCKETS: Final = tuple(4**power for power in range(9))
"""1 to 65,536 records; a batch of more is one of the last bucket."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """The status of one shard of this worker; None: not known yet."""

    partition: int
    acquired: bool
    parked: str  # the reason's name; empty where it is not parked
    sequence: int | None
    clock_s: float | None  # event clock, seconds since 1970
    freshness_s: float | None  # age of the moment up to which everything is concluded
    timer_lag_s: float | None  # how overdue its most overdue timer is
    recoverable: bool | None  # without Redis, from the state topic, or the journal and the inputs
    uncommitted_s: float  # for how long something has waited for its commit
    lags: tuple[int | None, ...]  # records of each input that are not in the state yet, in the order of READ


class ShardGauges(Collector):
    """Gauges of the shards this worker holds, and of its clock, made when they are asked for.

    Those of a shard that went are gone, and those of a server that does not say what time it is.
    """

    def __init__(self) -> None:
        self.standings: Callable[[], list[Standing]] = list
        self.clock_offsets_s: Callable[[], dict[str, float | None]] = dict
        self.customers: Callable[[], Mapping[tuple[str, str], int]] = dict  # by dimension and label
        self.redis_memory: Callable[[], RedisMemory | None] = lambda: None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family a gauge, one sample a shard."""
        shards = self.standings()
        yield _gauge(
            "segflow_taken", "1: the shard is acquired; 0: not yet, or released after an error", shards, _acquired
        )
        parked = GaugeMetricFamily(
            "segflow_parked",
            "1: the shard cannot go on, for `reason`, and all others do; 0: it is not parked",
            labels=["shard", "reason"],
        )
        for shard in shards:
            parked.add_metric([str(shard.partition), shard.parked], float(bool(shard.parked)))
        yield parked
        yield _gauge("segflow_sequence", "commits of a shard so far", shards, lambda shard: shard.sequence)
        yield _gauge(
            "segflow_clock_seconds",
            "event clock of a shard: its newest event, in seconds since 1970",
            shards,
            lambda shard: shard.clock_s,
        )
        yield _gauge(
            "segflow_freshness_seconds",
            "age of the moment up to which a shard has concluded everything, silence included",
            shards,
            lambda shard: shard.freshness_s,
        )
        yield _gauge(
            "segflow_timer_lag_seconds",
            "how overdue the most overdue timer of a shard is; 0: none is",
            shards,
            lambda shard: shard.timer_lag_s,
        )
        yield _gauge(
            "segflow_uncommitted_seconds",
            "for how long a shard has had something to commit and committed nothing; 0: it has nothing",
            shards,
            lambda shard: shard.uncommitted_s,
        )
        yield _gauge(
            "segflow_recoverable",
            "1: a shard could be made again without Redis; 0: Redis is its only copy",
            shards,
            lambda shard: None if shard.recoverable is None else float(shard.recoverable),
        )
        clock = GaugeMetricFamily(
            "segflow_clock_offset_seconds",
            "how far this machine's clock is ahead of that of `kafka` or `redis`",
            labels=["server"],
        )
        for server, offset_s in self.clock_offsets_s().items():
            if offset_s is not None:
                clock.add_metric([server], offset_s)
        yield clock
        lag = GaugeMetricFamily(
            "segflow_lag_records", "records of an input that are not in the state yet", labels=["shard", "input"]
        )
        for shard in shards:
            for name, records in zip(READ, shard.lags, strict=True):
                if records is not None:
                    lag.add_metric([str(shard.partition), name], records)
        yield lag
        customers = GaugeMetricFamily(
            "segflow_customers",
            "customers who have a label now, in the shards acquired by this worker",
            labels=["dimension", "label"],
        )
        for kind, count in self.customers().items():
            customers.add_metric(kind, count)
        yield customers
        memory = GaugeMetricFamily(
            "segflow_redis_memory_bytes",
            "what Redis uses (`used`), and its maxmemory (`limit`) if it has one",
            labels=["kind"],
        )
        found = self.redis_memory()
        if found is not None:
            memory.add_metric(["used"], found.used_bytes)
            if found.limit_bytes:
                memory.add_metric(["limit"], found.limit_bytes)
        yield memory


def _acquired(shard: Standing) -> float:
    return float(shard.acquired)


def _gauge(
    name: str, text: str, shards: list[Standing], value: Callable[[Standing], float | None]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["shard"])
    for shard in shards:
        known = value(shard)
        if known is not None:
            family.add_metric([str(shard.partition)], known)
    return family


class Metrics:
    """The metrics of this process; one instance a worker."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.events = Counter("segflow_events", "usable events, duplicates included", registry=registry)
        self.duplicates = Counter("segflow_duplicates", "repeated event ids", registry=registry)
        self.late = Counter("segflow_late", "events older than what was concluded", registry=registry)
        self.outdated = Counter(
            "segflow_outdated", "events from before their customer's erase, left out", registry=registry
        )
        self.merged = Counter("segflow_merged", "customers who were merged into another", registry=registry)
        self.merged_repeats = Counter(
            "segflow_merged_repeats",
            "events that came under both ids of merged customers, and count twice",
            registry=registry,
        )
        self.left_out = Counter(
            "segflow_attributes_left_out", "attributes of profiles that cannot be kept", registry=registry
        )
        self.handed_over = Counter("segflow_handed_over", "merge messages sent to other shards", registry=registry)
        self.dead = Counter("segflow_dead_letters", "records that cannot be used", ["reason"], registry=registry)
        self.changes = Counter(
            "segflow_changes",
            "changes published; `label` is the new one",
            ["dimension", "label", "cause"],
            registry=registry,
        )
        self.swept = Counter("segflow_swept", "customers whose timer was due", registry=registry)
        self.adopted = Counter(
            "segflow_adopted",
            "customers brought under new rules, by a re-cut or a new definition; each is a record written",
            registry=registry,
        )
        self.commits = Counter("segflow_commits", "commits", registry=registry)
        self.acquisitions = Counter("segflow_takes", "shards acquired", registry=registry)
        self.reacquisitions = Counter(
            "segflow_retakes", "shards released after an error, to be acquired again", registry=registry
        )
        self.fenced = Counter(
            "segflow_fenced",
            "commits that `redis` or `kafka` refused: another worker has the shard",
            ["by"],
            registry=registry,
        )
        self.rollbacks = Counter(
            "segflow_rollbacks", "shards whose state in Redis was gone or older than written", registry=registry
        )
        self.copied = Counter("segflow_copied", "records copied from the state topic into Redis", registry=registry)
        self.replayed = Counter("segflow_reexecuted", "commits replayed from the journal", registry=registry)
        for by in ("redis", "kafka"):  # a counter that is absent until its first use can be in no alert
            self.fenced.labels(by)
        for kind in DEAD_KINDS:
            self.dead.labels(kind)
        self.partitions = Gauge("segflow_shards", "shards there are, of this worker and all others", registry=registry)
        self.up = Gauge("segflow_up", "1: `kafka` or `redis` answers this worker", ["server"], registry=registry)
        self.batch = Histogram("segflow_batch_records", "records of a commit", buckets=BATCH_BUCKETS, registry=registry)
        self.longest_run = Histogram(
            "segflow_longest_run_events",
            "most events of one customer in a commit; they are applied one after the other",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self.commit_s = Histogram(
            "segflow_commit_seconds", "time of a whole commit", buckets=STEP_BUCKETS_S, registry=registry
        )
        self.steps = Histogram(
            "segflow_step_seconds",
            "time of a step of a commit: decode, execute, publish (Kafka), store (Redis)",
            ["step"],
            buckets=STEP_BUCKETS_S,
            registry=registry,
        )
        self.dead_letters = DeadLetterLog()
        self.dead_share = Gauge(
            "segflow_dead_letter_share",
            "share of the records of the last one to two minutes that cannot be used",
            registry=registry,
        )
        self.dead_share.set_function(self.dead_letters.share)
        self.shards = ShardGauges()
        registry.register(self.shards)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step of a commit."""
        start = perf_counter()
        yield
        self.steps.labels(name).observe(perf_counter() - start)

    def committed(self, result: CommitResult, records: int, took_s: float) -> None:
        """A commit of `records` records is done; it took `took_s` seconds in all."""
        self.dead_letters.committed(result, records)
        self.commits.inc()
        self.commit_s.observe(took_s)
        self.batch.observe(records)
        self.longest_run.observe(result.longest_run)
        self.events.inc(result.events)
        self.duplicates.inc(result.duplicates)
        self.late.inc(result.late)
        self.outdated.inc(result.outdated)
        self.merged.inc(result.merged)
        self.merged_repeats.inc(result.merged_repeats)
        self.left_out.inc(result.left_out)
        if result.merged_repeats:
            log.warning(
                "%d events had come under both ids of customers who are one now, and count twice: before an alias a "
                "shop sends an event under one id only",
                result.merged_repeats,
            )
        self.handed_over.inc(len(result.handover))
        self.swept.inc(result.swept)
        self.adopted.inc(result.adopted)
        for kind in result.dead_kinds:
            self.dead.labels(kind).inc()
        for rules, changes in result.published:
            self._count_published(rules, changes)

    def _count_published(self, rules: Rules, changes: Changes) -> None:
        moves = changes.moves
        causes = changes.steps.causes[moves.steps]
        kinds = (moves.dimensions.astype(np.int64) << 16) | (moves.current.astype(np.int64) << 8) | causes
        for kind, count in zip(*(column.tolist() for column in np.unique(kinds, return_counts=True)), strict=True):
            model = rules.models[kind >> 16]
            label = label_of(model, kind >> 8 & 255)
            self.changes.labels(model.name, label, Cause(kind & 255).name.lower()).inc(count)
