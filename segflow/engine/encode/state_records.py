"""A part of a shard's state as messages for `segments.state`."""

from functools import lru_cache

import pyarrow as pa

from segflow.engine.columns import text
from segflow.engine.columns.messages import Messages, written
from segflow.engine.columns.text import Text
from segflow.state import topic_layout
from segflow.state.topic_layout import StatePart


def state_messages(*parts: StatePart) -> Messages:
    """The records of the parts, one part after the other."""
    keys: list[bytes] = []
    values: list[bytes] = []
    for part in parts:
        more_keys, more_values = topic_layout.encode(part)
        keys += more_keys
        values += more_values
    return Messages(text.column(keys), text.column(values), _no_headers(len(keys)))


@lru_cache(64)
def _no_headers(count: int) -> Text:
    return pa.repeat(text.piece(written(())), count)
