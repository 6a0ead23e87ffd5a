"""Text as columns: n pieces at once, in Arrow's binary arrays, put together without a Python object each.

Arrow because it gathers and joins pieces ten times as fast as Python does; see docs/decisions/023. Its functions
are called by the shortest way there is: in a commit of a few events, their fixed costs are what counts.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from segflow.engine.columns import times
from segflow.segments.instant import DAY_US, NEVER, SECOND_US, UNKNOWN

Text: TypeAlias = pa.BinaryArray
"""n pieces of UTF-8 or of raw bytes."""

BINARY: Final = pa.binary()
TAKE: Final = pc.get_function("array_take")
UNCHECKED: Final = pc.TakeOptions(boundscheck=False)
JOIN: Final = pc.get_function("binary_join_element_wise")
NO_OPTIONS: Final = pc.JoinOptions()
SLICE: Final = pc.get_function("binary_slice")
INSIDE: Final = pc.SliceOptions(1, -1)
BUT_LAST: Final = pc.SliceOptions(0, -1)
ANY_US: Final = times.FIRST_DAY * DAY_US
"""Written where there is no time, and cut off again."""
AMOUNT_DIGITS: Final = 19  # of the largest 64-bit number


def column(pieces: Sequence[bytes]) -> Text:
    """The pieces as a column."""
    ends = np.zeros(len(pieces) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, pieces), dtype=np.int32, count=len(pieces)), out=ends[1:])
    return _over(ends, pa.py_buffer(b"".join(pieces)))


@lru_cache(256)
def piece(data: bytes) -> pa.BinaryScalar:
    """One piece that all rows have in common."""
    return column([data])[0]


def joined(*parts: Text | bytes) -> Text:
    """The columns, and pieces all rows have in common, one behind the other in each row; at least one is a column."""
    return JOIN.call([*(piece(each) if isinstance(each, bytes) else each for each in parts), piece(b"")], NO_OPTIONS)


def gathered(pieces: Text, places: npt.NDArray[np.int8 | np.uint8 | np.intp]) -> Text:
    """`pieces[place]` for each place, which must exist; shape of `places` (n,)."""
    return TAKE.call([pieces, _numbers(places)], UNCHECKED)


def end_to_end(columns: Sequence[Text]) -> Text:
    """The rows of at least one column, those of the first column first."""
    return columns[0] if len(columns) == 1 else pa.concat_arrays(columns)


def blanked(texts: Text, rows: npt.NDArray[np.bool_]) -> Text:
    """The texts, those of `rows` empty."""
    return gathered(pa.concat_arrays([texts, column([b""])]), np.where(rows, len(texts), np.arange(len(texts))))


def fixed_width(data: bytes, width: int) -> Text:
    """`data` in pieces of `width` bytes."""
    ends = np.arange(0, len(data) + 1, width, dtype=np.int32)
    return _over(ends, pa.py_buffer(data))


def whole(numbers: npt.NDArray[np.int64]) -> Text:
    """Whole numbers in decimal."""
    return _as_binary(_numbers(numbers).cast(pa.string()))


def money(amounts_minor: npt.NDArray[np.int64], digits: int) -> Text:
    """`segflow.schemas.currency.to_text` of each amount."""
    wide = np.stack([amounts_minor, amounts_minor >> 63], axis=1)  # 128 bits, the lower half first
    exact = pa.decimal128(AMOUNT_DIGITS, digits)
    return _as_binary(pa.Array.from_buffers(exact, len(wide), [None, pa.py_buffer(wide)]).cast(pa.string()))


def moments(columns_us: Sequence[npt.NDArray[np.int64]]) -> list[Text]:
    """`segments.instant.to_text` of each time of each column, as a JSON string; UNKNOWN and NEVER are `null`."""
    times_us = np.concatenate(columns_us)
    known = (times_us != UNKNOWN) & (times_us != NEVER)
    rows = np.empty((len(times_us), times.LENGTH + 2), dtype=np.uint8)
    rows[:, 0] = rows[:, -1] = ord('"')
    rows[:, 1:-1] = times.write(np.where(known, times_us, ANY_US))
    sizes = np.full(len(times_us), times.LENGTH + 2)
    even = np.flatnonzero(times_us % SECOND_US == 0)  # no fraction is written
    rows[even, times.SECONDS_LENGTH] = ord("Z")
    rows[even, times.SECONDS_LENGTH + 1] = ord('"')
    sizes[even] = times.SECONDS_LENGTH + 2
    unknown = np.flatnonzero(~known)
    rows[unknown, :4] = np.frombuffer(b"null", dtype=np.uint8)
    sizes[unknown] = 4
    texts = cut(rows, sizes)
    stops = np.cumsum([len(each) for each in columns_us]).tolist()
    return [texts.slice(start, stop - start) for start, stop in pairwise([0, *stops])]


def unquoted(texts: Text) -> Text:
    """Each piece without its first and last byte."""
    return SLICE.call([texts], INSIDE)


def without_end(texts: Text) -> Text:
    """Each piece without its last byte."""
    return SLICE.call([texts], BUT_LAST)


def cut(rows: npt.NDArray[np.uint8], sizes: npt.NDArray[np.int64]) -> Text:
    """The first `sizes[i]` bytes of each row i of `rows`, shape (n, width)."""
    ends = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum(sizes, out=ends[1:])
    return _over(ends, pa.py_buffer(rows[np.arange(rows.shape[1]) < sizes[:, None]]))


def content(text: Text) -> bytes:
    """All pieces, one behind the other."""
    ends = offsets(text)
    return bytes(memoryview(text.buffers()[2])[ends[0] : ends[-1]]) if len(text) else b""


def pieces(text: Text) -> Iterator[memoryview]:
    """Each piece of `text`, without a copy."""
    data = memoryview(text.buffers()[2])
    return (data[start:stop] for start, stop in pairwise(offsets(text).tolist()))


def offsets(text: Text) -> npt.NDArray[np.int32]:
    """The start of each piece in the column's bytes, and the end of the last one; shape (n + 1,)."""
    if not len(text):
        return np.zeros(1, dtype=np.int32)
    return np.frombuffer(text.buffers()[1], dtype=np.int32)[text.offset : text.offset + len(text) + 1]


def lengths(text: Text) -> npt.NDArray[np.int64]:
    """Bytes of each piece; shape (n,)."""
    ends = offsets(text)
    return ends[1:].astype(np.int64) - ends[:-1]


def _numbers(values: npt.NDArray[np.integer]) -> pa.Array:
    """Without a copy where they lie side by side. pa.array would import pandas, where that is installed."""
    kept = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(kept.dtype), len(kept), [None, pa.py_buffer(kept)])


def _as_binary(strings: pa.StringArray) -> Text:
    return pa.Array.from_buffers(BINARY, len(strings), strings.buffers())


def _over(ends: npt.NDArray[np.int32], data: pa.Buffer) -> Text:
    return pa.Array.from_buffers(BINARY, len(ends) - 1, [None, pa.py_buffer(ends), data])
