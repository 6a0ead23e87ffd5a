"""The topics: what each must be like, what is there, and making those that are missing."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from kafka import TopicPartition
from kafka.admin import ConfigResource, KafkaAdminClient

from segflow.schemas.connection_settings import Kafka
from segflow.schemas.settings import Settings
from segflow.streams.kafka.clients import BOOTSTRAP_TIMEOUT_MS, kafka_python_options
from segflow.streams.kafka.limits import least_bytes

DEFAULT_PARTITIONS: Final = 8
"""Shards of a new installation: enough for eight worker processes, few enough for one."""
KEPT_30_DAYS: Final = {"cleanup.policy": "delete", "retention.ms": str(30 * 86_400_000)}
KEPT_FOR_EVER: Final = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
COMPACTED: Final = {"cleanup.policy": "compact"}
COMPACTION_LAG: Final = "max.compaction.lag.ms"
COMPACTED_WITHIN: Final = {COMPACTION_LAG: str(7 * 86_400_000)}
"""The time for which a compacted topic may keep older records, an erased customer's too. Kafka fills one file of a
partition for as long by default (`segment.ms`), so it costs no more files."""
NO_LAG: Final = str(2**63 - 1)
"""Kafka's default of it: no bound."""
# Error codes of Kafka's protocol.
NO_ERROR: Final = 0
UNKNOWN_TOPIC: Final = 3
ALREADY_EXISTS: Final = 36
LATEST_OFFSET: Final = -1
"""Of Kafka's ListOffsets: after the last record."""


class TopicsError(Exception):
    """The topics cannot be made as asked; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """The requirements on one of the settings' topics.

    single: one partition, else as many as the inputs. made_with: configuration of a new one (an input has the
    broker's default: how long purchases are kept is the platform's decision). required: what must hold of any.
    """

    single: bool = False
    made_with: dict[str, str]
    required: dict[str, str]


INPUTS: Final = ("purchases", "interactions")
READ: Final = (*INPUTS, "handover")
"""The topics of which a shard reads its partition."""
COPIES_MIN: Final = 3
"""From this replication on, a record counts as written when all copies but one have it: one broker may be lost with
nothing lost and nothing held up. With fewer copies that would be one or the other."""
KINDS: Final = {
    "purchases": Kind(made_with={}, required={"cleanup.policy": "delete"}),
    "interactions": Kind(made_with={}, required={"cleanup.policy": "delete"}),
    "changes": Kind(made_with=KEPT_30_DAYS, required={"cleanup.policy": "delete"}),
    "current": Kind(made_with=COMPACTED | COMPACTED_WITHIN, required=COMPACTED),
    "alerts": Kind(made_with=KEPT_30_DAYS, required={"cleanup.policy": "delete"}),
    "dead_letters": Kind(made_with=KEPT_30_DAYS, required={"cleanup.policy": "delete"}),
    "journal": Kind(made_with=KEPT_FOR_EVER, required=KEPT_FOR_EVER),
    "handover": Kind(made_with={}, required={"cleanup.policy": "delete"}),
    "control": Kind(single=True, made_with=KEPT_FOR_EVER, required=KEPT_FOR_EVER),
}
"""By field of segflow.schemas.settings.KafkaTopics."""
WHY: Final = {
    "purchases": "compaction would throw events away",
    "interactions": "compaction would throw events away",
    "changes": "compaction would throw changes away",
    "current": "it holds the latest segments of each customer, and would grow for ever",
    "alerts": "compaction would throw alerts away",
    "dead_letters": "compaction would throw dead letters away",
    "journal": "a lost Redis is rebuilt from it",
    "handover": "compaction would throw parts of merged customers away",
    "control": "every version of the rules stays needed",
}
SIZE_LIMIT: Final = "max.message.bytes"
SHOWN_CONFIGS: Final = ("cleanup.policy", "retention.ms", "retention.bytes", COMPACTION_LAG, SIZE_LIMIT)


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


def partitions_added(found: Mapping[str, tuple[str, int]], known: Mapping[str, int]) -> str:
    """A message about topics that have more partitions than they had; empty where none has.

    Args:
        found: id and number of partitions by name, as they are.
        known: numbers of partitions by name, as they were.
    """
    grown = [
        f"{name} has {count} partitions and had {known[name]}"
        for name, (_, count) in found.items()
        if count > known[name] > 0
    ]
    if not grown:
        return ""
    return (
        f"partitions were added: {', '.join(grown)}. Producers now put customers elsewhere than before, and they would "
        "stand in two shards; so nothing is read or published any more. Kafka takes no partition back: begin a new "
        "installation (another redis.prefix, kafka.group and output topics), which reads the inputs from their start"
    )


def grown(report: TopicsReport, partitions: int) -> str:
    """See `partitions_added`; `partitions`: those that the installation has."""
    sharded = [topic for topic in report.topics.values() if not KINDS[topic.role].single]
    found = {topic.name: (topic.topic_id, topic.partitions) for topic in sharded}
    return partitions_added(found, dict.fromkeys(found, partitions))


def check(settings: Settings) -> TopicsReport:
    """Describe the settings' topics and say what is wrong.

    Raises:
        kafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    with admin(settings.kafka) as client:
        return _report(_describe(client, settings.kafka), settings)


