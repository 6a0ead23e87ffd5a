"""Unpacking of record batches, bounded: 32 kB of zstd can hold a gigabyte, and a client would unpack all of it.

Neither client has a limit of its own. Both call functions of their codec modules, which `bound_decompression` replaces
for the whole process; streams/kafka/clients.py does it before there is any client.
"""

import zlib
from collections.abc import Callable
from io import BytesIO
from types import ModuleType
from typing import Final

import aiokafka.record._crecords.default_records
import aiokafka.record._crecords.legacy_records
import aiokafka.record.default_records
import aiokafka.record.legacy_records
import cramjam
import kafka.record.default_records
import kafka.record.legacy_records
import lz4.frame
import zstandard
from aiokafka.errors import KafkaError

UNPACKED_MAX_BYTES: Final = 2**26
"""Of a batch, unpacked. A broker takes a megabyte of packed records by default, and JSON packs 5 to 20 times smaller:
64 MiB is three times what that comes to. Not a setting: a replay must come to the same dead letters."""
STEP_BYTES: Final = 2**20
GZIP: Final = 31
"""zlib's name for the gzip format with its largest window."""
XERIAL: Final = b"\x82SNAPPY\x00"
"""The beginning of a stream of snappy blocks, each behind its length; Java clients write that."""
XERIAL_HEADER_BYTES: Final = 16
BLOCK_LENGTH_BYTES: Final = 4


class OversizedBatchError(KafkaError):
    """A batch holds more than UNPACKED_MAX_BYTES."""

    def __init__(self) -> None:
        super().__init__(f"a batch of records holds more than {UNPACKED_MAX_BYTES} bytes once it is unpacked")


def gzip_decode(packed: bytes | memoryview) -> bytes:
    """Raises OversizedBatchError, zlib.error."""
    unpacked, rest = bytearray(), bytes(packed)
    while rest:  # a stream may have several members
        stream = zlib.decompressobj(GZIP)
        unpacked += _bounded(stream.decompress(rest, UNPACKED_MAX_BYTES + 1 - len(unpacked)), len(unpacked))
        if not stream.eof:
            raise zlib.error("the gzip stream ends early")
        rest = stream.unused_data.lstrip(b"\0")  # padding is allowed
    return bytes(unpacked)


def snappy_decode(packed: bytes | memoryview) -> bytes:
    """Raises OversizedBatchError, cramjam.DecompressionError. Each block says how long it is, unpacked."""
    content = bytes(packed)
    if not content.startswith(XERIAL):
        return _snappy_block(content, 0)
    unpacked, at = bytearray(), XERIAL_HEADER_BYTES
    while at < len(content):
        stop = at + BLOCK_LENGTH_BYTES + int.from_bytes(content[at : at + BLOCK_LENGTH_BYTES])
        unpacked += _snappy_block(content[at + BLOCK_LENGTH_BYTES : stop], len(unpacked))
        at = stop
    return bytes(unpacked)


def _snappy_block(packed: bytes, before: int) -> bytes:
    if before + cramjam.snappy.decompress_raw_len(packed) > UNPACKED_MAX_BYTES:
        raise OversizedBatchError
    return bytes(cramjam.snappy.decompress_raw(packed))


def lz4_decode(packed: bytes | memoryview) -> bytes:
    """Raises OversizedBatchError, RuntimeError."""
    stream = lz4.frame.LZ4FrameDecompressor()
    unpacked = _bounded(stream.decompress(packed, UNPACKED_MAX_BYTES + 1))
    if not stream.eof:
        raise RuntimeError("the lz4 frame ends early")
    return unpacked


def zstd_decode(packed: bytes | memoryview) -> bytes:
    """Raises OversizedBatchError, zstandard.ZstdError."""
    unpacked = bytearray()
    with zstandard.ZstdDecompressor().stream_reader(BytesIO(packed), read_across_frames=True) as stream:
        while step := stream.read(STEP_BYTES):
            unpacked += step
            if len(unpacked) > UNPACKED_MAX_BYTES:
                raise OversizedBatchError
    return bytes(unpacked)


def _bounded(unpacked: bytes, before: int = 0) -> bytes:
    if before + len(unpacked) > UNPACKED_MAX_BYTES:
        raise OversizedBatchError
    return unpacked


DECODERS: Final[dict[str, Callable[[bytes | memoryview], bytes]]] = {
    each.__name__: each for each in (gzip_decode, snappy_decode, lz4_decode, zstd_decode)
}
READERS: Final[tuple[ModuleType, ...]] = (
    aiokafka.record._crecords.default_records,  # noqa: SLF001 - where aiokafka's compiled reader looks them up
    aiokafka.record._crecords.legacy_records,  # noqa: SLF001
    aiokafka.record.default_records,
    aiokafka.record.legacy_records,
    kafka.record.default_records,
    kafka.record.legacy_records,
)
"""The modules of both clients that have the functions by these names."""


def bound_decompression() -> None:
    """Let both clients unpack no batch beyond the limit, in the whole process; again is harmless."""
    for module in READERS:
        for name, decode in DECODERS.items():
            if hasattr(module, name):  # the older formats know no zstd
                setattr(module, name, decode)
