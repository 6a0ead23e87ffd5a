"""The layout of `segments.state`: what a commit writes to Redis, one record of the topic a key.

The first byte of a record's key says its kind, the rest which one:

| key | value |
|---|---|
| `c`, customer id in UTF-8 | what Redis has under that id: the customer's record, or a redirect (state/record.py, state/redirect.py) |
| `d`, place in the directory, 8 bytes, the highest first | the customer id that stands there |
| `e`, pseudonym | the erasure (state/erasure.py) |
| `m`, customer id (partition 0 only) | whom that id became: a line of the merge ledger |
| `h` | the head, JSON (state/head.py); the last record of each commit |

No value: it is no more. A place of the directory without one is a hole. Timers stand in the records (`timer_us`), and
customers by label follow from them: neither has a record of its own. Pure.
"""  # noqa: E501 - a table

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from segflow.state import head as head_codec
from segflow.state.erasure import Erasure
from segflow.state.head import Head
from segflow.state.layout import LayoutError
from segflow.state.store import HOLE, Outside, Write

LAYOUT: Final = 1
"""Of all of it. A state in a later one is refused, as a worker that copied half of it would go on wrongly."""
CUSTOMER, PLACE, ERASED, MERGED, HEAD = b"c", b"d", b"e", b"m", b"h"
PLACE_BYTES: Final = 8
"""More places than any shard has, and all keys of one length."""
GONE: Final = b""
"""A record without a value: Kafka's tombstone."""

Pair = tuple[bytes, bytes | None]
"""Key and value of a record; no value, or an empty one: a tombstone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatePart:
    """Part of a shard's state, by key; None (HOLE of a place): it is no more."""

    customers: Mapping[str, bytes | None] = field(default_factory=dict)
    places: Mapping[int, str] = field(default_factory=dict)
    erased: Mapping[bytes, Erasure | None] = field(default_factory=dict)
    merged_into: Mapping[str, str | None] = field(default_factory=dict)
    head: Head | None = None  # None: the part has none


def of_write(write: Write, head: Head) -> StatePart:
    """The writes of a commit. Its head is `head`, which also says what the topic has."""
    first = write.head.population - len(write.born)
    return StatePart(
        customers=dict(write.records) | dict.fromkeys(write.gone),
        places=dict(enumerate(write.born, first)) | dict.fromkeys(write.holes, HOLE),
        erased=dict(write.erased),
        merged_into={name: parent if holds else None for name, parent, holds in write.ledger},
        head=head,
    )


def of_outside(outside: Outside) -> StatePart:
    """A slice of what stands outside the directory."""
    return StatePart(
        customers=dict(outside.redirects), erased=dict(outside.erased), merged_into=dict(outside.merged_into)
    )


def encode(part: StatePart) -> tuple[list[bytes], list[bytes]]:
    """Keys and values of the part's records, the head last."""
    keys = [CUSTOMER + customer_id.encode() for customer_id in part.customers]
    values = [value or GONE for value in part.customers.values()]
    keys += [PLACE + place.to_bytes(PLACE_BYTES) for place in part.places]
    values += [GONE if customer_id == HOLE else customer_id.encode() for customer_id in part.places.values()]
    keys += [ERASED + pseudonym for pseudonym in part.erased]
    values += [GONE if erasure is None else erasure.encode() for erasure in part.erased.values()]
    keys += [MERGED + customer_id.encode() for customer_id in part.merged_into]
    values += [GONE if parent is None else parent.encode() for parent in part.merged_into.values()]
    if part.head is not None:
        keys.append(HEAD)
        values.append(head_codec.encode(part.head))
    return keys, values


def decode(pairs: Iterable[Pair]) -> StatePart:
    """The part that records make, a later one of a key in the place of an earlier.

    Raises:
        LayoutError: one is none of this layout.
    """
    customers: dict[str, bytes | None] = {}
    places: dict[int, str] = {}
    erased: dict[bytes, Erasure | None] = {}
    merged_into: dict[str, str | None] = {}
    found: Head | None = None
    try:
        for key, value in pairs:
            kind, name = key[:1], key[1:]
            if kind == CUSTOMER:
                customers[name.decode()] = value or None
            elif kind == PLACE:
                places[int.from_bytes(name)] = value.decode() if value else HOLE
            elif kind == ERASED:
                erased[name] = Erasure.decode(value) if value else None
            elif kind == MERGED:
                merged_into[name.decode()] = value.decode() if value else None
            else:
                found = head_of(key, value)
    except (ValueError, struct.error) as error:
        raise LayoutError(f"a record of the state topic cannot be read: {error}") from error
    return StatePart(customers=customers, places=places, erased=erased, merged_into=merged_into, head=found)


def head_of(key: bytes, value: bytes | None) -> Head:
    """The head in a record of that kind.

    Raises:
        LayoutError: it is none, or of a later layout.
    """
    if key != HEAD or not value:
        raise LayoutError(f"a record of the state topic has a key of no kind that this version knows: {key!r:.80}")
    try:
        found = head_codec.decode(value)
    except msgspec.MsgspecError as error:
        raise LayoutError(f"the head in the state topic cannot be read: {error}") from error
    if found.in_topic is not None and found.in_topic.layout > LAYOUT:
        raise LayoutError(
            f"the state topic is of layout {found.in_topic.layout}, and this version reads {LAYOUT}: a newer segflow "
            "wrote it. Start that version"
        )
    return found


def is_head(record: Any) -> bool:
    """Whether a record as Kafka gives it is a head."""
    return bool(record.key == HEAD)
