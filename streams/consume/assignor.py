"""The group's assignor: partition i of every input to one worker, and what need not move stays (placement.py)."""

import logging
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from segflow.streams.consume.placement import Claim, place

log = logging.getLogger(__name__)

VERSION: Final = 0
"""Of Kafka's consumer protocol; the claims are the user data that every version of it has room for."""
CLAIMS: Final = msgspec.json.Decoder(Claim)


class StickyAssignor:
    """One worker's part in dividing the group: an aiokafka.coordinator.assignors.abstract.AbstractPartitionAssignor.

    Its name in Kafka's protocol stays `range`: a group needs one name that all its members know, and workers of
    versions that divided by ranges are members while a new version is rolled out. They claim nothing, and read of an
    assignment only the partitions.
    """

    name = "range"

    def __init__(self) -> None:
        self.claim = Claim()  # this worker's; read by the consumer's thread

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """The claim of this worker, as it joins."""
        return ConsumerProtocolMemberMetadata(VERSION, list(topics), msgspec.json.encode(self.claim))

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """The partitions of each member; asked of the group's leader. Those that only one topic has are given, too."""
        topics = sorted({topic for metadata in members.values() for topic in metadata.subscription})
        partitions = {topic: cluster.partitions_for_topic(topic) or set() for topic in topics}
        shards = max((max(its) + 1 for its in partitions.values() if its), default=0)
        placed = place({member: _claim(metadata.user_data) for member, metadata in members.items()}, shards)
        return {
            member: ConsumerProtocolMemberAssignment(
                VERSION,
                [(topic, [shard for shard in its if shard in partitions[topic]]) for topic in topics],
                b"",
            )
            for member, its in placed.items()
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Nothing: the worker says by itself what it has, once it has been told."""


def _claim(user_data: bytes) -> Claim:
    """A member's claim; none where it says nothing, as earlier versions do."""
    if not user_data:
        return Claim()
    try:
        return CLAIMS.decode(user_data)
    except msgspec.MsgspecError:
        log.warning("a group member does not say readably which shards it has, and is given any: %s", user_data[:200])
        return Claim()
