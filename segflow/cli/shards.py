"""Lookups shared by the commands that work on shards: the shards, their inputs and their rules."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from segflow.schemas.settings import Settings
from segflow.state import lookup
from segflow.state.parking import ParkingNotes
from segflow.state.redis_servers import RedisServers
from segflow.streams.control.topic import Control
from segflow.streams.kafka import topics
from segflow.streams.kafka.clients import group_members
from segflow.streams.runtime.errors import UsageError
from segflow.streams.state_topic.reader import TopicFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """An installation that a worker has run on."""

    partitions: int
    topic_ids: tuple[str, ...]  # of purchases and interactions
    state_topic: TopicFacts
    control: Control


def inputs_of(settings: Settings, state: RedisServers | None = None) -> Installed:
    """The installation of `settings`; nothing is written.

    Args:
        settings: where it is; what defines segments counts for nothing, for each commit has the definition of its time.
        state: Redis, where its content is worked on and has to fit, too.

    Raises:
        UsageError: there is none, or its topics are not those of the settings.
        kafka.errors.KafkaError: Kafka cannot be reached or refuses.
        redis.RedisError: Redis cannot be reached or refuses.
    """
    report = topics.check(settings)
    if report.missing or not report.partitions:
        raise UsageError("\n".join(report.problems))
    control = Control(settings)
    if not control.read():
        raise UsageError(f"no worker has run yet with these topics ({settings.kafka.topics.control} is empty)")
    held = lookup.installation(state, settings.redis.prefix) if state is not None else None
    wanted = (report.partitions, settings.kafka.partitioner)
    if held is not None and (held.partitions, held.partitioner) != wanted:
        raise UsageError(
            f"the state in Redis is of {held.partitions} partitions and the partitioner {held.partitioner}, the "
            f"settings and inputs have {wanted[0]} and {wanted[1]}: customers changed shards"
        )
    return Installed(
        partitions=report.partitions,
        topic_ids=report.input_ids,
        state_topic=TopicFacts.of(report.topics["state"]),
        control=control,
    )


def shards_of(installed: Installed, shard: int | None) -> Sequence[int]:
    """The shard asked for, or all.

    Raises:
        UsageError: there is no such shard.
    """
    if shard is None:
        return range(installed.partitions)
    if shard >= installed.partitions:
        raise UsageError(
            f"there is no shard {shard}: the inputs have {installed.partitions} partitions, 0 to "
            f"{installed.partitions - 1}"
        )
    return [shard]


def not_held(settings: Settings, state: RedisServers, shards: Iterable[int]) -> None:
    """Check that no worker works these shards: each is parked, or there is none.

    Raises:
        UsageError: one may.
        kafka.errors.KafkaError, redis.RedisError: a server cannot be reached or refuses.
    """
    chosen = set(shards)
    if not chosen - ParkingNotes(state, settings.redis.prefix).read(chosen).keys():
        return
    with topics.admin(settings.kafka) as admin:
        running = group_members(admin, settings.kafka.group)
    if running:
        raise UsageError(
            f"{running} worker process{'es' * (running != 1)} in the group {settings.kafka.group}: stop the workers "
            "first, or they acquire the shards again (one that died is gone after worker.session_timeout). Only a "
            "shard that is parked is made again beside them: name it with --shard"
        )
