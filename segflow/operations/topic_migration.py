"""Bringing existing topics to what new ones are made with, where nothing that is still needed can be lost by it."""

import asyncio

from segflow.schemas.settings import Settings
from segflow.streams.control.topic import Control
from segflow.streams.journal.journal import JournalError
from segflow.streams.kafka import topics
from segflow.streams.kafka.topics_report import Alteration, TopicsReport, alterations
from segflow.streams.runtime.shard_names import shard_names
from segflow.streams.state_topic.reader import TopicFacts
from segflow.streams.state_topic.whole import whole_in


def migrate(settings: Settings, report: TopicsReport) -> tuple[list[str], list[str]]:
    """Alter the topics.

    Returns:
        What was done, and what was refused and why; each for a person.

    Raises:
        TopicsError: the broker refuses.
        kafka.errors.KafkaError, aiokafka.errors.KafkaError: Kafka cannot be reached, or refuses.
    """
    done, refused = [], []
    for each in alterations(report.topics, settings):
        obstacle = _obstacle(settings, report, each) if each.forgets else ""
        if obstacle:
            refused.append(f"{each.topic.name} stays as it is: {obstacle}")
            continue
        topics.alter(settings, {each.topic.name: each.configs})
        configs = ", ".join(f"{key}={value}" for key, value in each.configs.items())
        done.append(f"altered {each.topic.name}: {configs}" + (". What is older goes" * each.forgets))
    return done, refused


def _obstacle(settings: Settings, report: TopicsReport, alteration: Alteration) -> str:
    """The reason for which records of a topic are still needed; empty where they are not."""
    return _of_control(settings) if alteration.topic.role == "control" else _of_journal(settings, report)


def _of_control(settings: Settings) -> str:
    control = Control(settings)
    control.read()
    if not control.keys.shared:
        return ""
    return (
        "an older version of segflow wrote versions of the rules under one key, of which compaction would leave the "
        "last. It goes on growing by each re-cut; a new installation's does not"
    )


def _of_journal(settings: Settings, report: TopicsReport) -> str:
    begun = [number for number, end in enumerate(topics.ends(settings.kafka, report.topics["journal"].name)) if end]
    state = report.topics["state"]
    try:
        whole = asyncio.run(whole_in(settings, TopicFacts.of(state), begun)) if state.partitions else []
    except JournalError as error:
        return str(error)
    missing = [number for number in begun if number not in whole]
    if not missing:
        return ""
    return (
        f"{state.name} does not have all of {shard_names(missing)} yet, so a lost Redis would be made from it. Let "
        "workers of this version run until `segflow doctor` says that these shards could be copied; then type this "
        "again"
    )
