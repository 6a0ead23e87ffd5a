"""What a shard holds between the fetch and the commit: nothing is skipped, nothing is taken twice."""

import json

import pytest

from segflow.engine.columns import merge_messages
from segflow.engine.columns.events import HANDOVER, INTERACTIONS, PURCHASES
from segflow.engine.columns.merge_messages import MergeMessage
from segflow.engine.decode.records import Decoder
from segflow.engine.decode.transfers import HandoverDecoder, UnreadableMessageError, decoders
from segflow.schemas.settings import Settings
from segflow.segments.attributes import Kind
from segflow.streams.consume.shard_inputs import ShardInputs
from segflow.streams.consume.transport import Batch
from tests.support.kafka_records import Record


def inputs(offset: int = 0) -> ShardInputs:
    """Inputs whose next purchase is at `offset`."""
    made = ShardInputs(Decoder(Settings(), PURCHASES), Decoder(Settings(), INTERACTIONS), HandoverDecoder(Settings()))
    made.buffers[PURCHASES].begin(offset)
    return made


def offsets(made: ShardInputs, most: int = 100) -> list[int]:
    """The offsets of what is at hand."""
    found: list[int] = made.buffers[PURCHASES].peek(most).offsets.tolist()
    return found


def batch(start: int, stop: int, *held: int) -> Batch:
    """Records at the offsets `held` of the range [start, stop)."""
    return Batch([Record(offset) for offset in held], start, stop)


def test_records_are_held_in_their_order_until_they_are_consumed() -> None:
    """Two batches join; consuming some leaves the rest at the front."""
    made = inputs()
    made.offer(PURCHASES, batch(0, 3, 0, 1, 2))
    made.offer(PURCHASES, batch(3, 5, 3, 4))
    assert offsets(made, most=4) == [0, 1, 2, 3]
    made.buffers[PURCHASES].consume(2)
    assert offsets(made) == [2, 3, 4]
    assert made.buffers[PURCHASES].offset == 2
    assert made.buffers[PURCHASES].waiting == 3


def test_a_gap_of_transaction_markers_does_not_stop_what_follows() -> None:
    """An upstream producer's aborted transaction leaves offsets without records, before a batch and behind one."""
    made = inputs()
    made.offer(PURCHASES, batch(0, 2, 0))
    made.buffers[PURCHASES].peek(10)
    made.buffers[PURCHASES].consume(1)
    assert made.buffers[PURCHASES].offset == 2
    made.offer(PURCHASES, batch(2, 9, 5, 7))
    assert offsets(made) == [5, 7]
    made.buffers[PURCHASES].consume(2)
    assert made.buffers[PURCHASES].offset == 9


def test_nothing_is_taken_for_read_that_is_not_in_the_buffer() -> None:
    """The offset to resume from never passes what was offered, however far the consumer has read."""
    made = inputs()
    made.offer(PURCHASES, batch(0, 2, 0, 1))
    made.buffers[PURCHASES].peek(1)
    made.buffers[PURCHASES].consume(1)
    assert made.buffers[PURCHASES].offset == 1


def test_a_leftover_of_an_earlier_reading_is_left_out_and_repeats_are_skipped() -> None:
    """A shard is acquired anew at 10: records fetched before it from 40 on do not come first; those from 10 do."""
    made = inputs(offset=10)
    made.offer(PURCHASES, batch(40, 42, 40, 41))
    assert offsets(made) == []
    made.offer(PURCHASES, batch(8, 12, 8, 9, 10, 11))
    assert offsets(made) == [10, 11]
    made.offer(PURCHASES, batch(10, 14, 10, 11, 12, 13))
    assert offsets(made) == [10, 11, 12, 13]


def test_what_lies_before_an_unreadable_record_comes_first() -> None:
    """The good ones are handed out, however often they are asked for; then the bad one is an error, and stays one."""
    made = inputs()
    handed = made.buffers[HANDOVER]
    good = merge_messages.encode(MergeMessage(kind="event", to="c1", value=b"{}")).value
    values = [good, good, b"garbage", good]
    made.offer(HANDOVER, Batch([Record(offset, value=value) for offset, value in enumerate(values)], 0, 4))
    for _ in range(2):
        assert handed.peek(100).offsets.tolist() == [0, 1]
    handed.consume(2)
    for _ in range(2):
        with pytest.raises(UnreadableMessageError) as caught:
            handed.peek(100)
        assert caught.value.offset == handed.offset == 2


def test_the_leader_epoch_is_that_of_the_last_record_consumed() -> None:
    """Of markers behind it, too, once they are passed."""
    made = inputs()
    buffer = made.buffers[PURCHASES]
    buffer.begin(0, 4, 9)
    made.offer(PURCHASES, Batch([Record(0), Record(1), Record(2)], 0, 4, 0, [(0, 5), (2, 6), (3, 8)]))
    buffer.peek(10)
    found = [buffer.leader_epoch]
    for _ in range(3):
        buffer.consume(1)
        found.append(buffer.leader_epoch)
    assert found == [4, 5, 5, 8]


def test_nothing_of_a_later_leader_is_taken_in_before_what_was_read_is_checked() -> None:
    """It may stand in the place of records that were read and lost. A broker without epochs holds nobody up."""
    made = inputs()
    made.buffers[PURCHASES].begin(0, 4, 5)
    made.offer(PURCHASES, Batch([Record(0)], 0, 1, 0, [(0, 5)]))
    assert (offsets(made), made.new_leader) == ([0], "")
    made.offer(PURCHASES, Batch([Record(1)], 1, 2, 0, [(1, 6)]))
    assert (offsets(made), made.new_leader) == ([0], "epoch 6 after 5")
    made.offer(INTERACTIONS, Batch([Record(0)], 0, 1, 0, [(0, 6)]))
    assert made.buffers[INTERACTIONS].waiting == 1


def test_what_waits_is_decoded_again_where_a_new_definition_keeps_more_of_events() -> None:
    """Of all inputs, what was decoded and what was not; which records there are, and for whom, stays."""
    made = inputs()
    event = {"type": "profile", "customer_id": "c1", "occurred_at": "2024-03-01T00:00:00Z", "attributes": {"a": 1}}
    values = [json.dumps(event | {"event_id": f"e{number}"}).encode() for number in range(3)]
    handed = [merge_messages.encode(MergeMessage(kind="event", to="c2", value=value)).value for value in values]
    for side, records in ((INTERACTIONS, values), (HANDOVER, handed)):
        made.offer(side, Batch([Record(offset, value=value) for offset, value in enumerate(records)], 0, 3))
        made.buffers[side].peek(2)
        made.buffers[side].consume(1)
        made.offer(side, Batch([Record(3, value=records[0])], 3, 4))
    more = decoders(Settings.model_validate({"facts": {"attributes": ["a", "b"]}}))
    made.use(more)
    made.use(more)
    for side, customer in ((INTERACTIONS, "c1"), (HANDOVER, "c2")):
        chunk = made.buffers[side].peek(100)
        assert (chunk.offsets.tolist(), chunk.customer_ids) == ([1, 2, 3], [customer] * 3)
        assert sorted(chunk.more["attributes"]["kind"][0].tolist()) == [Kind.NUMBER, Kind.ABSENT]
        assert made.buffers[side].waiting == 3
