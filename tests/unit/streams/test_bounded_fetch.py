"""What Kafka's clients unpack is bounded: a batch that holds too much is not looked into, and what follows it is."""

import gc
import tracemalloc
import weakref
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.record.memory_records import MemoryRecords
from kafka.record import MemoryRecords as KafkaPythonRecords

from segflow.engine.columns.messages import Message, Messages
from segflow.engine.columns.oversized import OversizedBatch
from segflow.streams.kafka import bounded_fetch, clients
from segflow.streams.kafka.bounded_fetch import Batches, BoundedResults, Taken
from segflow.streams.kafka.decompression import UNPACKED_MAX_BYTES, OversizedBatchError
from segflow.streams.publish.record_batch import batches
from tests.support.packed_batches import CODECS, MIB, of_zeros

PLACE = TopicPartition("purchases", 0)
TOO_MUCH = UNPACKED_MAX_BYTES // MIB + 1
RECORDS: dict[str, Any] = {"aiokafka": MemoryRecords, "kafka-python": KafkaPythonRecords}


@pytest.mark.parametrize("client", RECORDS)
@pytest.mark.parametrize("codec", CODECS)
def test_both_clients_read_what_is_packed_in_any_way(client: str, codec: str) -> None:
    """A record of three mebibytes, as long as it was."""
    assert clients
    (record,) = RECORDS[client](of_zeros(3, codec)).next_batch()
    assert (len(record.value), record.key) == (3 * MIB, b"c1")


@pytest.mark.parametrize("client", RECORDS)
@pytest.mark.parametrize("codec", [each for each in CODECS if each != "snappy"])
def test_neither_client_unpacks_more_than_the_limit(client: str, codec: str) -> None:
    """Of 256 MiB of zeros no more than twice the limit is ever held."""
    written = of_zeros(256, codec)
    tracemalloc.start()
    try:
        with pytest.raises(OversizedBatchError):
            list(RECORDS[client](written).next_batch())
        assert tracemalloc.get_traced_memory()[1] < 2.5 * UNPACKED_MAX_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("client", RECORDS)
def test_what_a_snappy_batch_says_of_its_length_is_enough(client: str) -> None:
    """It cannot be packed as small as others, and its length is looked at before it is unpacked."""
    with pytest.raises(OversizedBatchError):
        list(RECORDS[client](of_zeros(TOO_MUCH, "snappy")).next_batch())


def at_offset(written: bytes, offset: int) -> bytes:
    """A batch as a log has it."""
    return offset.to_bytes(8) + written[8:]


def fetched(written: bytes) -> tuple[FetchResult, Any]:
    """What aiokafka makes of a fetch from offset 0, bounded, and the position it notes."""
    position = SimpleNamespace(paused=False, position=0)
    position.consumed_to = lambda offset: setattr(position, "position", offset)
    assignment = SimpleNamespace(active=True, state_value=lambda _: position)
    records = PartitionRecords(PLACE, Batches(written), [], 0, None, None, True, READ_COMMITTED)
    results = BoundedResults()
    results[PLACE] = fetcher.FetchResult(PLACE, assignment=assignment, partition_records=records, backoff=0)
    return results[PLACE], position


def test_what_was_read_of_a_fetch_goes_without_the_cycle_collector() -> None:
    """It looks every ten minutes or so; at fifty fetches a second a worker would grow by megabytes until then."""
    gc.disable()
    try:
        result, position = fetched(events(3))
        gone = weakref.ref(result)
        assert len(result.getall(None)) == 3
        assert position.position == 3
        del result
        assert gone() is None
    finally:
        gc.enable()


def led_by(written: bytes, epoch: int) -> bytes:
    """A batch as the leader of an epoch keeps it."""
    return written[:12] + epoch.to_bytes(4) + written[16:]


def events(count: int, size: int = 3) -> bytes:
    """A batch that is not packed."""
    listed = Messages.of([Message(b"c1", b"x" * size)] * count)
    return batches(listed, 0, transactional=False)[0].built()


def test_a_batch_that_is_too_large_is_one_record_and_those_around_it_are_read() -> None:
    """It says which offsets it stands for, and the position is behind it."""
    result, position = fetched(
        at_offset(events(2), 0) + at_offset(of_zeros(TOO_MUCH, "zstd"), 2) + at_offset(events(1), 3)
    )
    taken = result.getall()
    assert [each.offset for each in taken] == [0, 1, 2, 3]
    assert [isinstance(each.value, OversizedBatch) for each in taken] == [False, False, True, False]
    assert (taken[2].value.first, taken[2].value.last) == (2, 2)
    assert position.position == 4
    assert not result.has_more()


def test_what_one_fetch_brought_is_taken_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many records as make a slice's bytes; the rest comes next, and nothing is fetched again for it."""
    monkeypatch.setattr(bounded_fetch, "SLICE_BYTES", 1000)
    result, position = fetched(events(10, size=298))
    sizes = []
    while result.has_more():
        taken = cast("Taken", result.getall())
        assert taken.bytes == 300 * len(taken)
        sizes.append((len(taken), position.position))
    assert sizes == [(4, 4), (4, 8), (2, 10)]


def test_each_slice_says_which_leaders_took_its_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the offset from which on each holds; a slice in the middle of a batch has that of the batch."""
    assert fetcher.MemoryRecords is Batches
    monkeypatch.setattr(bounded_fetch, "SLICE_BYTES", 10)
    parts = ((0, 3, 4), (3, 1, 4), (4, 2, 6))
    written = b"".join(at_offset(led_by(events(count), epoch), offset) for offset, count, epoch in parts)
    result, _ = fetched(written)
    found = []
    while result.has_more():
        taken = result.getall()
        found.append(([each.offset for each in taken], taken.epochs))
    assert found == [([0, 1], [(0, 4)]), ([2, 3], [(0, 4)]), ([4, 5], [(0, 4), (4, 6)]), ([], [(4, 6)])]
