"""Keys are placed as Java clients and librdkafka place them."""

import zlib

import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.partitioner import murmur2, partition_of


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
