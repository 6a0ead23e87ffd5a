"""Reshards as records of the control topic: the last one says how customers are divided, and since where."""

import json
from typing import Any

import msgspec

from segflow.engine.columns.messages import Message
from segflow.streams.control.record_keys import lasting


class Reshard(msgspec.Struct, frozen=True, kw_only=True):
    """One reshard. Its record is written in the transaction that is the reshard."""

    before: int  # shards until then
    partitions: int  # since
    at_us: int  # the wall time
    begins: dict[str, list[int]]  # by role of a topic: the first offset of each partition that is of these shards

    def begin(self, role: str, partition: int) -> int:
        """The first offset of a topic's partition that is of this division."""
        return self.begins[role][partition]


def message(reshard: Reshard) -> Message:
    """The reshard as a control record."""
    value = {"kind": "reshard", "content": msgspec.to_builtins(reshard)}
    return Message(key=lasting("reshard"), value=json.dumps(value).encode())


def of_record(content: Any) -> Reshard:
    """The reshard in a record's content.

    Raises:
        msgspec.ValidationError: it is none; a ValueError.
    """
    return msgspec.convert(content, Reshard)
