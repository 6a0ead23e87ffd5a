"""What goes on the wire is what aiokafka's own reader reads."""

from random import Random

from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.columns import varint
from segflow.engine.columns.messages import Message, Messages
from segflow.streams.kafka.limits import BATCH_MAX_BYTES
from segflow.streams.publish.record_batch import HEADER, LZ4, RecordBatch, batches, batches_together
from tests.support.trials import trials

PRODUCER = (7, 3, 41)  # id, epoch, first sequence number

headers = st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=200)), max_size=12)
messages = st.lists(st.builds(Message, st.binary(max_size=300), st.binary(max_size=9000), headers), max_size=8)


def read(written: list[RecordBatch]) -> list[list[Message]]:
    """The records of each batch, as aiokafka's consumer would read them, check sums compared."""
    found = []
    for batch in written:
        batch.number(*PRODUCER)
        stored = MemoryRecords(batch.built())
        (records,) = iter(stored.next_batch, None)
        assert records.validate_crc()
        assert (records.producer_id, records.producer_epoch, records.base_sequence) == PRODUCER
        listed = list(records)
        assert [record.offset for record in listed] == list(range(batch.count))
        assert {record.timestamp for record in listed} == {1234}
        assert records.next_offset == batch.count
        assert b"" not in [record.value for record in listed]
        found.append([Message(bytes(record.key), bytes(record.value or b""), record.headers) for record in listed])
    return found


@given(messages, st.booleans(), st.booleans())
@trials(200)
def test_records_are_read_as_they_were_written(log: list[Message], transactional: bool, compressed: bool) -> None:
    """Keys, values, headers and order, in one batch, by a reader that is not ours; an empty value is a tombstone."""
    columns = Messages.of(log)
    assert list(columns) == log
    written = list(batches(columns, 1234, transactional=transactional, compressed=compressed))
    assert [message for batch in read(written) for message in batch] == [
        message._replace(headers=[(name, value) for name, value in message.headers]) for message in log
    ]
    for batch in written:
        attributes = HEADER.unpack_from(batch.built())[5]
        assert attributes & ~LZ4 == (0x10 if transactional else 0)
        assert compressed or not attributes & LZ4


def test_records_are_compressed_where_that_makes_them_smaller() -> None:
    """Alike ones become a fraction; a batch of what cannot be compressed is sent as it is."""
    alike, random = [Message(b"k", b"the same" * 9)] * 100, [Message(b"k", Random(1).randbytes(500))]
    for log, attributes, most in ((alike, LZ4, 1000), (random, 0, 600)):
        plain, packed = [
            list(batches(Messages.of(log), 1234, transactional=False, compressed=each)) for each in (False, True)
        ]
        assert [record.value for batch in read(packed) for record in batch] == [each.value for each in log]
        (batch,) = packed
        assert HEADER.unpack_from(batch.built())[5] == attributes
        assert len(batch.built()) <= min(most, len(plain[0].built()))


def test_batches_keep_to_the_brokers_limit() -> None:
    """Many records make several batches below it; a record beyond it has one to itself, for the broker to refuse."""
    sizes = [300_000, 400_000, 500_000, 2_000_000, 10, 900_000, 200_000, 10]
    written = list(batches(Messages.of(Message(b"k", bytes(size)) for size in sizes), 1234, transactional=True))
    assert [[len(message.value) for message in batch] for batch in read(written)] == [
        [300_000, 400_000],
        [500_000],
        [2_000_000],
        [10, 900_000],
        [200_000, 10],
    ]
    assert all(len(batch.built()) <= BATCH_MAX_BYTES + HEADER.size for batch in written if batch.count > 1)


@given(st.lists(messages, max_size=6))
@trials(100)
def test_parts_written_together_are_what_each_is_alone(logs: list[list[Message]]) -> None:
    """Byte by byte, empty ones and those of several batches too."""
    parts = [Messages.of(log) for log in logs]
    big = Messages.of(Message(b"k", bytes(400_000)) for _ in range(4))
    for listed in (parts, [*parts, big, *parts]):
        together = batches_together(listed, 1234, transactional=True)
        alone = [batches(each, 1234, transactional=True) for each in listed]
        assert [[batch.built() for batch in part] for part in together] == [
            [batch.built() for batch in part] for part in alone
        ]
        assert [[batch.count for batch in part] for part in together] == [
            [batch.count for batch in part] for part in alone
        ]


def test_no_message_is_no_batch() -> None:
    """A commit without changes sends none."""
    assert list(batches(Messages.of([]), 1234, transactional=True)) == []


@given(st.integers(-1, 2**31 - 1))
def test_a_number_is_read_back(number: int) -> None:
    """Of every size a record can have."""
    assert varint.decode(varint.encode(number), 0) == (number, len(varint.encode(number)))
