"""A shard's state as `segments.state` has it, in memory: what Redis is held against where commits are not executed."""

from segflow.schemas.settings import Settings
from segflow.state.memory import MemoryStore
from segflow.streams.control.topic import Control
from segflow.streams.journal.journal import JournalReader
from segflow.streams.runtime.wall_clock import now_us
from segflow.streams.state_topic.copier import Copier
from segflow.streams.state_topic.reader import StateTopicReader, TopicFacts
from segflow.streams.state_topic.whole import latest_whole


async def copy_state(
    settings: Settings, partition: int, facts: TopicFacts, control: Control, memory: MemoryStore
) -> bool:
    """Fill `memory`, whatever it holds, with what the topic has; False where that is not all of the state.

    Raises:
        StateTopicError, JournalError: a topic cannot be read.
    """
    async with StateTopicReader(settings, partition) as topic, JournalReader(settings, partition) as journal:
        found = await latest_whole(topic, journal, facts)
        if found is None:
            return False
        last, end = found
        memory.wipe()
        copier = Copier(topic=topic, last=last, end=end, store=memory, versions=control.rule_versions)
        await copier.anew(None, now_us())
    return True
