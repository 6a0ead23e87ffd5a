"""Partitions that the group gives a worker: those of the installation, each with all of its inputs."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from segflow.streams.consume.placement import Claim
from segflow.streams.worker.assignment import Assignment

TOPICS = ("purchases", "interactions", "handover")
PARTITIONS = 3


class UnreadFeed:
    """A feed of which nobody reads."""

    topics = TOPICS

    def __init__(self) -> None:
        self.claimed: Claim | None = None

    def claim(self, claim: Claim) -> None:
        """See KafkaFeed."""
        self.claimed = claim


class Idle:
    """A shard that has nothing to do."""

    async def run(self) -> None:
        """Nothing."""


def given(*places: TP, as_ever: bool) -> tuple[list[int], list[int]]:
    """The shards started, and the exit codes asked for, where the group gives these places."""
    codes: list[int] = []

    async def look() -> bool:
        return as_ever

    def shard_of(_: int) -> Any:
        return Idle()

    feed: Any = UnreadFeed()
    assignment = Assignment(feed, PARTITIONS, shard_of=shard_of, look_at_topics=look, fail=codes.append)
    asyncio.run(assignment.assigned(SimpleNamespace(consumer_generation_id=7), set(places)))
    assert feed.claimed in (None, Claim(7, frozenset(assignment.shards)))
    return sorted(assignment.shards), codes


def whole(*partitions: int) -> list[TP]:
    """All inputs of these partitions."""
    return [TP(topic, partition) for topic in TOPICS for partition in partitions]


def test_a_partition_beyond_those_of_the_installation_is_refused() -> None:
    """Whatever else came, also before anybody sees that partitions were added; the worker stays to say so."""
    for as_ever in (True, False):
        assert given(*whole(1, 3), TP("purchases", 4), as_ever=as_ever) == ([1], [])


@pytest.mark.parametrize(("as_ever", "expected"), [(False, ([0, 2], [])), (True, ([], [1]))], ids=["grown", "as ever"])
def test_a_partition_without_its_other_inputs_ends_the_worker_unless_a_topic_has_grown(
    as_ever: bool, expected: tuple[list[int], list[int]]
) -> None:
    """A topic with more partitions than the others is divided in another way: then every shard is parked anyway."""
    assert given(*whole(0), TP("purchases", 2), as_ever=as_ever) == expected
