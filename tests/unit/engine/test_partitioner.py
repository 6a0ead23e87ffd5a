"""Keys are placed as Java clients and librdkafka place them."""

import zlib

import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.partitioner import Sample, murmur2, partition_of, partitions_of, placement_problem


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_that_of_kafkas_own_tests(key: bytes, expected: int) -> None:
    """The vectors of org.apache.kafka.common.utils.UtilsTest.testMurmur2, which are signed."""
    assert murmur2([key])[0] == expected & 0xFFFFFFFF


@given(st.lists(st.binary(max_size=20)))
def test_a_batch_of_keys_hashes_as_each_alone(keys: list[bytes]) -> None:
    """Keys of mixed lengths in one batch get the hashes that aiokafka gives each of them."""
    assert murmur2(keys).tolist() == [aiokafka_murmur2(key) & 0xFFFFFFFF for key in keys]


def test_partitions_are_those_of_the_two_families_of_clients() -> None:
    """murmur2 takes 31 bits of the hash, librdkafka's consistent_random all 32 of CRC-32."""
    assert partition_of(b"21", "murmur2", 7) == (-973932308 & 0x7FFFFFFF) % 7
    assert partition_of(b"21", "crc32", 7) == zlib.crc32(b"21") % 7


def placed(partitioner: str, topic: str = "in", count: int = 60, partitions: int = 6) -> list[Sample]:
    """Samples of `count` customers, as a producer with `partitioner` places them."""
    keys = [f"c{number}".encode() for number in range(count)]
    places = partitions_of(keys, partitioner, partitions).tolist()  # type: ignore[arg-type]
    return [
        Sample(topic=topic, partition=place, offset=number, key=key)
        for number, (key, place) in enumerate(zip(keys, places, strict=True))
    ]


@pytest.mark.parametrize("partitioner", ["murmur2", "crc32"])
def test_keys_where_they_belong_are_no_problem(partitioner: str) -> None:
    """Neither are no samples at all."""
    assert placement_problem(placed(partitioner), partitioner, 6) is None  # type: ignore[arg-type]
    assert placement_problem([], partitioner, 6) is None  # type: ignore[arg-type]


def test_librdkafkas_default_is_recognised() -> None:
    """Where every key is where crc32 puts it, both ways to make it fit are named."""
    problem = placement_problem(placed("crc32"), "murmur2", 6)
    assert problem is not None
    assert "kafka.partitioner: crc32" in problem
    assert "partitioner=murmur2_random" in problem


def test_two_producers_that_disagree_are_recognised() -> None:
    """Where no one setting fits both topics, the topic in the wrong and the producer's setting are named."""
    problem = placement_problem([*placed("murmur2", "one"), *placed("crc32", "two")], "murmur2", 6)
    assert problem is not None
    assert "keys of two are not" in problem
    assert "partitioner=murmur2_random" in problem
    assert "kafka.partitioner: crc32" not in problem


def test_a_producer_without_keys_is_recognised_but_a_stray_record_without_one_is_let_pass() -> None:
    """A record without a key becomes a dead letter; only a topic of them is a producer to mend."""
    unkeyed = [Sample(topic="in", partition=number % 6, offset=number, key=None) for number in range(100)]
    assert placement_problem([*placed("murmur2"), *unkeyed[:3]], "murmur2", 6) is None
    problem = placement_problem([*placed("murmur2"), *unkeyed], "murmur2", 6)
    assert problem is not None
    assert "100 of 160 sampled records of in have no key" in problem
