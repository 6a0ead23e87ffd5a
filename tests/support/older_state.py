"""An installation as a version left it that knew no state topic."""

import json
from typing import Any

from segflow.state.keys import Keys, installation
from segflow.state.redis_connection import client
from segflow.streams.kafka import topics
from segflow.streams.kafka.topics import admin
from tests.support.service import Service
from tests.support.until import until


def without_state_topic(installed: Service) -> None:
    """Take from Redis and Kafka what such a version did not write, while no worker runs; the topic is new and empty."""
    name, prefix = installed.settings.kafka.topics.state, installed.settings.redis.prefix
    with admin(installed.settings.kafka) as kafka:
        kafka.delete_topics([name])
        until(lambda: name not in kafka.list_topics(), "the topic does not go")
    until(lambda: _made(installed), "the topic does not come back")
    with client(installed.settings.redis) as connected:
        for partition in range(installed.partitions):
            key = Keys(prefix, partition).head
            head: Any = json.loads(connected.get(key) or b"{}")
            if head.pop("in_topic", None) is not None:
                connected.set(key, json.dumps(head))
        noted: Any = json.loads(connected.get(installation(prefix)) or b"")
        del noted["topics"]["state"]
        connected.set(installation(prefix), json.dumps(noted))


def _made(installed: Service) -> bool:
    topics.create(installed.settings, installed.partitions)
    return topics.check(installed.settings).topics["state"].partitions == installed.partitions
