"""Whether `segments.state` has all of a shard's state, so that it can be copied."""

import asyncio
from collections.abc import Iterable
from typing import Final

from segflow.schemas.settings import Settings
from segflow.state.head import Head
from segflow.streams.journal.entry import Entry
from segflow.streams.journal.journal import JournalReader
from segflow.streams.state_topic.reader import StateTopicReader, TopicFacts

LOOKS: Final = 10
"""At a shard, before it counts as not whole: the end of a transaction comes to one topic some milliseconds later."""
LOOK_S: Final = 0.05


def is_whole(last: Head, facts: TopicFacts, published: Entry | None) -> bool:
    """Whether the topic has all of the state of the commit whose head is the last in it, and the journal that commit.

    Args:
        last: that head.
        facts: of the topic.
        published: the journal's last entry; None: it was cut to nothing. It may be of a later commit than the topic
            has, by a version that does not write there. It must not be of an earlier one, or of another.
    """
    found = last.in_topic
    if found is None or not found.complete or found.topic_id != facts.topic_id:
        return False
    if published is None or published.plan.sequence > last.sequence:
        return True
    return published.plan.sequence == last.sequence and published.plan.owner in ("", last.committed_by)


async def latest_whole(topic: StateTopicReader, journal: JournalReader, facts: TopicFacts) -> tuple[Head, int] | None:
    """The last head in the topic and the offset behind it, where it has all of the state of the last published commit.

    None: it has not, as a version that does not write there may have published that commit.

    Raises:
        StateTopicError, JournalError: a topic cannot be read.
    """
    end = await topic.end()
    last, published = await topic.last_head(end), await journal.last()
    if last is None or not is_whole(last, facts, published):
        return None
    return (last, end) if published is None or published.plan.sequence == last.sequence else None


async def whole_in(settings: Settings, facts: TopicFacts, partitions: Iterable[int]) -> list[int]:
    """The shards whose last published commit, and all before it, the topic has.

    Raises:
        StateTopicError, JournalError: a topic cannot be read.
        aiokafka.errors.KafkaError: Kafka does not answer or refuses.
    """
    return [number for number in partitions if await _is_there(settings, facts, number)]


async def _is_there(settings: Settings, facts: TopicFacts, partition: int) -> bool:
    """Looks again where a transaction is visible in one of the topics and not yet in the other."""
    async with StateTopicReader(settings, partition) as topic, JournalReader(settings, partition) as journal:
        last = await topic.last_head(await topic.end())
        for _ in range(LOOKS):
            if last is None or not is_whole(last, facts, None):
                return False
            before = await journal.last()
            last = await topic.last_head(await topic.end())
            after = await journal.last()  # a worker may have committed meanwhile
            if last is None or before is None or after is None:
                return last is not None
            if before.plan.sequence <= last.sequence <= after.plan.sequence:
                return is_whole(last, facts, after)
            await asyncio.sleep(LOOK_S)
    return False
