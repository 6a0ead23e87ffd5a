"""Events as columns: one chunk of one input's records, usable or not, in their order."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from segflow.engine.columns.merge_messages import MergeMessage
from segflow.segments.event_columns import EventColumns

Columns = dict[str, npt.NDArray[np.generic]]

PURCHASES: Final = 0
INTERACTIONS: Final = 1
HANDOVER: Final = 2


class Kind(IntEnum):
    """The kind of an event, by its effect on the facts."""

    PURCHASE = 0
    REFUND = 1
    FEEDBACK = 2
    PAYMENT = 3
    OTHER = 4  # interaction, profile
    ERASE = 5
    # Those of aliases, each worked on its own (segflow/engine/merging/merges.py, segflow/engine/merging/ledger.py):
    ALIAS = 6
    TRANSFER = 7
    APPROVE = 8
    UNLINK = 9
    CLAIM = 10
    ERASED = 11


REMEMBERED_LONG: Final = Kind.PAYMENT
"""Kinds up to this one share the longer memory of event ids, the others the shorter."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """The reason for which a record cannot be used: `kind` to count by, `reason` for a person."""

    kind: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """n records of one input in their order, as columns of shape (n,). Unusable rows hold zeros and empty strings."""

    offsets: npt.NDArray[np.int64]
    usable: npt.NDArray[np.bool_]
    kinds: npt.NDArray[np.uint8]  # of Kind
    occurred_us: npt.NDArray[np.int64]
    identities: npt.NDArray[np.uint64]  # hash of (source, event_id), never 0
    amounts_minor: npt.NDArray[np.int64]  # in the settings' currency
    refunded_orders: npt.NDArray[np.uint64]  # of full refunds: hash of the order_id, never 0; 0: no full refund
    customer_ids: list[str]
    event_ids: list[str]
    keys: Sequence[bytes | None]  # as read, for dead letters
    values: Sequence[bytes | None]
    unusable: dict[int, Unusable] = field(default_factory=dict)  # by row
    merge_messages: dict[int, MergeMessage] = field(default_factory=dict)
    """By row: of aliases, and of all that was handed over."""
    left_out: dict[int, int] = field(default_factory=dict)
    """By row: attributes of a profile that cannot be kept."""
    more: EventColumns = field(default_factory=EventColumns)
    """Those that the settings' dimensions need."""

    def __len__(self) -> int:
        return len(self.customer_ids)

    @property
    def full(self) -> npt.NDArray[np.bool_]:
        """A mask of the full refunds, shape (n,)."""
        full: npt.NDArray[np.bool_] = self.refunded_orders != 0
        return full

    def slice(self, start: int, stop: int) -> "Chunk":
        """Rows [start, stop)."""
        rows = slice(start, stop)
        return Chunk(
            offsets=self.offsets[rows],
            usable=self.usable[rows],
            kinds=self.kinds[rows],
            occurred_us=self.occurred_us[rows],
            identities=self.identities[rows],
            amounts_minor=self.amounts_minor[rows],
            refunded_orders=self.refunded_orders[rows],
            customer_ids=self.customer_ids[rows],
            event_ids=self.event_ids[rows],
            keys=self.keys[rows],
            values=self.values[rows],
            unusable={row - start: why for row, why in self.unusable.items() if start <= row < stop},
            merge_messages={
                row - start: message for row, message in self.merge_messages.items() if start <= row < stop
            },
            left_out={row - start: count for row, count in self.left_out.items() if start <= row < stop},
            more=_more_of(self.more, rows),
        )

    def with_unusable(self, usable: npt.NDArray[np.bool_], unusable: dict[int, Unusable]) -> "Chunk":
        """The same records, others of them usable."""
        return replace(self, usable=usable, unusable=unusable)

    def take(self, rows: npt.NDArray[np.intp]) -> "Chunk":
        """The given rows, in that order."""
        picked = rows.tolist()
        return Chunk(
            offsets=self.offsets[rows],
            usable=self.usable[rows],
            kinds=self.kinds[rows],
            occurred_us=self.occurred_us[rows],
            identities=self.identities[rows],
            amounts_minor=self.amounts_minor[rows],
            refunded_orders=self.refunded_orders[rows],
            customer_ids=[self.customer_ids[row] for row in picked],
            event_ids=[self.event_ids[row] for row in picked],
            keys=[self.keys[row] for row in picked],
            values=[self.values[row] for row in picked],
            unusable={place: self.unusable[row] for place, row in enumerate(picked) if row in self.unusable}
            if self.unusable
            else {},
            merge_messages={
                place: self.merge_messages[row] for place, row in enumerate(picked) if row in self.merge_messages
            }
            if self.merge_messages
            else {},
            left_out={place: self.left_out[row] for place, row in enumerate(picked) if row in self.left_out}
            if self.left_out
            else {},
            more=_more_of(self.more, rows),
        )


def _more_of(more: EventColumns, rows: npt.NDArray[np.intp] | slice) -> EventColumns:
    return cast("EventColumns", {name: column[rows] for name, column in cast("Columns", more).items()})


def _joined(parts: Sequence[EventColumns]) -> EventColumns:
    columns = cast("Sequence[Columns]", parts)
    return cast("EventColumns", {name: np.concatenate([part[name] for part in columns]) for name in columns[0]})


def none() -> Chunk:
    """No records."""
    empty = np.zeros(0, dtype=np.int64)
    flags = np.zeros(0, dtype=np.bool_)
    return Chunk(
        offsets=empty,
        usable=flags,
        kinds=empty.astype(np.uint8),
        occurred_us=empty,
        identities=empty.astype(np.uint64),
        amounts_minor=empty,
        refunded_orders=empty.astype(np.uint64),
        customer_ids=[],
        event_ids=[],
        keys=(),
        values=(),
    )


def join(chunks: Sequence[Chunk]) -> Chunk:
    """The chunks one after the other."""
    chunks = [chunk for chunk in chunks if len(chunk)] or [none()]
    if len(chunks) == 1:
        return chunks[0]
    unusable: dict[int, Unusable] = {}
    merge_messages: dict[int, MergeMessage] = {}
    left_out: dict[int, int] = {}
    start = 0
    for chunk in chunks:
        unusable.update({start + row: why for row, why in chunk.unusable.items()})
        merge_messages.update({start + row: message for row, message in chunk.merge_messages.items()})
        left_out.update({start + row: count for row, count in chunk.left_out.items()})
        start += len(chunk)
    return Chunk(
        offsets=np.concatenate([chunk.offsets for chunk in chunks]),
        usable=np.concatenate([chunk.usable for chunk in chunks]),
        kinds=np.concatenate([chunk.kinds for chunk in chunks]),
        occurred_us=np.concatenate([chunk.occurred_us for chunk in chunks]),
        identities=np.concatenate([chunk.identities for chunk in chunks]),
        amounts_minor=np.concatenate([chunk.amounts_minor for chunk in chunks]),
        refunded_orders=np.concatenate([chunk.refunded_orders for chunk in chunks]),
        customer_ids=[text for chunk in chunks for text in chunk.customer_ids],
        event_ids=[text for chunk in chunks for text in chunk.event_ids],
        keys=[key for chunk in chunks for key in chunk.keys],
        values=[value for chunk in chunks for value in chunk.values],
        unusable=unusable,
        merge_messages=merge_messages,
        left_out=left_out,
        more=_joined([chunk.more for chunk in chunks]),
    )
