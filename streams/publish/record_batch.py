"""Kafka's record batches (format 2), written from columns.

https://kafka.apache.org/documentation/#recordbatch.
"""

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import cramjam
import numpy as np
import numpy.typing as npt
from crc32c import crc32c

from segflow.engine.columns import text, varint
from segflow.engine.columns.messages import Messages
from segflow.engine.columns.text import Text
from segflow.streams.kafka.limits import BATCH_MAX_BYTES

HEADER: Final = struct.Struct(">qiibIhiqqqhii")
"""Base offset, length, leader epoch, magic, CRC, attributes, last offset, first and last timestamp, producer id and
epoch, first sequence number, number of records."""
UNCOUNTED_BYTES: Final = 12  # base offset and the length itself: what the length does not count
CHECKED_FROM: Final = 21  # the CRC covers what comes behind it
MAGIC: Final = 2
NO_EPOCH: Final = -1
NO_CRC_YET: Final = 0
TRANSACTIONAL: Final = 0x10
LZ4: Final = 3
"""Of the attributes, how the records are compressed."""
LZ4_LEVEL: Final = 1
"""The fast one: what higher ones gain in size is little for changes, which are much alike anyway."""
NO_ATTRIBUTES_NOW: Final = b"\x00\x00"
"""A record's attributes, of which there are none, and its time, which is the batch's."""
NO_VALUE: Final = -1  # the length of a tombstone's value
FRAMING_BYTES: Final = 2 + 4 * 5  # attributes, time, and four numbers of 32 bits at most


class RecordBatch:
    """One batch, and who produces it.

    Args:
        records: one behind the other, each with its length.
        count: of them.
        timestamp_ms: of all of them.
        transactional: whether it belongs to a transaction.
        compressed: whether the records are compressed, where that makes them smaller.
    """

    def __init__(
        self, records: memoryview, count: int, timestamp_ms: int, *, transactional: bool, compressed: bool
    ) -> None:
        self._records: memoryview | bytes = records
        self.count = count
        self._timestamp_ms = timestamp_ms
        self._attributes = TRANSACTIONAL if transactional else 0
        packed = _lz4(records) if compressed else b""
        if 0 < len(packed) < len(records):
            self._records = packed
            self._attributes |= LZ4
        self._producer = (-1, -1, -1)  # id, epoch, sequence number of the first record: none

    def number(self, producer_id: int, producer_epoch: int, sequence: int) -> None:
        """Say who produces it, and as which of the records of its partition: the broker counts a repeat once."""
        self._producer = (producer_id, producer_epoch, sequence)

    def built(self) -> bytes:
        """The bytes on the wire."""
        size = HEADER.size + len(self._records) - UNCOUNTED_BYTES
        times_ms = (self._timestamp_ms, self._timestamp_ms)
        about = (self._attributes, self.count - 1, *times_ms, *self._producer, self.count)
        head = HEADER.pack(0, size, NO_EPOCH, MAGIC, NO_CRC_YET, *about)
        checked = crc32c(self._records, crc32c(head[CHECKED_FROM:]))
        return b"".join((head[: CHECKED_FROM - 4], checked.to_bytes(4), head[CHECKED_FROM:], self._records))


def batches(
    messages: Messages, timestamp_ms: int, *, transactional: bool, compressed: bool = False
) -> list[RecordBatch]:
    """The messages as batches a broker takes, in their order; see RecordBatch."""
    return batches_together([messages], timestamp_ms, transactional=transactional, compressed=compressed)[0]


def batches_together(
    parts: Sequence[Messages], timestamp_ms: int, *, transactional: bool, compressed: bool = False
) -> list[list[RecordBatch]]:
    """As `batches`, each part by itself, written in one go: what few records cost is the calls."""
    stops = np.cumsum([len(each) for each in parts]).tolist()
    if not stops or not stops[-1]:
        return [[] for _ in parts]
    messages = Messages.join(parts)
    sizes = np.stack([text.lengths(each) for each in (messages.keys, messages.values, messages.headers)])
    bounds = _bounds(np.cumsum(sizes.sum(axis=0) + FRAMING_BYTES), stops)
    firsts = [first for part in bounds for first in part[:-1]]
    counts = np.diff([*firsts, len(messages)])
    records = _records(messages, sizes, np.arange(len(messages)) - np.repeat(firsts, counts))
    data, ends = memoryview(records.buffers()[2]), text.offsets(records).tolist()
    return [
        [
            RecordBatch(
                data[ends[first] : ends[stop]],
                stop - first,
                timestamp_ms,
                transactional=transactional,
                compressed=compressed,
            )
            for first, stop in pairwise(part)
        ]
        for part in bounds
    ]


def _lz4(records: memoryview) -> bytes:
    """As a frame that brokers take: of blocks that do not build on each other (KIP-57)."""
    compressor = cramjam.lz4.Compressor(level=LZ4_LEVEL, content_checksum=False, block_linked=False)
    compressor.compress(bytes(records))
    return bytes(compressor.finish())


def _bounds(ends: npt.NDArray[np.int64], stops: Sequence[int]) -> list[list[int]]:
    """By part, the first record of each of its batches, and where the last one ends; nothing where it has no records.

    ends: bytes up to the end of each record. stops: where each part ends.
    """
    found = []
    for start, stop in pairwise([0, *stops]):
        bounds = [start] if stop > start else []
        while bounds and bounds[-1] < stop:
            begun = int(ends[bounds[-1] - 1]) if bounds[-1] else 0
            full = int(np.searchsorted(ends, begun + BATCH_MAX_BYTES, side="right"))
            bounds.append(min(stop, max(bounds[-1] + 1, full)))
        found.append(bounds)
    return found


def _records(messages: Messages, sizes: npt.NDArray[np.int64], places: npt.NDArray[np.int64]) -> Text:
    """Each record's bytes: length, attributes and time, place in the batch, key, value, headers.

    `sizes`: of keys, values and headers, shape (3, n). `places`: within their batch, shape (n,).
    """
    values = np.where(sizes[1], sizes[1], NO_VALUE)
    framing = [varint.column(each) for each in (places, sizes[0], values)]
    return text.joined(
        varint.column(sizes.sum(axis=0) + sum(map(text.lengths, framing)) + len(NO_ATTRIBUTES_NOW)),
        NO_ATTRIBUTES_NOW,
        framing[0],
        framing[1],
        messages.keys,
        framing[2],
        messages.values,
        messages.headers,
    )
