"""Merge messages that other shards handed over, as columns of events like those of the inputs."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from segflow.engine.columns import merge_messages
from segflow.engine.columns.events import INTERACTIONS, PURCHASES, Chunk, Kind
from segflow.engine.columns.merge_messages import MergeMessage
from segflow.engine.decode.records import Decoder
from segflow.schemas.settings import Settings

KINDS: Final = {
    merge_messages.TRANSFER: Kind.TRANSFER,
    merge_messages.APPROVE: Kind.APPROVE,
    merge_messages.UNLINK: Kind.UNLINK,
    merge_messages.CLAIM: Kind.CLAIM,
    merge_messages.ERASED: Kind.ERASED,
}
"""Of messages that are no plain event."""


class UnreadableMessageError(Exception):
    """A record of segments.handover that is no merge message.

    Args:
        row: its place among those that were to be decoded.
        offset: of the record.
        why: it is none.
    """

    def __init__(self, row: int, offset: int, why: str) -> None:
        super().__init__(f"offset {offset} is no merge message ({why})")
        self.row = row
        self.offset = offset


class HandoverDecoder:
    """As Decoder, of segments.handover. A row is the event of a merge message, its customer whom it is for."""

    def __init__(self, settings: Settings) -> None:
        self._events = Decoder(settings, None, sys.maxsize)  # it was let in where it was read

    def records(self, records: Sequence[Any]) -> Chunk:
        """Columns of Kafka records: objects with value and offset."""
        return self.decode([record.value for record in records], [record.offset for record in records])

    def decode(self, values: Sequence[bytes | None], offsets: Sequence[int]) -> Chunk:
        """Columns of records' values.

        Raises:
            UnreadableMessageError: one is no merge message.
        """
        return self._chunk(
            [_message(row, value, offset) for row, (value, offset) in enumerate(zip(values, offsets, strict=True))],
            offsets,
        )

    def again(self, chunk: Chunk) -> Chunk:
        """The columns of messages that another decoder made columns of."""
        return self._chunk([chunk.merge_messages[row] for row in range(len(chunk))], chunk.offsets.tolist())

    def _chunk(self, handed: Sequence[MergeMessage], offsets: Sequence[int]) -> Chunk:
        chunk = self._events.decode([each.value for each in handed], None, offsets)
        kinds = [KINDS.get(each.kind, kind) for each, kind in zip(handed, chunk.kinds.tolist(), strict=True)]
        return replace(
            chunk,
            kinds=np.array(kinds, dtype=np.uint8),
            customer_ids=[each.to for each in handed],
            keys=[customer_id.encode() for customer_id in chunk.customer_ids],
            merge_messages={
                row: _with_previous(each, chunk.merge_messages.get(row)) for row, each in enumerate(handed)
            },
        )


def _message(row: int, value: bytes | None, offset: int) -> MergeMessage:
    try:
        return merge_messages.decode(value)
    except msgspec.MsgspecError as error:
        raise UnreadableMessageError(row, offset, str(error)) from error


class Decoders(NamedTuple):
    """One for each input, in the order of PURCHASES, INTERACTIONS and HANDOVER."""

    purchases: Decoder
    interactions: Decoder
    handover: HandoverDecoder


def decoders(settings: Settings, record_max_bytes: int | None = None) -> Decoders:
    """One for each input; `record_max_bytes`: see Decoder."""
    return Decoders(
        Decoder(settings, PURCHASES, record_max_bytes),
        Decoder(settings, INTERACTIONS, record_max_bytes),
        HandoverDecoder(settings),
    )


def _with_previous(handed: MergeMessage, alias: MergeMessage | None) -> MergeMessage:
    """An alias that was handed over as an event says who the previous customer is, as it does where it is read."""
    return handed if alias is None else msgspec.structs.replace(handed, previous=alias.previous)
