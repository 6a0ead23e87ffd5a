"""Whether producers place keys as the settings say: what is wrong is found, and the setting to change is named."""

import pytest

from segflow.engine.partitioner import partitions_of
from segflow.streams.kafka.key_placement import KeySample, placement_problem


def placed(partitioner: str, topic: str = "in", count: int = 60, partitions: int = 6) -> list[KeySample]:
    """Samples of `count` customers, as a producer with `partitioner` places them."""
    keys = [f"c{number}".encode() for number in range(count)]
    places = partitions_of(keys, partitioner, partitions).tolist()  # type: ignore[arg-type]
    return [
        KeySample(topic=topic, partition=place, offset=number, key=key)
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
    unkeyed = [KeySample(topic="in", partition=number % 6, offset=number, key=None) for number in range(100)]
    assert placement_problem([*placed("murmur2"), *unkeyed[:3]], "murmur2", 6) is None
    problem = placement_problem([*placed("murmur2"), *unkeyed], "murmur2", 6)
    assert problem is not None
    assert "100 of 160 sampled records of in have no key" in problem


def test_keys_from_before_partitions_were_added_blame_no_producer() -> None:
    """All who lie elsewhere lie where they belonged: no setting of a producer mends that."""
    found = [*placed("murmur2", partitions=4), *placed("murmur2", partitions=6)]
    problem = placement_problem(found, "murmur2", 6, before=4)
    assert problem is not None
    assert "when there were 4 partitions" in problem
    assert "partitions were added" in problem
    assert "partitioner=" not in problem
    other = placement_problem([*found, *placed("crc32")], "murmur2", 6, before=4)
    assert other is not None
    assert "partitioner=murmur2_random" in other
