"""The partitioners of Kafka clients: the partition of a key, as the producers of both inputs place it."""

import zlib
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

Partitioner = Literal["murmur2", "crc32"]
PARTITIONERS: Final[tuple[Partitioner, ...]] = ("murmur2", "crc32")

# Kafka's Utils.murmur2: MurmurHash 2 by Austin Appleby, 32 bits, with this seed.
SEED: Final = 0x9747B28C
MULTIPLIER: Final = np.uint32(0x5BD1E995)
POSITIVE: Final = 0x7FFFFFFF


def partitions_of(keys: Sequence[bytes], partitioner: Partitioner, partitions: int) -> npt.NDArray[np.int64]:
    """The partition of each key, shape (n,).

    murmur2: the non-negative 31 bits of the hash modulo `partitions` (Java's BuiltInPartitioner.partitionForKey).
    crc32: CRC-32 as unsigned, modulo `partitions` (librdkafka's consistent_random for keys that are not empty).
    """
    if partitioner == "crc32":
        hashes = np.fromiter(map(zlib.crc32, keys), dtype=np.int64, count=len(keys))
    else:
        hashes = murmur2(keys).astype(np.int64) & POSITIVE
    placed: npt.NDArray[np.int64] = hashes % partitions
    return placed


def partition_of(key: bytes, partitioner: Partitioner, partitions: int) -> int:
    """The partition of one key; see `partitions_of`."""
    return int(partitions_of([key], partitioner, partitions)[0])


def murmur2(keys: Sequence[bytes]) -> npt.NDArray[np.uint32]:
    """Kafka's 32-bit MurmurHash 2 of each key, shape (n,); all keys of one length at once."""
    hashes = np.zeros(len(keys), dtype=np.uint32)
    lengths = np.fromiter(map(len, keys), dtype=np.int64, count=len(keys))
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        joined = b"".join(keys if len(rows) == len(keys) else [keys[row] for row in rows.tolist()])
        hashes[rows] = _equal_lengths(np.frombuffer(joined, dtype=np.uint8).reshape(len(rows), length))
    return hashes


def _equal_lengths(characters: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """`murmur2` of keys of one length, shape (n, length); the arithmetic wraps at 32 bits, as Java's does."""
    count, length = characters.shape
    whole = length // 4
    words = np.ascontiguousarray(characters[:, : 4 * whole]).view("<u4").reshape(count, whole)
    hashes = np.full(count, np.uint32(SEED ^ length), dtype=np.uint32)
    for word in range(whole):
        mixed = words[:, word] * MULTIPLIER
        mixed ^= mixed >> np.uint32(24)
        hashes = (hashes * MULTIPLIER) ^ (mixed * MULTIPLIER)
    if length > 4 * whole:
        for place in range(4 * whole, length):
            hashes ^= characters[:, place].astype(np.uint32) << np.uint32(8 * (place - 4 * whole))
        hashes *= MULTIPLIER
    hashes ^= hashes >> np.uint32(13)
    hashes *= MULTIPLIER
    return hashes ^ (hashes >> np.uint32(15))
