"""Clocks compared, and what a shard does while its machine's is not to be trusted."""

import json
import logging
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.decode.records import Decoder
from segflow.engine.decode.transfers import HandoverDecoder
from segflow.schemas.settings import Settings
from segflow.segments.instant import SECOND_US, UNKNOWN, to_us
from segflow.streams.consume.input_gate import InputGate
from segflow.streams.consume.shard_inputs import ShardInputs
from segflow.streams.consume.transport import Batch, Reading
from segflow.streams.health.clocks import Clocks, offset_us
from segflow.streams.runtime.shard_names import shard_names
from tests.support.events import at, event
from tests.support.kafka_records import Record

moments = st.integers(0, 10**15)
spans = st.integers(0, 10**9)


@given(moments, spans, spans, st.integers(-(10**12), 10**12))
def test_a_difference_counts_only_beyond_the_time_that_asking_took(
    asked_us: int, there_us: int, back_us: int, ahead_us: int
) -> None:
    """It is never overstated, and never by more than the whole way understated; right clocks agree however slow."""
    theirs_us = asked_us + there_us - ahead_us
    found_us = offset_us(theirs_us, asked_us, asked_us + there_us + back_us)
    assert min(0, ahead_us) <= found_us <= max(0, ahead_us)
    assert abs(found_us - ahead_us) <= there_us + back_us


def test_clocks_are_trusted_once_both_were_asked_and_until_one_differs() -> None:
    """One that does not say what time it is speaks for nobody; each turn is told once."""
    said: list[tuple[int, str]] = []
    clocks = Clocks(30, say=lambda level, text: said.append((level, text)))
    assert not clocks.trusted
    clocks.note("Redis", 5, 5, 5)
    assert not clocks.trusted
    with pytest.raises(ConnectionError):
        clocks.compare("Kafka", not_there)
    assert (clocks.trusted, clocks.offset_s("Kafka")) == (True, None)
    for late_s in (31, 32, 29):
        clocks.note("Redis", late_s * SECOND_US, 0, 0)
    assert (clocks.trusted, clocks.problem, clocks.offset_s("Redis")) == (True, "", -29)
    assert [level for level, _ in said] == [logging.ERROR, logging.WARNING]
    assert "this machine's clock is 31 s behind that of Redis" in said[0][1]
    clocks.note("Kafka", 0, 7200 * SECOND_US, 7200 * SECOND_US)
    assert not clocks.trusted
    assert "7,200 s ahead of that of Kafka" in clocks.problem


def not_there() -> int:
    """A server that does not answer."""
    raise ConnectionError


class Feed:
    """An input of which all was read."""

    def __init__(self, inputs: ShardInputs) -> None:
        self._inputs = inputs

    async def open(self, partition: int, offsets: tuple[int, ...], inputs: ShardInputs) -> None:
        """See Feed."""

    def close(self, partition: int) -> None:
        """See Feed."""

    def reading(self, side: int, partition: int) -> Reading:  # noqa: ARG002 - the protocol's
        """See Feed."""
        read = self._inputs.buffers[side].read_to
        return Reading(read, read, to_us(datetime.now(UTC)), read)


def test_while_the_clock_is_wrong_events_of_the_future_wait_and_no_silence_is_told() -> None:
    """What comes before them goes on, and the other input; with a right clock all of it goes, judged by the commit."""
    inputs = ShardInputs(Decoder(Settings(), 0), Decoder(Settings(), 1), HandoverDecoder(Settings()))
    for buffer in inputs.buffers:
        buffer.begin(0)
    right = False
    gate = InputGate(settings=Settings(), partition=0, feed=Feed(inputs), inputs=inputs, clock_is_right=lambda: right)
    logs = ([event(0, 0), event(1, 9), event(2, 0)], [event(3, 0, "interaction") | {"kind": "visit"}])
    for side, log in enumerate(logs):
        raw = [Record(value=json.dumps(each).encode(), offset=number) for number, each in enumerate(log)]
        inputs.offer(side, Batch(raw, 0, len(raw)))
    wall_us = to_us(datetime.fromisoformat(at(1)))
    assert [len(part) for part in gate.chunks(wall_us, UNKNOWN)] == [1, 1, 0]
    for buffer, part in zip(inputs.buffers, gate.chunks(wall_us, UNKNOWN), strict=True):
        buffer.consume(len(part))
    assert [len(part) for part in gate.chunks(wall_us, UNKNOWN)] == [0, 0, 0]
    right = True
    assert [len(part) for part in gate.chunks(wall_us, UNKNOWN)] == [2, 0, 0]
    inputs.buffers[0].consume(2)
    assert gate.horizon_us(wall_us) > UNKNOWN
    right = False
    assert gate.horizon_us(wall_us) == UNKNOWN


@given(st.sets(st.integers(0, 40), min_size=1))
def test_shards_are_named_each_and_in_few_words(shards: set[int]) -> None:
    """The text says exactly these."""
    text = shard_names(shards)
    named: set[int] = set()
    for part in text.partition(" ")[2].replace(" and ", ", ").split(", "):
        first, _, last = part.partition("-")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == shards
    assert text.startswith("shard ") == (len(shards) == 1)
