"""One shard's state in a Parquet file: the rows of `segments.state`, each key once (state/topic_layout.py)."""

import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from segflow.operations.backup.manifest import ShardFile
from segflow.operations.backup.place import Place
from segflow.state import topic_layout
from segflow.state.layout import LayoutError
from segflow.state.topic_layout import StatePart
from segflow.streams.runtime.errors import UsageError
from segflow.streams.state_topic.reader import StateTopicError

SCHEMA: Final = pa.schema([pa.field(name, pa.binary(), nullable=False) for name in ("key", "value")])
GROUP_ROWS: Final = 16_384
"""Rows a group: some megabytes, which is what is held at a time."""
SLICE_ROWS: Final = 2_000
"""Rows copied into Redis at once, as many as from the topic."""
READ_BYTES: Final = 1 << 20
"""Read at once for a checksum."""


class HashedFile:
    """A file to write that counts its bytes and has their SHA-256."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        self.closed = False  # pyarrow asks

    def write(self, content: Any) -> int:
        """The next bytes."""
        self._hash.update(content)
        self.size_bytes += len(content)
        return int(self._file.write(content))

    def flush(self) -> None:
        """Pyarrow calls it."""

    @property
    def sha256(self) -> str:
        """Of all that was written, in hex."""
        return self._hash.hexdigest()


class RowsWriter:
    """Writes rows into a Parquet file, in groups."""

    def __init__(self, file: Any, compression: str) -> None:
        self._writer = pq.ParquetWriter(file, SCHEMA, compression=compression, use_dictionary=False)
        self._keys: list[bytes] = []
        self._values: list[bytes] = []

    def add(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """The next rows."""
        self._keys += keys
        self._values += values
        if len(self._keys) >= GROUP_ROWS:
            self._write()

    def close(self) -> None:
        """Write the rest and the file's end."""
        self._write()
        self._writer.close()

    def _write(self) -> None:
        columns = [pa.array(column, pa.binary()) for column in (self._keys, self._values)]
        self._writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
        self._keys, self._values = [], []


def batches(file: Any, rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file, at most `rows` at a time."""
    yield from pq.ParquetFile(file).iter_batches(batch_size=rows)


def check(place: Place, part: ShardFile) -> None:
    """Check that a shard's file is what the manifest says, byte for byte.

    Raises:
        UsageError: it is not, or cannot be read.
    """
    where, size_bytes = place.where(part.name), place.size(part.name)
    if size_bytes is None:
        raise UsageError(f"{where} is missing: take another snapshot, or bring the file back")
    if size_bytes != part.size_bytes:
        raise UsageError(
            f"{where} has {size_bytes:,} bytes and had {part.size_bytes:,}: it was truncated or altered. Bring back "
            "the file as it was, or take another snapshot"
        )
    found = hashlib.sha256()
    with place.reading(part.name) as file:
        while content := file.read(READ_BYTES):
            found.update(content)
    if found.hexdigest() != part.sha256:
        raise UsageError(
            f"{where} is not the file that was written (its SHA-256 is another): it was altered. Bring back the file "
            "as it was, or take another snapshot"
        )


class StateFile:
    """A shard's file as a source to copy from (`StateSource`); an offset is a row."""

    def __init__(self, place: Place, part: ShardFile) -> None:
        self.where = place.where(part.name)
        self._place = place
        self._part = part

    async def parts(self, start: int, end: int) -> AsyncIterator[tuple[StatePart, int, int]]:
        """All rows, which is what is asked for: each slice with the number of its rows and where it ends.

        Raises:
            StateTopicError: a row is none of this layout.
            UsageError: the file cannot be read.
        """
        assert (start, end) == (0, self._part.rows)
        at = 0
        with self._place.reading(self._part.name) as file:
            for batch in batches(file, SLICE_ROWS):
                keys, values = (column.to_pylist() for column in batch.columns)
                try:
                    part = topic_layout.decode(zip(keys, values, strict=True))
                except LayoutError as error:
                    raise StateTopicError(f"{self.where}: {error}") from error
                at += len(keys)
                yield part, len(keys), at