def has_records(kafka: Kafka, name: str) -> bool:
    """Whether anything was ever written to the topic.

    Raises:
        kafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    with admin(kafka) as client:
        (described,) = client.describe_topics([name])
        places = [TopicPartition(name, number) for number in range(len(described["partitions"]))]
        found = client.list_partition_offsets(dict.fromkeys(places, LATEST_OFFSET))
    return any(found[place].offset > 0 for place in places)


def configuration(role: str, replication: int) -> dict[str, str]:
    """The configuration of a new topic."""
    durable = {"min.insync.replicas": str(replication - 1)} if replication >= COPIES_MIN else {}
    return KINDS[role].made_with | durable


def create(settings: Settings, partitions: int | None = None) -> list[str]:
    """Make the topics that are missing, and wait until they can be used; existing ones stay as they are.

    Args:
        settings: names and replication.
        partitions: of each new topic but control; None: as the existing input has, else DEFAULT_PARTITIONS.

    Returns:
        The names of the topics made.

    Raises:
        TopicsError: an existing input has another number of partitions, or the broker refuses a topic.
        kafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    with admin(settings.kafka) as client:
        found = _describe(client, settings.kafka)
        count = _count_to_make(found, partitions)
        new = {
            topic.name: {
                "num_partitions": 1 if KINDS[topic.role].single else count,
                "replication_factor": settings.kafka.replication,
                "configs": configuration(topic.role, settings.kafka.replication),
            }
            for topic in found.values()
            if not topic.partitions
        }
        if not new:
            return []
        answer = client.create_topics(new, raise_errors=False)
        refused = [
            f"{each['name']}: {each.get('error_message') or 'error code ' + str(each['error_code'])}"
            for each in answer["topics"]
            if each["error_code"] not in (NO_ERROR, ALREADY_EXISTS)
        ]
        if refused:
            raise TopicsError("Kafka refuses to make topics: " + "; ".join(refused))
        client.wait_for_topics(list(new))
        return list(new)


@contextmanager
def admin(kafka: Kafka) -> Iterator[KafkaAdminClient]:
    """kafka-python's admin client, closed in the end."""
    with closing(KafkaAdminClient(**kafka_python_options(kafka), bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT_MS)) as client:
        yield client


