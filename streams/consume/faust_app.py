"""Faust's app, without what it would start and never use."""

import faust
from faust.app import BootStrategy


class WithoutProducer(BootStrategy):
    """Shards publish by producers of their own; Faust's would stand idle, and does not know how Kafka lets one in."""

    enable_kafka_producer = False


class App(faust.App):
    """There are no tables, so there is nothing to keep in a folder."""

    BootStrategy = WithoutProducer

    def _create_directories(self) -> None:
        """Nothing to create."""
