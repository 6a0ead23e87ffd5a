"""The topics in Kafka: looking at them, and making those that are missing."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Final

from kafka import TopicPartition
from kafka.admin import ConfigResource, KafkaAdminClient
from kafka.errors import for_code

from segflow.schemas.connection_settings import Kafka
from segflow.schemas.settings import Settings
from segflow.streams.kafka.clients import BOOTSTRAP_TIMEOUT_MS, kafka_python_options
from segflow.streams.kafka.topic_kinds import INPUTS, KINDS, SHOWN_CONFIGS, configuration
from segflow.streams.kafka.topics_report import Topic, TopicsReport, report_on, unequal
from segflow.streams.runtime.error_reason import reason
from segflow.streams.runtime.errors import UsageError
from segflow.streams.runtime.failpoints import failpoint

DEFAULT_PARTITIONS: Final = 8
"""Shards of a new installation: enough for eight worker processes, few enough for one."""
# Error codes of Kafka's protocol.
NO_ERROR: Final = 0
UNKNOWN_TOPIC: Final = 3
ALREADY_EXISTS: Final = 36
GROWN_S: Final = 30.0
"""For new partitions to get their leaders, which takes a broker milliseconds."""
LOOK_S: Final = 0.05
LATEST_OFFSET: Final = -1
"""Of Kafka's ListOffsets: after the last record."""


class TopicsError(UsageError):
    """The topics cannot be described, or not be made as asked; the message says why."""


def check(settings: Settings) -> TopicsReport:
    """Describe the settings' topics and say what is wrong.

    Raises:
        TopicsError: Kafka does not describe one of them.
        kafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    with admin(settings.kafka) as client:
        found = _describe(client, settings.kafka)
        return report_on(found, settings, divided=_divided(client, found))


def has_records(kafka: Kafka, name: str) -> bool:
    """Whether anything was ever written to the topic.

    Raises:
        kafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    return any(ends(kafka, name))


def ends(kafka: Kafka, name: str) -> list[int]:
    """The offset after the last record of each partition: above 0 where anything was ever written.

    Raises:
        kafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    with admin(kafka) as client:
        (described,) = client.describe_topics([name])
        return _ends(client, name, len(described["partitions"]))


def _ends(client: KafkaAdminClient, name: str, partitions: int) -> list[int]:
    places = [TopicPartition(name, number) for number in range(partitions)]
    found = client.list_partition_offsets(dict.fromkeys(places, LATEST_OFFSET))
    return [found[place].offset for place in places]


def _divided(client: KafkaAdminClient, found: dict[str, Topic]) -> int:
    """The partitions that workers divided customers by: those of a journal with commits; 0 where there is none."""
    journal = found["journal"]
    counts = {topic.partitions for role, topic in found.items() if topic.partitions and not KINDS[role].single}
    if not journal.partitions or counts == {journal.partitions}:  # asked only where it makes a difference
        return 0
    return journal.partitions if any(_ends(client, journal.name, journal.partitions)) else 0


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
                "configs": configuration(topic.role, settings),
            }
            for topic in found.values()
            if not topic.partitions
        }
        if not new:
            return []
        answer = client.create_topics(new, raise_errors=False)
        refused = [
            f"{each['name']}: {each.get('error_message') or reason(for_code(each['error_code'])())}"
            for each in answer["topics"]
            if each["error_code"] not in (NO_ERROR, ALREADY_EXISTS)
        ]
        if refused:
            raise TopicsError("Kafka refuses to make topics: " + "; ".join(refused))
        client.wait_for_topics(list(new))
        return list(new)


def alter(settings: Settings, configs: Mapping[str, Mapping[str, str]]) -> None:
    """Set configurations of topics, by name; others of theirs stay.

    Raises:
        TopicsError: the broker refuses.
        kafka.errors.KafkaError: Kafka cannot be reached.
    """
    with admin(settings.kafka) as client:
        resources = [ConfigResource("topic", name, dict(each)) for name, each in configs.items()]
        answer = client.alter_configs(resources).get("topic", {})
    refused = [f"{name}: {said}" for name, said in answer.items() if said != "OK"]
    if refused:
        raise TopicsError(f"Kafka refuses to alter {'; '.join(refused)}")


def grow(settings: Settings, partitions: int) -> list[str]:
    """Raise every topic that has one partition a shard to so many, and wait until they can be used.

    The inputs come first: from then on no worker of the former number goes on.

    Returns:
        The names of the topics that had fewer.

    Raises:
        TopicsError: the broker refuses, or does not come to an end.
        kafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    with admin(settings.kafka) as client:
        fewer = [
            topic.name
            for role, topic in _describe(client, settings.kafka).items()
            if not KINDS[role].single and topic.partitions < partitions
        ]
        for name in fewer:
            (answer,) = client.create_partitions({name: partitions}, raise_errors=False).results
            if answer.error_code != NO_ERROR:
                why = answer.error_message or reason(for_code(answer.error_code)())
                raise TopicsError(f"Kafka refuses to add partitions to {name}: {why}")
            failpoint("reshard:one-grown")
        until = time.monotonic() + GROWN_S
        while fewer and not _are_led(client, fewer, partitions):
            if time.monotonic() > until:
                raise TopicsError(f"partitions were added to {', '.join(fewer)}, and have no leader yet: try again")
            time.sleep(LOOK_S)
        return fewer


def _are_led(client: KafkaAdminClient, names: list[str], partitions: int) -> bool:
    """Whether topics have so many partitions, each with a leader."""
    return all(
        len(each["partitions"]) >= partitions and all(part["leader_id"] >= 0 for part in each["partitions"])
        for each in client.describe_topics(names)
    )


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
            raise TopicsError(f"Kafka does not describe {each['name']}: {reason(for_code(each['error_code'])())}")
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


def _count_to_make(topics: dict[str, Topic], asked: int | None) -> int:
    there = [topics[role] for role in INPUTS if topics[role].partitions]
    if len({topic.partitions for topic in there}) > 1:
        raise TopicsError(unequal(*there))
    if not there:
        return asked or DEFAULT_PARTITIONS
    if asked is not None and asked != there[0].partitions:
        raise TopicsError(
            f"{there[0].name} exists with {there[0].partitions} partitions: leave --partitions out, or delete the "
            "topics first"
        )
    return there[0].partitions
