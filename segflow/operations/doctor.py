"""The checks of `segflow doctor`: Kafka, topics, keys, Redis, shards. Each failure comes with advice."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
from kafka.admin import KafkaAdminClient

from segflow.operations.clock_check import clock_finding
from segflow.operations.finding import Finding
from segflow.operations.lag import lag_finding
from segflow.operations.recovery_check import is_lost, recovery_findings, replication_finding
from segflow.operations.redis_check import redis_findings
from segflow.operations.redis_rights import rights_findings
from segflow.operations.shard_findings import belongs, parked
from segflow.operations.usable_share import usable_findings
from segflow.schemas.settings import Settings
from segflow.schemas.settings_file import DEFAULT_FILE, ENVIRONMENT
from segflow.state import lookup, redis_connection
from segflow.state.head import Head
from segflow.state.parking import ParkingNotes
from segflow.streams.journal.journal import JournalError
from segflow.streams.kafka import topics
from segflow.streams.kafka.key_placement import KeySample, key_samples, placement_problem
from segflow.streams.kafka.topic_kinds import INPUTS
from segflow.streams.kafka.topics_report import TopicsReport, grown
from segflow.streams.runtime.connections import kafka_errors, redis_errors
from segflow.streams.runtime.errors import UsageError
from segflow.streams.runtime.shard_names import shard_names

KAFKA_MIN: Final = (2, 8)
"""From here on topics have ids, without which a topic deleted and made again goes unnoticed."""
NEW_INSTALLATION: Final = (
    "Begin a new installation (another redis.prefix, kafka.group and output topics): "
    "it reads the inputs from their start."
)


def diagnose(settings: Settings, file: Path | None) -> Iterator[Finding]:
    """Look at everything, one finding after the other; an outage of one thing does not hide the rest."""
    yield _settings(file)
    report = None
    try:
        with kafka_errors(settings.kafka), topics.admin(settings.kafka) as client:
            yield _kafka(settings, client)
        with kafka_errors(settings.kafka):
            report = topics.check(settings)
            yield from _topics(report)
            if report.partitions:
                samples = key_samples(settings)
                yield _keys(settings, samples, report)
                yield from usable_findings(samples)
    except UsageError as error:
        yield Finding(name="kafka", status="FAIL", message=str(error))
    heads, commits, reached = None, [0], False
    try:
        with redis_errors(settings.redis), closing(redis_connection.servers(settings.redis)) as servers:
            yield from redis_findings(settings, [client.info() for client in servers.each()])
            yield from rights_findings(servers, settings.redis.prefix)
            installation = lookup.installation(servers, settings.redis.prefix)
            commits = _commits(settings, report)
            yield _installation(settings, installation, report, commits)
            if installation:
                yield from belongs(settings, servers, installation, report)
                yield from parked(ParkingNotes(servers, settings.redis.prefix).read(range(installation.partitions)))
            heads = lookup.heads(servers, settings.redis.prefix, installation.partitions) if installation else None
            reached = True
    except (UsageError, msgspec.MsgspecError) as error:
        yield Finding(name="redis", status="FAIL", message=str(error))
    yield clock_finding(settings)
    if report is not None and not report.missing:
        yield replication_finding(report)
        if reached and report.partitions == len(commits):
            yield from _recovery(settings, report, commits, heads)
    if heads:
        yield from _heads(heads, report, commits)
    if heads and report is not None and report.partitions == len(heads):
        try:
            with kafka_errors(settings.kafka), topics.admin(settings.kafka) as client:
                yield lag_finding(settings, client, heads)
        except UsageError as error:
            yield Finding(name="lag", status="FAIL", message=str(error))


def _settings(file: Path | None) -> Finding:
    path = file or (Path(DEFAULT_FILE) if Path(DEFAULT_FILE).exists() else None)
    source = f"from {path}" if path is not None else f"the defaults: there is no {DEFAULT_FILE} here, and no --settings"
    given = [name for name in ENVIRONMENT if os.environ.get(name)]
    return Finding(name="settings", status="OK", message=source + (f", and {', '.join(given)}" if given else ""))


def _kafka(settings: Settings, client: KafkaAdminClient) -> Finding:
    brokers = client.describe_cluster()["brokers"]
    version = tuple(client.get_broker_version_data(brokers[0]["broker_id"]).broker_version)
    count = "1 broker" if len(brokers) == 1 else f"{len(brokers)} brokers"
    message = f"{settings.kafka.address}: version {_dotted(version)} or later, {count}"
    if version < KAFKA_MIN:
        advice = f"Use {_dotted(KAFKA_MIN)} or later: without topic ids a topic deleted and made again goes unnoticed."
        return Finding(name="kafka", status="WARN", message=message, advice=advice)
    return Finding(name="kafka", status="OK", message=message)


def _topics(report: TopicsReport) -> Iterator[Finding]:
    for problem in report.problems:
        yield Finding(name="topics", status="FAIL", message=problem)
    for warning in report.warnings:
        message, _, advice = warning.partition(". ")
        yield Finding(name="topics", status="WARN", message=message, advice=advice)
    if not report.problems:
        names = ", ".join(topic.name for topic in report.topics.values())
        yield Finding(name="topics", status="OK", message=f"{names}; {report.partitions} shards")


def _keys(settings: Settings, found: list[KeySample], report: TopicsReport) -> Finding:
    before = report.topics["journal"].partitions
    problem = placement_problem(found, settings.kafka.partitioner, report.partitions, before=before)
    if problem is not None:
        return Finding(name="keys", status="FAIL", message=problem)
    if not found:
        return Finding(
            name="keys",
            status="WARN",
            message="both inputs are empty: how producers place keys is not known yet",
            advice="Run this again once events have come.",
        )
    return Finding(
        name="keys", status="OK", message=f"{len(found)} sampled keys are where {settings.kafka.partitioner} puts them"
    )


def _commits(settings: Settings, report: TopicsReport | None) -> list[int]:
    """The journal's end by shard: above 0 where there were commits, also where retention has cut them.

    Empty where there is no journal or Kafka does not answer.
    """
    topic = report.topics["journal"] if report is not None else None
    if topic is None or not topic.partitions:
        return []
    try:
        with kafka_errors(settings.kafka):
            return topics.ends(settings.kafka, topic.name)
    except UsageError:
        return []  # a finding of its own says so


def _recovery(
    settings: Settings, report: TopicsReport, commits: list[int], heads: list[Head | None] | None
) -> Iterator[Finding]:
    """See recovery_findings; none where Kafka does not answer, which is a finding of its own."""
    try:
        with kafka_errors(settings.kafka):
            found = list(recovery_findings(settings, report, commits, heads))
    except (UsageError, JournalError) as error:
        found = [Finding(name="recovery", status="FAIL", message=str(error))]
    yield from found


def _installation(
    settings: Settings, installation: lookup.Installation | None, report: TopicsReport | None, commits: list[int]
) -> Finding:
    prefix = settings.redis.prefix
    if installation is None and any(commits):
        return Finding(
            name="shards",
            status="FAIL",
            message=f"Redis holds nothing under redis.prefix {prefix}, but the journal has commits: Redis lost it, or "
            "this is not the Redis of the installation",
            advice="Check redis.url and redis.prefix. If it is the right Redis, see the recovery below.",
        )
    if installation is None:
        return Finding(
            name="shards",
            status="WARN",
            message=f"no worker has run yet on this Redis with redis.prefix {prefix}",
            advice="Start one: segflow worker.",
        )
    partitions = installation.partitions
    if installation.partitioner != settings.kafka.partitioner:
        return Finding(
            name="shards",
            status="FAIL",
            message=f"kafka.partitioner is {settings.kafka.partitioner}, but the shards are made with "
            f"{installation.partitioner}",
            advice="Take the old value back; or begin a new installation.",
        )
    added = grown(report, partitions) if report is not None else ""
    if added:
        return Finding(name="shards", status="FAIL", message=added)
    if report is not None and report.partitions and report.partitions != partitions:
        return Finding(
            name="shards",
            status="FAIL",
            message=f"Redis holds {partitions} shards, but the inputs have {report.partitions} partitions: keys moved",
            advice=NEW_INSTALLATION,
        )
    return Finding(name="shards", status="OK", message=f"{partitions} under redis.prefix {prefix}")


def _heads(heads: list[Head | None], report: TopicsReport | None, commits: list[int]) -> Iterator[Finding]:
    counts = commits if len(commits) == len(heads) else [0] * len(heads)
    absent = [partition for partition, head in enumerate(heads) if is_lost(head, counts[partition])]
    population = sum(head.population - head.holes for head in heads if head is not None)
    if absent:
        yield Finding(
            name="heads",
            status="WARN",
            message=f"{len(absent)} of {len(heads)} have no state: {shard_names(absent)}",
            advice="A running worker acquires them within seconds; is it running?",
        )
    else:
        yield Finding(
            name="heads", status="OK", message=f"all {len(heads)} shards have state: {population:,} customers"
        )
    for topic in [report.topics[role] for role in INPUTS] if report is not None else []:
        known = {getattr(head, topic.role).topic_id for head in heads if head is not None} - {""}
        if topic.topic_id and known - {topic.topic_id}:
            yield Finding(
                name="heads",
                status="FAIL",
                message=f"{topic.name} was deleted and made again since the shards read it",
                advice=NEW_INSTALLATION,
            )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
