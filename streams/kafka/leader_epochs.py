"""Leader epochs: whether a partition still has the records that were read of it (KIP-320).

Each leader of a partition has a number, its epoch, and each record batch the one of the leader that took it. A leader
that lacks the last records (an unclean election, a disk that lost its last seconds) takes others in their place, under
an epoch of its own. Their offsets tell nothing of that; the end of the older epoch does. aiokafka has neither request.
https://kafka.apache.org/protocol.
"""

from dataclasses import dataclass
from typing import Any, Final

from aiokafka import TopicPartition, errors
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Int64, Schema, String

UNKNOWN_EPOCH: Final = -1
"""Of a position from before epochs were kept, and of a broker that has none."""
A_CONSUMER: Final = -1
"""In the place of a replica's number."""
LATEST: Final = -1
"""Kafka's timestamp of a partition's end."""


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """The end of an epoch: the offset at which the next one begins, or the partition's end."""

    epoch: int  # the one asked for, or the latest before it; UNKNOWN_EPOCH: there is none
    end: int


def _by_topic(*fields: tuple[str, Any]) -> tuple[str, Any]:
    """The part of a request or an answer that has such fields for each partition of each topic."""
    return "topics", Array(("topic", String("utf-8")), ("partitions", Array(*fields)))


class EndsResponse(Response):
    """ListOffsets, version 4."""

    API_KEY = 2
    API_VERSION = 4
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        _by_topic(
            ("partition", Int32),
            ("error_code", Int16),
            ("timestamp", Int64),
            ("offset", Int64),
            ("leader_epoch", Int32),
        ),
    )


class EndsStruct(RequestStruct):
    """ListOffsets, version 4."""

    API_KEY = 2
    API_VERSION = 4
    RESPONSE_TYPE = EndsResponse
    SCHEMA = Schema(
        ("replica_id", Int32),
        ("isolation_level", Int8),
        _by_topic(("partition", Int32), ("current_leader_epoch", Int32), ("timestamp", Int64)),
    )


class EndsRequest(Request[EndsStruct]):
    """The end of a partition, and the epoch of its leader."""

    API_KEY = 2

    def __init__(self, place: TopicPartition) -> None:
        asked = [(place.partition, UNKNOWN_EPOCH, LATEST)]
        self._content: tuple[Any, ...] = (A_CONSUMER, 0, [(place.topic, asked)])

    def build(self, request_struct_class: type[EndsStruct]) -> EndsStruct:
        """The request as it is sent."""
        return request_struct_class(*self._content)


class EpochEndResponse(Response):
    """OffsetForLeaderEpoch, version 3."""

    API_KEY = 23
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        _by_topic(("error_code", Int16), ("partition", Int32), ("leader_epoch", Int32), ("end_offset", Int64)),
    )


class EpochEndStruct(RequestStruct):
    """OffsetForLeaderEpoch, version 3."""

    API_KEY = 23
    API_VERSION = 3
    RESPONSE_TYPE = EpochEndResponse
    SCHEMA = Schema(
        ("replica_id", Int32),
        _by_topic(("partition", Int32), ("current_leader_epoch", Int32), ("leader_epoch", Int32)),
    )


class EpochEndRequest(Request[EpochEndStruct]):
    """The end of an epoch of a partition."""

    API_KEY = 23

    def __init__(self, place: TopicPartition, epoch: int) -> None:
        asked = [(place.partition, UNKNOWN_EPOCH, epoch)]
        self._content: tuple[Any, ...] = (A_CONSUMER, [(place.topic, asked)])

    def build(self, request_struct_class: type[EpochEndStruct]) -> EpochEndStruct:
        """The request as it is sent."""
        return request_struct_class(*self._content)


async def leader_epoch(client: Any, place: TopicPartition) -> int:
    """The epoch of a partition's leader, UNKNOWN_EPOCH where the broker does not say.

    Raises:
        aiokafka.errors.KafkaError: the leader does not answer, or refuses.
    """
    found = await _asked(client, place, EndsRequest(place))
    return UNKNOWN_EPOCH if found is None else int(found["leader_epoch"])


async def epoch_end(client: Any, place: TopicPartition, epoch: int) -> EpochEnd | None:
    """The end of an epoch of a partition; None: the broker does not say.

    Raises:
        aiokafka.errors.KafkaError: the leader does not answer, or refuses.
    """
    found = await _asked(client, place, EpochEndRequest(place, epoch))
    return None if found is None else EpochEnd(epoch=int(found["leader_epoch"]), end=int(found["end_offset"]))


async def _asked(client: Any, place: TopicPartition, request: Request[Any]) -> dict[str, Any] | None:
    """The leader's answer about the one partition; None: it does not know such a request."""
    leader = client.cluster.leader_for_partition(place)
    if leader in (None, -1):
        await client.force_metadata_update()
        raise errors.LeaderNotAvailableError(place)
    try:
        answer = await client.send(leader, request)
    except (NotImplementedError, errors.IncompatibleBrokerVersion):
        return None  # a broker from before there were epochs
    found: dict[str, Any] = answer.to_object()["topics"][0]["partitions"][0]
    if found["error_code"]:
        await client.force_metadata_update()
        raise errors.for_code(found["error_code"])(place)
    return found
