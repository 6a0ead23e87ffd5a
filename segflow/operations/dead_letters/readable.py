"""Raw bytes, readable: as text where they are text, else in hex with offsets."""

from collections.abc import Iterator
from typing import Final

from segflow.operations.printable import printable

ROW_BYTES: Final = 16
"""Of a row of hex: as hexdump and xxd have it."""


def text_of(value: bytes | None) -> str | None:
    """The value as text, None where it is none: not UTF-8, or mostly binary."""
    if value is None or b"\0" in value:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def readable(value: bytes) -> Iterator[str]:
    """Lines for a terminal: nothing in them is obeyed by it."""
    text = text_of(value)
    if text is None:
        yield from _hex(value)
        return
    yield from (printable(line) for line in text.split("\n"))


def _hex(value: bytes) -> Iterator[str]:
    for start in range(0, len(value), ROW_BYTES):
        row = value[start : start + ROW_BYTES]
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        yield f"{start:08x}  {row.hex(' '):<{3 * ROW_BYTES - 1}}  |{shown}|"
