"""The records that aiokafka has fetched, taken in slices of bounded size; a batch too large to unpack is one record.

aiokafka hands out all that one fetch brought of a partition, unpacked: of a megabyte that can be any number of them.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords

from segflow.engine.columns.oversized import OversizedBatch
from segflow.streams.kafka.decompression import UNPACKED_MAX_BYTES, OversizedBatchError

BATCH_START: Final = Struct(">qii")
"""Of a batch: its first offset, its length behind that, and the epoch of the leader that took it."""
BATCH_UNCOUNTED_BYTES: Final = 12  # what the length does not count: the first offset and the length itself
SLICE_BYTES: Final = 2**22
"""Of keys and values, taken of one partition at once: four times a fetch of records that are not packed."""


class Taken(list[Any]):
    """Records of one partition, taken at once.

    bytes: of their keys and values. epochs: the leader epochs of the batches they came in, of markers too: each with
    the offset from which on it holds.
    """

    bytes: int = 0
    epochs: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class OversizedRecord:
    """Stands for the records of a batch that is too large, at the last one's offset."""

    offset: int
    value: OversizedBatch
    key: None = None
    headers: tuple[()] = ()
    timestamp: int = 0
    timestamp_type: int = 0
    checksum: None = None


class BoundedResult(fetcher.FetchResult):  # type: ignore[misc]  # aiokafka has no types
    """All that one fetch brought of a partition.

    A class, and no attribute of the result that leads back to it: fifty results a second would wait for the cycle
    collector, which is tuned to look every ten minutes or so.
    """

    _partition_records: Any

    def getall(self, max_records: int | None = None) -> Taken:
        """As FetchResult's, but no more than SLICE_BYTES and a record; the rest stays where it is."""
        taken = Taken()
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return taken
        for record in self._partition_records:
            taken.append(record)
            taken.bytes += len(record.value or b"") + len(record.key or b"")
            if taken.bytes >= SLICE_BYTES or len(taken) == max_records:
                taken.epochs = self._partition_records._records.since()  # noqa: SLF001
                self._update_position()
                return taken
        taken.epochs = self._partition_records._records.since()  # noqa: SLF001
        self._update_position()
        self._partition_records = None
        return taken


fetcher.FetchResult = BoundedResult
"""In the whole process: aiokafka asks whether a result is of this very class."""


class BoundedResults(OrderedDict[Any, Any]):
    """aiokafka's fetched results by partition, each bounded. To be put into a fetcher, as its `_records`."""

    def __setitem__(self, place: Any, result: Any) -> None:
        records = getattr(result, "_partition_records", None)
        if records is not None:
            self.bind(records)
        super().__setitem__(place, result)

    def bind(self, records: Any) -> None:
        """Bound what is fetched of one partition."""
        records._records_iterator = _unpacked(records, records._records)  # noqa: SLF001 - there is no other way


class Batches:
    """aiokafka's MemoryRecords, which also knows the batch that came last, and its leader's epoch."""

    def __init__(self, content: bytes) -> None:
        self._records = MemoryRecords(content)
        self._content = memoryview(content)
        self._at = 0
        self.latest: Any = None
        self.epochs: list[tuple[int, int]] = []  # of the batches so far: from which offset on, which epoch

    def has_next(self) -> bool:
        """See MemoryRecords."""
        found: bool = self._records.has_next()
        return found

    def size_in_bytes(self) -> int:
        """See MemoryRecords."""
        size: int = self._records.size_in_bytes()
        return size

    def next_batch(self) -> Any:
        """See MemoryRecords."""
        offset, length, epoch = BATCH_START.unpack_from(self._content, self._at)
        self._at += BATCH_UNCOUNTED_BYTES + length
        if not self.epochs or self.epochs[-1][1] != epoch:
            self.epochs.append((offset, epoch))
        self.latest = self._records.next_batch()
        return self.latest

    def since(self) -> list[tuple[int, int]]:
        """The epochs of the batches since the last call, that of the batch under way among them."""
        found, self.epochs = self.epochs, self.epochs[-1:]
        return found


fetcher.MemoryRecords = Batches
"""In the whole process: aiokafka's fetcher makes one of each partition's part of a fetch, and hands it to nobody."""


def _unpacked(records: Any, batches: Batches) -> Iterator[Any]:
    """The records as aiokafka unpacks them, and one for each batch that it must not unpack."""
    while True:
        try:
            yield from type(records)._unpack_records(records)  # noqa: SLF001
        except OversizedBatchError:
            batch = batches.latest
            first, last = batch.base_offset, batch.next_offset - 1
            stand_in = OversizedBatch.of(first, last, UNPACKED_MAX_BYTES)
            records.next_fetch_offset = batch.next_offset
            yield records._consumer_record(records._tp, OversizedRecord(last, stand_in))  # noqa: SLF001
        else:
            return


def bounded(consumer: Any) -> None:
    """Let a consumer that has been started take what it fetches in slices of bounded size."""
    its = consumer._fetcher  # noqa: SLF001
    its._records = BoundedResults(its._records)  # noqa: SLF001
