"""How shards get their inputs: opened, held back where enough waits, closed, and seen by the watchdog."""

import asyncio
from collections.abc import Mapping

from faust.types import TP

from segflow.engine.columns.events import PURCHASES
from segflow.engine.decode.transfers import decoders
from segflow.schemas.settings import Settings
from segflow.streams.consume.feed import HELD_BATCHES, HELD_BYTES, KafkaFeed
from segflow.streams.consume.shard_inputs import ShardInputs
from segflow.streams.consume.transport import Batch, Reading
from segflow.streams.health.stalls import Reach
from tests.support.kafka_records import Record

SETTINGS = Settings.model_validate({"worker": {"batch_max_records": 3}})
NAME = SETTINGS.kafka.topics.purchases
PLACE = TP(NAME, 0)
MOST = HELD_BATCHES * 3


class _Consumer:
    """Notes from where it is to read."""

    def __init__(self) -> None:
        self.opened: dict[TP, int] = {}

    async def open(self, offsets: Mapping[TP, int]) -> None:
        self.opened |= offsets


def opened() -> tuple[KafkaFeed, ShardInputs]:
    """A feed whose partition 0 is open, the purchases from 5 on."""
    consumer = _Consumer()
    feed, inputs = KafkaFeed(SETTINGS, lambda: consumer), ShardInputs(*decoders(SETTINGS))
    inputs.buffers[PURCHASES].begin(5)
    asyncio.run(feed.open(0, (5, 0, 0), inputs))
    assert consumer.opened == dict(zip((TP(topic, 0) for topic in feed.topics), (5, 0, 0), strict=True))
    return feed, inputs


def batch(start: int, stop: int) -> Batch:
    """All records of [start, stop)."""
    return Batch([Record(offset) for offset in range(start, stop)], start, stop)


def test_what_is_read_goes_to_the_shard_that_has_the_partition_open() -> None:
    """Of other partitions nothing is wanted, and nothing is kept."""
    feed, inputs = opened()
    feed.deliver(PLACE, batch(5, 7))
    feed.deliver(TP(NAME, 1), batch(0, 1))
    assert inputs.waiting == 2
    assert not feed.full(PLACE)
    assert feed.full(TP(NAME, 1))


def test_nothing_more_is_fetched_of_an_input_of_which_enough_waits() -> None:
    """Two commits' worth; the others go on."""
    feed, inputs = opened()
    feed.deliver(PLACE, batch(5, 5 + MOST - 1))
    assert not feed.full(PLACE)
    feed.deliver(PLACE, batch(5 + MOST - 1, 5 + MOST))
    assert feed.full(PLACE)
    assert not feed.full(TP(feed.topics[1], 0))
    inputs.buffers[PURCHASES].peek(1)
    inputs.buffers[PURCHASES].consume(1)
    assert not feed.full(PLACE)


def test_nothing_more_is_fetched_of_an_input_of_which_enough_bytes_wait() -> None:
    """Few records may be many bytes: it goes on when the batch that was too much has been consumed to its end."""
    feed, inputs = opened()
    feed.deliver(PLACE, Batch([Record(5), Record(6)], 5, 7, bytes=HELD_BYTES))
    assert feed.full(PLACE)
    buffer = inputs.buffers[PURCHASES]
    for _ in range(2):
        assert feed.full(PLACE)
        buffer.peek(1)
        buffer.consume(1)
    assert buffer.waiting_bytes == 0
    assert not feed.full(PLACE)


def test_a_closed_partition_is_read_no_more() -> None:
    """What was on its way is left out."""
    feed, inputs = opened()
    feed.close(0)
    feed.deliver(PLACE, batch(5, 7))
    assert inputs.waiting == 0
    assert feed.full(PLACE)
    assert not feed.gate.open
    assert not feed.reaches()


def test_the_watchdog_sees_inputs_that_nothing_holds_back() -> None:
    """How far the consumer and the buffer have come; markers that no batch brings are passed with the consumer."""
    feed, _ = opened()
    feed.gate.readings[PLACE] = Reading(position=9, end=12, fetched_us=0, sent=7)
    assert feed.reaches()[NAME, 0] == Reach(position=9, arrived=5)
    feed.deliver(PLACE, batch(5, 7))
    assert feed.reaches()[NAME, 0] == Reach(position=9, arrived=9)
    feed.deliver(PLACE, batch(7, 7 + MOST))
    assert (NAME, 0) not in feed.reaches()
