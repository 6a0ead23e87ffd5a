"""Which partition a key belongs to, as the producers of both inputs place it."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

Partitioner = Literal["murmur2", "crc32"]
PARTITIONERS: Final[tuple[Partitioner, ...]] = ("murmur2", "crc32")
CLIENTS: Final = {
    "murmur2": "Java clients; kafka-python and aiokafka; librdkafka with partitioner=murmur2_random",
    "crc32": "librdkafka clients (Python's confluent-kafka, Go, Node) by default, partitioner=consistent_random",
}

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Where a producer put one record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None


def placement_problem(samples: Iterable[Sample], partitioner: Partitioner, partitions: int) -> str | None:
    """What is wrong with the placement of `samples`, with the producer setting to change; None where all is well.

    `partitions` is the number of partitions of both inputs. A record without a key becomes a dead letter and harms
    nobody, so a few are let pass; where most of a topic's have none, its producer sends none.
    """
    samples = list(samples)
    keyed = [sample for sample in samples if sample.key]
    problems = _unkeyed(samples)
    placed = np.array([sample.partition for sample in keyed], dtype=np.int64)
    wrong = np.flatnonzero(placed != _places(keyed, partitioner, partitions))
    if len(wrong):
        problems.append(_mismatch(keyed, wrong, placed, partitioner, partitions))
    return "; ".join(problems) or None


def _unkeyed(samples: list[Sample]) -> list[str]:
    """A problem for each topic most of whose records have no key."""
    problems = []
    for topic in sorted({sample.topic for sample in samples}):
        mine = [sample for sample in samples if sample.topic == topic]
        without = [sample for sample in mine if not sample.key]
        if 2 * len(without) > len(mine):
            problems.append(
                f"{len(without)} of {len(mine)} sampled records of {topic} have no key (such as {_where(without[0])}): "
                "the producer must send the customer_id as the key"
            )
    return problems


def _places(samples: list[Sample], partitioner: Partitioner, partitions: int) -> npt.NDArray[np.int64]:
    return partitions_of([sample.key or b"" for sample in samples], partitioner, partitions)


def _mismatch(
    samples: list[Sample],
    wrong: npt.NDArray[np.intp],
    placed: npt.NDArray[np.int64],
    partitioner: Partitioner,
    partitions: int,
) -> str:
    first = samples[int(wrong[0])]
    expected = partition_of(first.key or b"", partitioner, partitions)
    topics = ", ".join(sorted({samples[row].topic for row in wrong.tolist()}))
    found = (
        f"{len(wrong)} of {len(samples)} sampled keys of {topics} are not where kafka.partitioner = {partitioner} puts "
        f"them (the key {first.key!r:.80} of {_where(first)} belongs on partition {expected} of {partitions})"
    )
    others = [
        name
        for name in PARTITIONERS
        if name != partitioner and bool((placed == _places(samples, name, partitions)).all())
    ]
    if others:
        return (
            f"{found}. Every sampled key is where {others[0]} puts it ({CLIENTS[others[0]]}): set kafka.partitioner: "
            f"{others[0]} in segflow.yaml{_producer_advice(partitioner, 'or ')}"
        )
    return (
        f"{found}. No one partitioner explains both topics{_producer_advice(partitioner, '')}, and give both inputs "
        "producers that agree; events already on a wrong partition must be sent anew"
    )


def _producer_advice(partitioner: Partitioner, before: str) -> str:
    setting = "murmur2_random" if partitioner == "murmur2" else "consistent_random"
    java = "Java's default is murmur2" if partitioner == "murmur2" else "Java clients have no crc32"
    return f", {before}set partitioner={setting} in librdkafka producers ({java})"


def _where(sample: Sample) -> str:
    return f"{sample.topic} partition {sample.partition} offset {sample.offset}"
