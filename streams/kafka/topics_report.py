"""The report on the topics: what they are like, what is wrong with them, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from segflow.schemas import duration
from segflow.schemas.settings import Settings
from segflow.streams.kafka.limits import least_bytes
from segflow.streams.kafka.topic_kinds import (
    COMPACTED,
    COMPACTED_WITHIN,
    COMPACTION_LAG,
    INPUTS,
    KEPT_FOR_EVER,
    KINDS,
    READ,
    SIZE_LIMIT,
    WHY,
    journal_kept,
    recovers_by_inputs,
    required,
)

LONGEST_MS: Final = timedelta.max // timedelta(milliseconds=1)
"""Kafka's largest number, its default of max.compaction.lag.ms and some people's "for ever", is far beyond it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """One topic as Kafka has it. partitions 0: it does not exist."""

    role: str  # field of segflow.schemas.settings.KafkaTopics
    name: str
    topic_id: str  # empty where the topic does not exist or the broker has no ids
    partitions: int
    replicas: int  # of the partition that has fewest
    configs: dict[str, str]  # of SHOWN_CONFIGS


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicsReport:
    """All topics and what is wrong with them."""

    partitions: int  # of both inputs: the number of shards; 0 where the inputs are missing or differ
    topics: dict[str, Topic]  # by role
    problems: list[str]  # each with what to do
    missing: list[str]  # names
    warnings: list[str]  # what keeps no worker from its work, each with what to do

    @property
    def input_ids(self) -> tuple[str, ...]:
        """Kafka's ids of purchases, interactions and what shards hand over; a topic made again has another."""
        return tuple(self.topics[role].topic_id for role in READ)


def report_on(topics: dict[str, Topic], settings: Settings, divided: int = 0) -> TopicsReport:
    """The report on topics, by role, that are as `topics` says.

    `divided`: the partitions that the customers were divided by when workers ran; 0: none has run. With more of them
    now, what is said of a new installation (make a topic anew) would lose what workers wrote.
    """
    missing = [topic.name for topic in topics.values() if not topic.partitions]
    problems = []
    if missing:
        problems.append(f"missing: {', '.join(missing)}. Make them with `segflow topics --create`.")
    first, second = (topics[role] for role in INPUTS)
    partitions = first.partitions if first.partitions == second.partitions else 0
    added = _grown(topics, divided)
    if added:
        problems.append(added)
    elif first.partitions and second.partitions and not partitions:
        problems.append(unequal(first, second))
    for role, topic in topics.items():
        if topic.partitions:
            problems += [] if added or role in INPUTS else _partition_problems(topic, partitions)
            problems += _config_problems(topic, required(role, settings, topic.configs))
            problems += _size_problems(topic, least_bytes(role, settings))
    warnings = [each.told for each in alterations(topics, settings)]
    return TopicsReport(partitions=partitions, topics=topics, problems=problems, missing=missing, warnings=warnings)


def compaction_lag(topic: Topic) -> timedelta | None:
    """The time for which a compacted topic may keep older records; None: no bound, or the broker does not say."""
    return _span(topic, COMPACTION_LAG)


def retention(topic: Topic) -> tuple[timedelta | None, int | None]:
    """The age and the bytes of a partition beyond which a topic's records are deleted; None: no bound."""
    size_bytes = int(topic.configs.get("retention.bytes", "-1"))
    return _span(topic, "retention.ms"), None if size_bytes < 0 else size_bytes


def ends(topic: Topic) -> bool:
    """Whether a topic forgets. No version of segflow before 0.2 starts where the journal does."""
    return retention(topic) != (None, None)


def _span(topic: Topic, config: str) -> timedelta | None:
    """A configuration in milliseconds; None: not set, or for ever."""
    milliseconds = int(topic.configs.get(config, "-1"))
    return timedelta(milliseconds=milliseconds) if 0 <= milliseconds <= LONGEST_MS else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Alteration:
    """A change of a topic that works as it is, by `segflow topics --migrate`.

    why: what is the matter with it, for people. forgets: the topic then loses records that it has.
    """

    topic: Topic
    configs: dict[str, str]
    why: str
    forgets: bool = False

    @property
    def told(self) -> str:
        """A warning about the topic as it is."""
        configs = ", ".join(f"{key}={value}" for key, value in self.configs.items())
        return f"{self.topic.name} {self.why}. `segflow topics --migrate` sets {configs}"


def alterations(topics: Mapping[str, Topic], settings: Settings) -> list[Alteration]:
    """The differences from what a new topic is made with that should not be; `topics` by role."""
    there = [topic for topic in topics.values() if topic.partitions]
    found = [each for topic in there if (each := _alteration(topic, settings)) is not None]
    return found + [
        Alteration(
            topic=topic,
            configs=COMPACTED_WITHIN,
            why=f"has no {COMPACTION_LAG}: of erased customers it may keep older records for ever",
        )
        for topic in there
        if COMPACTION_LAG in topic.configs
        and "compact" in topic.configs.get("cleanup.policy", "")
        and compaction_lag(topic) is None
    ]


