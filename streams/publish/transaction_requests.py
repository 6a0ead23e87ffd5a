"""Requests that aiokafka does not have: those of transactions in which producing adds a partition by itself (KIP-890).

Such a transaction takes two requests instead of three, and each has a producer epoch of its own, so that nothing of an
earlier one can slip in. Brokers have them from Kafka 4.0 on. https://kafka.apache.org/protocol.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final

from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactBytes,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

FEATURE: Final = "transaction.version"
IMPLICIT: Final = 2
"""The level of the feature from which on producing adds a partition to the transaction."""
FINALIZED: Final = 2
"""The tag under which a broker lists the feature levels that the cluster has agreed on."""
FEATURES: Final = CompactArray(("name", CompactString()), ("max", Int16), ("min", Int16), ("tags", TaggedFields))


class FeaturesResponse(Response):
    """ApiVersions, version 3; its header is that of old versions, so that any client can read it."""

    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        ("api_versions", CompactArray(("key", Int16), ("min", Int16), ("max", Int16), ("tags", TaggedFields))),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


class FeaturesStruct(RequestStruct):
    """ApiVersions, version 3."""

    API_KEY = 18
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = FeaturesResponse
    SCHEMA = Schema(("software", CompactString()), ("version", CompactString()), ("tags", TaggedFields))

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> Any:
        """See FeaturesResponse."""
        return ResponseHeader_v0.decode(read_buffer)


class FeaturesRequest(Request[FeaturesStruct]):
    """A request for the features of the cluster."""

    API_KEY = 18

    def build(self, request_struct_class: type[FeaturesStruct]) -> FeaturesStruct:
        """The request as it is sent."""
        return request_struct_class("segflow", "1", {})


def transaction_level(response: Any) -> int:
    """The level of `transaction.version` that a FeaturesResponse tells, 0 where it tells none."""
    stored = response.tags.get(FINALIZED)
    found: Sequence[Any] = [] if stored is None else FEATURES.decode(BytesIO(stored)) or []
    return next((most for name, most, *_ in found if name == FEATURE), 0)


class ProduceResponse(Response):
    """Produce, version 12."""

    API_KEY = 0
    API_VERSION = 12
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic", CompactString()),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("offset", Int64),
                        ("timestamp", Int64),
                        ("log_start_offset", Int64),
                        (
                            "record_errors",
                            CompactArray(("batch_index", Int32), ("message", CompactString()), ("tags", TaggedFields)),
                        ),
                        ("error_message", CompactString()),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


class ProduceStruct(RequestStruct):
    """Produce, version 12."""

    API_KEY = 0
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = ProduceResponse
    SCHEMA = Schema(
        ("transactional_id", CompactString()),
        ("acks", Int16),
        ("timeout_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", CompactString()),
                (
                    "partitions",
                    CompactArray(("partition", Int32), ("records", CompactBytes), ("tags", TaggedFields)),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class ImplicitProduceRequest(Request[ProduceStruct]):
    """Record batches for partitions that one broker leads; each becomes part of the transaction."""

    API_KEY = 0

    def __init__(
        self,
        transactional_id: str,
        acks: int,
        timeout_ms: int,
        topics: Sequence[tuple[str, Sequence[tuple[int, bytes]]]],
    ) -> None:
        listed: list[Any] = [(topic, [(*each, {}) for each in partitions], {}) for topic, partitions in topics]
        self._content: tuple[Any, ...] = (transactional_id, acks, timeout_ms, listed, {})

    def build(self, request_struct_class: type[ProduceStruct]) -> ProduceStruct:
        """The request as it is sent."""
        return request_struct_class(*self._content)


class EndResponse(Response):
    """EndTxn, version 5: with the id and the epoch of the producer's next transaction."""

    API_KEY = 26
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class EndStruct(RequestStruct):
    """EndTxn, version 5."""

    API_KEY = 26
    API_VERSION = 5
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = EndResponse
    SCHEMA = Schema(
        ("transactional_id", CompactString()),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("committed", Boolean),
        ("tags", TaggedFields),
    )


class BumpingEndRequest(Request[EndStruct]):
    """Commit or abort a transaction, and begin the producer's next epoch."""

    API_KEY = 26

    def __init__(self, transactional_id: str, producer_id: int, producer_epoch: int, committed: bool) -> None:
        self._content: tuple[Any, ...] = (transactional_id, producer_id, producer_epoch, committed, {})

    def build(self, request_struct_class: type[EndStruct]) -> EndStruct:
        """The request as it is sent."""
        return request_struct_class(*self._content)
