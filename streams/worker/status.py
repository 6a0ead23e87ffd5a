"""The status that a worker's pages and gauges show: its servers, its event loops and its shards."""

import asyncio
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector

from segflow.schemas.settings import Settings
from segflow.segments.instant import SECOND_US, UNKNOWN
from segflow.state.parking import Parked
from segflow.streams.control.topic import Control
from segflow.streams.health.clocks import SERVERS, Clocks
from segflow.streams.health.metrics import Metrics, Standing
from segflow.streams.health.pages import Verdict
from segflow.streams.health.recovery_look import only_copies
from segflow.streams.health.redis_memory import RedisMemory
from segflow.streams.health.watch import Watch
from segflow.streams.kafka.topic_kinds import READ
from segflow.streams.runtime.wall_clock import now_us
from segflow.streams.shard.commit_loop import STANDS_S
from segflow.streams.shard.parking import Parking
from segflow.streams.shard.shard_state import ShardState
from segflow.streams.worker.assignment import Assignment


@dataclass(kw_only=True)
class View:
    """One worker seen from other threads; the source of its pages (segflow.streams.health.pages.Source)."""

    settings: Settings
    metrics: Metrics
    watch: Watch
    clocks: Clocks
    assignment: Assignment
    parking: Parking
    control: Control
    ended: asyncio.Event  # set: the worker is stopping

    def __post_init__(self) -> None:
        self.metrics.shards.standings = self._standings
        self.metrics.shards.customers = self._customers
        self.metrics.shards.redis_memory = self._redis_memory
        for probe in (self.watch.kafka, self.watch.redis):
            self.metrics.up.labels(probe.asked.lower()).set_function(probe.up)
        self.metrics.shards.clock_offsets_s = lambda: {
            server.lower(): self.clocks.offset_s(server) for server in SERVERS
        }
        ProcessCollector(registry=self.metrics.registry)

    def live(self) -> Verdict:
        """See Source."""
        return Verdict(why_not=self.watch.stuck())

    def ready(self) -> Verdict:
        """See Source."""
        why_not = [
            f"{probe.asked} does not answer: {probe.problem}"
            for probe in (self.watch.kafka, self.watch.redis)
            if probe.problem
        ]
        why_not += [self.clocks.problem] if self.clocks.problem else []
        if self.ended.is_set():
            why_not.append("it is stopping")
        if not self.assignment.joined:
            trouble = self.assignment.trouble
            why_not.append(
                "the consumer group has not said yet which shards are its own" + (f": {trouble}" if trouble else "")
            )
        hold = self.parking.hold
        if hold is not None:
            why_not.append(f"every shard is parked ({hold.reason}): {hold.why}")
        shards = [shard.state for _, shard in sorted(self.assignment.shards.items())]
        why_not += [trouble for shard in shards if (trouble := _trouble(shard, hold))]
        why_not += [
            f"shard {shard.partition} has something to commit, and nothing was for {shard.uncommitted_s:.0f} s"
            + (f": {shard.obstacle}" if shard.obstacle else "")
            for shard in shards
            if shard.acquired and shard.parked is None and shard.uncommitted_s > STANDS_S
        ]
        acquired = [shard.partition for shard in shards if shard.acquired]
        parked = {shard.partition: shard.parked.reason for shard in shards if shard.parked is not None}
        warnings = self.metrics.dead_letters.warnings() + only_copies(self.watch.recovery.answer or {})
        memory = self._redis_memory()
        warnings += [] if memory is None else memory.warnings
        if self.control.foreign:
            name = self.settings.kafka.topics.control
            warnings.append(f"another program has written to {name}: {self.control.foreign} records are left out")
        more = {"shards": acquired, "parked": parked, "warnings": warnings}
        return Verdict(why_not=why_not + self.watch.stuck(), more=more)

    def registry(self) -> CollectorRegistry:
        """See Source."""
        return self.metrics.registry

    def _redis_memory(self) -> RedisMemory | None:
        return None if self.watch.redis.answer is None else self.watch.redis.answer.memory

    def _is_recoverable(self, partition: int) -> bool | None:
        obstacle = (self.watch.recovery.answer or {}).get(partition)
        return None if obstacle is None else not obstacle

    def _standings(self) -> list[Standing]:
        shards = [shard.state for shard in list(self.assignment.shards.values())]
        return [self._standing(shard) if hasattr(shard, "head") else _unknown(shard) for shard in shards]

    def _customers(self) -> dict[tuple[str, str], int]:
        """By dimension and label, those with nobody too; empty where a shard's are not counted: a part is no answer."""
        found: dict[tuple[str, str], int] = {}
        for shard in [shard.state for shard in list(self.assignment.shards.values()) if shard.state.acquired]:
            if shard.labels is None:
                return {}
            for model in shard.control.rule_versions.latest.models:
                for label in model.labels:
                    found.setdefault((model.name, label), 0)
            for kind, count in dict(shard.labels).items():
                if count:
                    found[kind] = found.get(kind, 0) + count
        return found

    def _standing(self, shard: ShardState) -> Standing:
        head, wall_us, names = shard.head, now_us(), self.settings.kafka.topics
        clock_us = None if head.clock_us == UNKNOWN else head.clock_us
        due_us = wall_us if self.settings.clock == "wall" else clock_us
        read = enumerate(getattr(names, role) for role in READ)
        return Standing(
            partition=shard.partition,
            acquired=shard.acquired,
            parked=_reason(shard),
            sequence=head.sequence,
            clock_s=None if clock_us is None else clock_us / SECOND_US,
            freshness_s=None if shard.concluded_us == UNKNOWN else max(0, wall_us - shard.concluded_us) / SECOND_US,
            timer_lag_s=None if due_us is None else self.watch.timer_lag_s(shard.partition, due_us),
            uncommitted_s=shard.uncommitted_s,
            recoverable=self._is_recoverable(shard.partition),
            lags=tuple(self.watch.lag((topic, shard.partition), shard.worked_to(side)) for side, topic in read),
        )


def _trouble(shard: ShardState, hold: Parked | None) -> str:
    """The reason for which the shard does not go on, beside that every one is parked; empty where there is none."""
    parked = shard.parked
    if parked is not None:
        return "" if parked is hold else f"shard {shard.partition} is parked ({parked.reason}): {parked.why}"
    if shard.acquired or hold is not None:
        return ""
    why = shard.copying or shard.trouble
    return f"shard {shard.partition} is not acquired{': ' if why else ''}{why}"


def _reason(shard: ShardState) -> str:
    parked = shard.parked
    return "" if parked is None else str(parked.reason)


def _unknown(shard: ShardState) -> Standing:
    """Of a shard that this worker has never acquired."""
    return Standing(
        partition=shard.partition,
        acquired=False,
        parked=_reason(shard),
        sequence=None,
        clock_s=None,
        freshness_s=None,
        timer_lag_s=None,
        uncommitted_s=shard.uncommitted_s,
        recoverable=None,
        lags=(None,) * len(READ),
    )
