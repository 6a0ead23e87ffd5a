"""Notices that an input topic was deleted and made again while it was being read.

Fetches name a topic by its name: where the new topic's offsets reach beyond the old one's, reading goes on without an
error, in records of another history. Kafka's ids tell; aiokafka does not show them, so kafka-python's admin is asked.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from segflow.schemas.settings import Settings
from segflow.streams.kafka.clients import kafka_python_options
from segflow.streams.kafka.topics import BOOTSTRAP_TIMEOUT_MS, READ

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
"""Between two looks: the longest that records of another history can be read. A look is one small request."""


class TopicWatch:
    """Looks at all inputs' ids again and again.

    Args:
        settings: names, and where Kafka is.
        topic_ids: of all inputs when the worker started; empty where the broker has no ids.
    """

    def __init__(self, settings: Settings, topic_ids: tuple[str, ...]) -> None:
        self._settings = settings
        names = [str(getattr(settings.kafka.topics, role)) for role in READ]
        self._ids = {name: topic_id for name, topic_id in zip(names, topic_ids, strict=True) if topic_id}
        self._client: KafkaAdminClient | None = None

    async def changed(self) -> str:
        """Return the name of an input that is another topic than it was; wait for that as long as it takes."""
        while self._ids:
            await asyncio.sleep(EVERY_S)
            try:
                found = await asyncio.to_thread(self._look)
            except (KafkaError, OSError) as error:
                log.info("looking at the inputs' ids: %s; trying again", error)
                self._close()
                continue
            for name, topic_id in found.items():
                if topic_id not in ("", self._ids[name]):
                    self._close()
                    return name
        return await asyncio.Future()

    def _look(self) -> dict[str, str]:
        """Each input's id now; one that is missing is left out, the consumer will say so."""
        if self._client is None:
            self._client = KafkaAdminClient(
                **kafka_python_options(self._settings.kafka), bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT_MS
            )
        described = self._client.describe_topics(list(self._ids))
        return {each["name"]: str(each.get("topic_id") or "") for each in described if not each["error_code"]}

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(KafkaError, OSError):
                client.close()