def _describe(client: KafkaAdminClient, kafka: Kafka) -> dict[str, Topic]:
    """Each topic by role."""
    names = {role: str(getattr(kafka.topics, role)) for role in KINDS}
    described: dict[str, Any] = {each["name"]: each for each in client.describe_topics(list(names.values()))}
    for each in described.values():
        if each["error_code"] not in (NO_ERROR, UNKNOWN_TOPIC):
            raise TopicsError(f"Kafka does not describe {each['name']}: error code {each['error_code']}")
    there = [name for name, each in described.items() if each["error_code"] == NO_ERROR]
    configs = _configs(client, there)
    return {
        role: Topic(
            role=role,
            name=name,
            topic_id=str(described[name].get("topic_id") or "") if name in there else "",
            partitions=len(described[name]["partitions"]) if name in there else 0,
            replicas=_replicas(described[name]) if name in there else 0,
            configs=configs.get(name, {}),
        )
        for role, name in names.items()
    }


def _replicas(described: dict[str, Any]) -> int:
    return min(len(partition.get("replica_nodes") or ()) for partition in described["partitions"])


def _configs(client: KafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    wanted = [ConfigResource("topic", name) for name in names]  # all keys: Tansu hangs up when asked for some
    answer = client.describe_configs(wanted, config_filter="all").get("topic", {})
    return {
        name: {key: str(found[key]["value"]) for key in SHOWN_CONFIGS if key in found} for name, found in answer.items()
    }


def _report(topics: dict[str, Topic], settings: Settings) -> TopicsReport:
    missing = [topic.name for topic in topics.values() if not topic.partitions]
    problems = []
    if missing:
        problems.append(f"missing: {', '.join(missing)}. Make them with `segflow topics --create`.")
    first, second = (topics[role] for role in INPUTS)
    partitions = first.partitions if first.partitions == second.partitions else 0
    if first.partitions and second.partitions and not partitions:
        problems.append(_unequal(first, second))
    for role, topic in topics.items():
        if topic.partitions:
            problems += _partition_problems(topic, partitions) if role not in INPUTS else []
            problems += _config_problems(topic)
            problems += _size_problems(topic, least_bytes(role, settings))
    warnings = [_unbounded(topic) for topic in topics.values() if compaction_lag_ms(topic) is None and _compacts(topic)]
    return TopicsReport(partitions=partitions, topics=topics, problems=problems, missing=missing, warnings=warnings)


def compaction_lag_ms(topic: Topic) -> int | None:
    """The time for which a compacted topic may keep older records; None: no bound, or the broker does not say."""
    lag = topic.configs.get(COMPACTION_LAG, NO_LAG)
    return None if lag == NO_LAG else int(lag)


def _compacts(topic: Topic) -> bool:
    return COMPACTION_LAG in topic.configs and "compact" in topic.configs.get("cleanup.policy", "")


def _unbounded(topic: Topic) -> str:
    ((key, value),) = COMPACTED_WITHIN.items()
    return (
        f"{topic.name} has no {key}: of erased customers it may keep older records for ever. Give it a bound: "
        f"kafka-configs.sh --alter --entity-type topics --entity-name {topic.name} --add-config {key}={value}"
    )


def _unequal(first: Topic, second: Topic) -> str:
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


def _config_problems(topic: Topic) -> list[str]:
    return [
        f"{topic.name} has {key}={topic.configs[key]}, but must have {key}={value} ({WHY[topic.role]}): "
        f"kafka-configs.sh --alter --entity-type topics --entity-name {topic.name} --add-config {key}={value}"
        for key, value in KINDS[topic.role].required.items()
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


def _count_to_make(topics: dict[str, Topic], asked: int | None) -> int:
    there = [topics[role] for role in INPUTS if topics[role].partitions]
    if len({topic.partitions for topic in there}) > 1:
        raise TopicsError(_unequal(*there))
    if not there:
        return asked or DEFAULT_PARTITIONS
    if asked is not None and asked != there[0].partitions:
        raise TopicsError(
            f"{there[0].name} exists with {there[0].partitions} partitions: leave --partitions out, or delete the "
            "topics first"
        )
    return there[0].partitions
