"""Merge messages: what one shard asks of another when two customers are one. Each is a record of segments.handover.

It carries the event that caused it, as it was read, so that whoever applies it, or refuses it, knows all of it.
"""

from typing import Final

import msgspec

from segflow.engine.columns.messages import Message
from segflow.segments.instant import UNKNOWN

ALIAS: Final = "alias"
"""No message yet: an alias as it was read from an input."""
CLAIM: Final = "claim"
"""To shard 0: `previous` is `customer`, says an alias."""
APPROVE: Final = "grant"
"""From shard 0 to the shard of `previous`: it becomes `customer`, and what is held of it goes there."""
TRANSFER: Final = "answer"
"""To the shard of the alias's customer: the alias is decided, here is the record that comes with it, if any."""
EVENT: Final = "event"
"""To the shard of the customer whom the event's customer became: the event is one of `to`."""
ERASED: Final = "erased"
"""To shard 0: `customer` was erased, so all ids that became it redirect no more."""
UNLINK: Final = "forget"
"""From shard 0 to the shard of `to`, which redirects no more, and is erased with whom it became."""


class MergeMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message. The wire keeps older words: the header `errand`, the kinds `grant`, `answer`, `forget`."""

    kind: str
    to: str = ""  # the customer whose shard it is for; empty: shard 0
    previous: str = ""  # of an alias: the id that becomes the customer
    customer: str = ""  # the id it becomes
    concluded_us: int = UNKNOWN  # up to which the other of both is concluded
    record: bytes | None = None  # of a transfer: what was held of the previous id
    value: bytes = b""  # the event, as read
    topic: str = ""  # from where
    partition: int = 0
    offset: int = 0


_DECODER: Final = msgspec.json.Decoder(MergeMessage)


def encode(merge_message: MergeMessage) -> Message:
    """The message as the topic has it."""
    return Message(
        key=merge_message.to.encode(),
        value=msgspec.json.encode(merge_message),
        headers=[("errand", merge_message.kind.encode())],
    )


def decode(value: bytes | None) -> MergeMessage:
    """A record of the topic.

    Raises:
        msgspec.MsgspecError: it is none of ours.
    """
    return _DECODER.decode(value or b"")
