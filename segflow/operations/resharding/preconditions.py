"""The conditions under which a reshard begins. Looks, and touches nothing."""

import asyncio
from dataclasses import dataclass

from segflow.operations.lag import records_behind
from segflow.operations.resharding.division import Division
from segflow.schemas.settings import Settings
from segflow.state import lookup
from segflow.state.redis_servers import RedisServers
from segflow.streams.control.topic import Control
from segflow.streams.journal.journal import JournalReader
from segflow.streams.kafka import topics
from segflow.streams.kafka.clients import group_members
from segflow.streams.kafka.topic_kinds import INPUTS, KINDS, READ
from segflow.streams.kafka.topics_report import TopicsReport
from segflow.streams.runtime.errors import UsageError
from segflow.streams.runtime.shard_names import shard_names


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """The task of a reshard. `written`: the customers are divided already, and Redis may not have it yet."""

    division: Division
    report: TopicsReport
    control: Control
    written: bool
    unread: int  # records that wait in the partitions there were; only where inputs were grown already


def prepare(settings: Settings, servers: RedisServers, partitions: int) -> Prepared:
    """Look whether a reshard to so many partitions can be done.

    Raises:
        UsageError: it cannot, with what to do.
        kafka.errors.KafkaError, aiokafka.errors.KafkaError, redis.RedisError: a server does not answer or refuses.
    """
    if not settings.worker.transactional:
        raise UsageError(
            "worker.guarantee is at_least_once: nothing goes to the state topic, by which customers change shards. "
            "Begin a new installation over the same inputs instead"
        )
    report = topics.check(settings)
    if report.missing:
        raise UsageError("\n".join(report.problems))
    control = Control(settings)
    if not control.read():
        raise UsageError(
            f"no worker has run yet with these topics ({settings.kafka.topics.control} is empty): make the topics with "
            "the number of partitions you want"
        )
    with topics.admin(settings.kafka) as admin:
        running = group_members(admin, settings.kafka.group)
    if running:
        raise UsageError(
            f"{running} worker process{'es' * (running != 1)} in the group {settings.kafka.group}: stop the workers "
            "first (one that died is gone after worker.session_timeout)"
        )
    held = lookup.installation(servers, settings.redis.prefix)
    if held is not None and held.partitioner != settings.kafka.partitioner:
        raise UsageError(
            f"the customers are divided by the partitioner {held.partitioner}, and kafka.partitioner is "
            f"{settings.kafka.partitioner}: a reshard changes their number of shards alone. Take the old one back"
        )
    last = control.reshard
    written = last is not None and (held is None or held.reshard_us != last.at_us)
    if last is not None and written and last.partitions != partitions:
        raise UsageError(
            f"a reshard to {last.partitions} partitions was begun and not ended: type `segflow reshard --partitions "
            f"{last.partitions}` first"
        )
    before = _divided(settings, report, control, held)
    division = Division(before=before, after=partitions, partitioner=settings.kafka.partitioner)
    most = max(topic.partitions for role, topic in report.topics.items() if not KINDS[role].single)
    if partitions < most:
        raise UsageError(
            f"the topics have {most} partitions, and Kafka takes none back: fewer shards need a new installation over "
            "the same inputs"
        )
    if partitions == before and not written:
        raise UsageError(f"the customers are in {before} shards already: nothing to do")
    unread = 0 if written else _unread(settings, servers, report, before)
    return Prepared(division=division, report=report, control=control, written=written, unread=unread)


def _divided(settings: Settings, report: TopicsReport, control: Control, held: lookup.Installation | None) -> int:
    """The shards there are: as the last reshard left them, as Redis knows, or as the journal's commits know."""
    if control.reshard is not None:
        return control.reshard.partitions
    if held is not None:
        return held.partitions
    counted = asyncio.run(_in_journal(settings, report.topics["journal"].partitions))
    if not counted:
        raise UsageError(f"no commit is in {settings.kafka.topics.journal}: into how many shards is not known")
    return counted


async def _in_journal(settings: Settings, partitions: int) -> int:
    most = 0
    for number in range(partitions):
        async with JournalReader(settings, number) as journal:
            last = await journal.last()
        most = max(most, 0 if last is None else last.plan.shards)
    return most


def _unread(settings: Settings, servers: RedisServers, report: TopicsReport, before: int) -> int:
    """The records that wait in the partitions that the shards read; none may where workers can still read them.

    Raises:
        UsageError: there are such records.
    """
    behind = records_behind(settings, lookup.heads(servers, settings.redis.prefix, before), READ)
    grown = any(report.topics[role].partitions > before for role in INPUTS)
    if sum(behind) and not grown:
        late = [number for number, count in enumerate(behind) if count]
        raise UsageError(
            f"{sum(behind):,} records of {shard_names(late)} are not read yet: let the producers pause, start a worker "
            "until `segflow doctor` says 0 records behind, stop it, and type this again. Nothing was touched"
        )
    return sum(behind)
