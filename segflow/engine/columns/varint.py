"""Whole numbers as Kafka's records have them: zigzag, seven bits a byte, the lowest first."""

from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.engine.columns import text
from segflow.engine.columns.text import Text


def encode(number: int) -> bytes:
    """One number."""
    left = (number << 1) ^ (number >> 63)
    written = bytearray()
    while left > 0x7F:
        written.append(left & 0x7F | 0x80)
        left >>= 7
    written.append(left)
    return bytes(written)


def decode(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    found = shift = 0
    while True:
        found |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return (found >> 1) ^ -(found & 1), at
        shift += 7


def column(numbers: npt.NDArray[np.int64]) -> Text:
    """Each number, -1 or more, as a piece."""
    if len(numbers) and numbers.max() >= COMMON:
        return text.column([encode(number) for number in numbers.tolist()])
    return text.gathered(_TABLE, numbers + 1)


COMMON: Final = 8192
"""Numbers below it take two bytes at most: nearly every length of a record, and every place in a batch of them."""
_TABLE: Final = text.column([encode(number) for number in range(-1, COMMON)])
