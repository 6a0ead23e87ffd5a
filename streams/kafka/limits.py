"""The sizes that Kafka takes, and what segflow writes of them."""

from typing import Final

from segflow.schemas.settings import Settings

BATCH_MAX_BYTES: Final = 2**20 - 2**16
"""Of the records of a batch; the broker's default limit of a batch is 2**20 + 12, in older versions a million. A batch
of one record may be larger."""
BATCH_HEADER_BYTES: Final = 61
"""Of a record batch of format 2."""
BASE64: Final = (4, 3)
"""Four characters for three bytes: raw bytes stand so in JSON."""
MESSAGE_BYTES: Final = 2**16
"""Of a merge message beside the event that it carries: a customer's record and three ids."""


def least_bytes(role: str, settings: Settings) -> int:
    """The smallest `max.message.bytes` with which all that segflow writes to a topic is taken; 0: it writes nothing.

    Args:
        role: field of segflow.schemas.settings.KafkaTopics.
        settings: of the installation.
    """
    if role in ("purchases", "interactions"):
        return 0
    batch = BATCH_MAX_BYTES + BATCH_HEADER_BYTES
    if role != "handover":
        return batch
    encoded = -(-settings.worker.record_max_bytes * BASE64[0] // BASE64[1])
    return max(batch, encoded + MESSAGE_BYTES + BATCH_HEADER_BYTES)
