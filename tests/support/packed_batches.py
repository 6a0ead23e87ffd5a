"""Record batches written by hand: packed in any way, and holding far more than they weigh."""

import zlib
from collections.abc import Iterable
from itertools import repeat
from typing import Final

import cramjam
import lz4.frame
import zstandard
from crc32c import crc32c

from segflow.engine.columns.varint import encode
from segflow.streams.publish.record_batch import CHECKED_FROM, HEADER, MAGIC, NO_EPOCH, UNCOUNTED_BYTES

MIB: Final = 2**20
CODECS: Final = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""Of a batch's attributes."""
_END: Final = b"\x00"  # no headers


def of_zeros(mebibytes: int, codec: str, key: bytes = b"c1") -> bytes:
    """A batch of one record, whose value is that many mebibytes of zeros: nothing of that size is ever held."""
    head = b"\x00\x00\x00" + encode(len(key)) + key + encode(mebibytes * MIB)
    length = encode(len(head) + mebibytes * MIB + len(_END))
    return batch(packed(codec, [length + head, *repeat(bytes(MIB), mebibytes), _END]), 1, codec)


def batch(content: bytes, count: int, codec: str) -> bytes:
    """The bytes of a batch of `count` records, whose packed records are `content`."""
    about = (CODECS[codec], count - 1, 0, 0, -1, -1, -1, count)
    head = HEADER.pack(0, HEADER.size + len(content) - UNCOUNTED_BYTES, NO_EPOCH, MAGIC, 0, *about)
    checked = crc32c(content, crc32c(head[CHECKED_FROM:]))
    return head[: CHECKED_FROM - 4] + checked.to_bytes(4) + head[CHECKED_FROM:] + content


def packed(codec: str, parts: Iterable[bytes]) -> bytes:
    """The parts one behind the other, packed a part at a time where the codec can."""
    if codec == "gzip":
        gzip = zlib.compressobj(wbits=31)
        return b"".join([*map(gzip.compress, parts), gzip.flush()])
    if codec == "snappy":
        return bytes(cramjam.snappy.compress_raw(b"".join(parts)))
    if codec == "lz4":
        frame = lz4.frame.LZ4FrameCompressor(block_linked=False)
        return b"".join([frame.begin(), *map(frame.compress, parts), frame.flush()])
    zstd = zstandard.ZstdCompressor().compressobj()
    return b"".join([*map(zstd.compress, parts), zstd.flush()])
