"""Notices that a topic is not any more what it was: deleted and made again, or given more partitions.

Fetches name a topic by its name: where a new topic's offsets reach beyond the old one's, reading goes on without an
error, in records of another history. Kafka's ids tell; aiokafka does not show them, so kafka-python's admin is asked.
With more partitions, producers put a customer's next event elsewhere than the ones before.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from segflow.schemas.settings import Settings
from segflow.state.parking import Reason
from segflow.streams.kafka.clients import BOOTSTRAP_TIMEOUT_MS, kafka_python_options
from segflow.streams.kafka.kept_client import KeptClient
from segflow.streams.kafka.topics_report import Topic, partitions_added
from segflow.streams.runtime.error_reason import reason

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
"""Between two looks: the longest that records of another history can be read. A look is one small request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A topic that is not as it was."""

    reason: Reason
    why: str  # for a person


class TopicWatch:
    """Looks at the topics' ids and numbers of partitions again and again.

    Args:
        settings: where Kafka is.
        topics: as they were when the worker started; where the broker has no ids, only partitions are compared.
    """

    def __init__(self, settings: Settings, topics: dict[str, Topic]) -> None:
        self._known = {topic.name: topic for topic in topics.values()}
        self._client = KeptClient(
            lambda: KafkaAdminClient(**kafka_python_options(settings.kafka), bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT_MS)
        )
        self._turn = asyncio.Lock()  # the client is not for two at once

    async def changed(self) -> Difference:
        """The first difference there is; waited for as long as it takes."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                found = await self.look()
            except (KafkaError, OSError) as error:
                log.info("looking at the topics: %s; trying again", reason(error))
                continue
            if found is not None:
                return found

    async def look(self) -> Difference | None:
        """The difference there is now; a missing topic is none, whoever reads or writes it will say so.

        Raises:
            kafka.errors.KafkaError, OSError: Kafka does not say.
        """
        async with self._turn:
            found = await asyncio.to_thread(self._client.ask, self._look)
        counts = {name: partitions for name, (_, partitions) in found.items()}
        grown = partitions_added(counts, {name: topic.partitions for name, topic in self._known.items()})
        if grown:
            return Difference(reason=Reason.PARTITIONS_ADDED, why=grown)
        for name, (topic_id, _) in found.items():
            known = self._known[name].topic_id
            if known and topic_id not in ("", known):
                why = f"{name} was deleted and made again while it was in use; the state belongs to the old one"
                return Difference(reason=Reason.TOPIC_REPLACED, why=why)
        return None

    def _look(self, client: KafkaAdminClient) -> dict[str, tuple[str, int]]:
        """Each topic's id and number of partitions."""
        described = client.describe_topics(list(self._known))
        return {
            each["name"]: (str(each.get("topic_id") or ""), len(each["partitions"]))
            for each in described
            if not each["error_code"]
        }