def _alteration(topic: Topic, settings: Settings) -> Alteration | None:
    if topic.role == "journal":
        return _journal(topic, settings)
    age, size_bytes = retention(topic)
    if topic.role == "handover" and (age is not None or size_bytes is not None):
        return Alteration(
            topic=topic,
            configs={key: value for key, value in KEPT_FOR_EVER.items() if topic.configs.get(key) != value},
            why=f"is kept {kept_for(topic)}: a shard that stands still for longer loses parts of merged customers",
        )
    if topic.role == "control" and topic.configs.get("cleanup.policy") == "delete":
        return Alteration(
            topic=topic,
            configs=COMPACTED | COMPACTED_WITHIN,
            why="keeps every scan for a re-cut for ever, though only the versions of the rules stay needed",
            forgets=True,
        )
    return None


def _journal(topic: Topic, settings: Settings) -> Alteration | None:
    if recovers_by_inputs(settings):  # not for ever is a problem there, and no shorter than for ever is right
        return None
    wanted = journal_kept(settings)
    differing = {key: value for key, value in wanted.items() if topic.configs.get(key, value) != value}
    if not differing or not topic.configs.keys() >= wanted.keys():  # a broker that does not say
        return None
    kept, then = retention(topic)[0], _span(replace(topic, configs=wanted), "retention.ms")
    return Alteration(
        topic=topic,
        configs=differing,
        why=f"is kept {kept_for(topic)}, and kafka.journal_retention is {_length(then)}",
        forgets=then is not None and (kept is None or then < kept),
    )


def kept_for(topic: Topic) -> str:
    """The retention of a topic, for a person."""
    age, size_bytes = retention(topic)
    kept = "for ever" if age is None else duration.to_text(age)
    return kept if size_bytes is None else f"{kept}, up to {size_bytes:,} bytes a partition"


def _length(span: timedelta | None) -> str:
    return "for ever" if span is None else duration.to_text(span)


def unequal(first: Topic, second: Topic) -> str:
    """A message about inputs that have different numbers of partitions."""
    fewer, more = sorted((first, second), key=lambda topic: topic.partitions)
    return (
        f"{first.name} has {first.partitions} partitions, {second.name} has {second.partitions}: both inputs must have "
        "equally many, or a customer's purchases and interactions land in different shards. Recreate one of them, or, "
        "before anything was produced, add partitions: kafka-topics.sh --alter "
        f"--topic {fewer.name} --partitions {more.partitions}"
    )


def _partition_problems(topic: Topic, partitions: int) -> list[str]:
    expected = 1 if KINDS[topic.role].single else partitions
    if not expected or topic.partitions == expected:
        return []
    wanted = "1 partition" if expected == 1 else f"{expected} partitions, as the inputs have"
    problem = (
        f"{topic.name} has {topic.partitions} partitions, but must have {wanted}. Before the first worker ran: delete "
        "it and run `segflow topics --create`. After that: begin a new installation, with other topics, kafka.group "
        "and redis.prefix"
    )
    return [problem]


def _config_problems(topic: Topic, wanted: Mapping[str, str]) -> list[str]:
    return [
        f"{topic.name} has {key}={topic.configs[key]}, but must have {key}={value} ({WHY[topic.role]}): "
        f"kafka-configs.sh --alter --entity-type topics --entity-name {topic.name} --add-config {key}={value}"
        for key, value in wanted.items()
        if key in topic.configs and topic.configs[key] != value
    ]


def _size_problems(topic: Topic, least: int) -> list[str]:
    limit = topic.configs.get(SIZE_LIMIT)
    if limit is None or int(limit) >= least:
        return []
    problem = (
        f"{topic.name} takes at most {int(limit):,} bytes at once ({SIZE_LIMIT}), but must take {least:,}, or a shard "
        f"that writes more stands still: kafka-configs.sh --alter --entity-type topics --entity-name {topic.name} "
        f"--add-config {SIZE_LIMIT}={least}"
    )
    return [problem]


def partitions_added(found: Mapping[str, int], known: Mapping[str, int]) -> str:
    """A message about topics that have more partitions than they had; empty where none has.

    Args:
        found: numbers of partitions by name, as they are.
        known: numbers of partitions by name, as they were.
    """
    grown = [
        f"{name} has {count} partitions and had {known[name]}"
        for name, count in found.items()
        if count > known[name] > 0
    ]
    if not grown:
        return ""
    return (
        f"partitions were added: {', '.join(grown)}. Producers now put customers elsewhere than before, and they would "
        "stand in two shards; so nothing is read or published any more. Stop the workers and type `segflow reshard "
        f"--partitions {max(found.values())}`, which divides the customers anew"
    )


def grown(report: TopicsReport, partitions: int) -> str:
    """See `partitions_added`; `partitions`: those that the installation has."""
    return _grown(report.topics, partitions)


def _grown(topics: Mapping[str, Topic], partitions: int) -> str:
    found = {topic.name: topic.partitions for topic in topics.values() if not KINDS[topic.role].single}
    return partitions_added(found, dict.fromkeys(found, partitions))
