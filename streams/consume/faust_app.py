"""Faust's app: it decides which worker has which partitions, and gives the feed what its consumer reads."""

from typing import Any

import faust
from faust.app import BootStrategy

from segflow.schemas.settings import Settings
from segflow.streams.consume.feed import KafkaFeed
from segflow.streams.consume.transport import heartbeat_s


class WithoutProducer(BootStrategy):
    """Shards publish by producers of their own; Faust's would stand idle, and does not know how Kafka lets one in."""

    enable_kafka_producer = False


class App(faust.App):
    """There are no tables, so there is nothing to keep in a folder."""

    BootStrategy = WithoutProducer

    def _create_directories(self) -> None:
        """Nothing to create."""


def faust_app(settings: Settings, feed: KafkaFeed) -> App:
    """The app of one worker; its one agent hands each poll's records to `feed`."""
    session_s = settings.worker.session_timeout.total_seconds()
    app = App(
        settings.kafka.group,
        broker=f"segflow://{settings.kafka.address.split(',')[0]}",
        broker_session_timeout=session_s,
        broker_heartbeat_interval=heartbeat_s(settings),
        broker_max_poll_interval=0,
        broker_check_crcs=True,
        stream_wait_empty=False,  # a shard finishes its commit by itself, see segflow.streams.worker.assignment
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,  # its pages would not answer when the event loop does not: see health/pages.py
        producer_acks=-1,
        autodiscover=False,
        store="memory://",
    )
    app.gate = feed.gate
    inputs = app.topic(*feed.topics, key_serializer="raw", value_serializer="raw", acks=False)

    @app.agent(inputs, concurrency=1)
    async def deliver(stream: Any) -> None:
        """Each message is all that one poll brought, by partition; the shards take it from here."""
        async for event in stream.noack().events():
            for place, batch in event.message.value.items():
                feed.deliver(place, batch)

    return app
