"""Attributes from profiles: the latest value of each one that a rule looks at, and the time at which it was stated.

Texts are kept as hashes. Rules only compare them for equality, so a record stays small and holds no text in clear.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from segflow.schemas.rule_dimensions import key_of
from segflow.segments.instant import UNKNOWN

ENTRY: Final = np.dtype([("key", "<u4"), ("us", "<i8"), ("kind", "u1"), ("value", "<u8")])
"""Hash of the attribute's name (0: never stated), when the event that stated it happened, what it is, and its bits."""
STATED: Final = np.dtype([("key", "<u4"), ("kind", "u1"), ("value", "<u8")])
"""One attribute of one event: the hash of its name, its Kind, and its value as the Kind says."""

ATTRIBUTE: Final = "attributes."
"""The prefix of attribute names in lists that also hold names of dimensions."""

Entries = npt.NDArray[np.void]
Times = npt.NDArray[np.int64]


class Kind(IntEnum):
    """The type of a value. Of two stated at the same time the greater type wins, then the greater value."""

    REMOVED = 0
    FLAG = 1  # value 0 or 1
    NUMBER = 2  # value: the bits of a float64
    TEXT = 3  # value: its hash
    ABSENT = 255  # in an event that says nothing of it


def kind_and_bits(value: float | Decimal | str | None) -> tuple[int, int]:
    """Kind and bits of a value: a bool, a number, a text, or None, which removes."""
    if value is None:
        return Kind.REMOVED, 0
    if isinstance(value, bool):
        return Kind.FLAG, int(value)
    if isinstance(value, str):
        return Kind.TEXT, xxh3_64_intdigest(value.encode())
    return Kind.NUMBER, int(np.float64(_float(value) + 0.0).view(np.uint64))  # + 0.0: there is no -0.0


def _float(value: float | Decimal) -> float:
    """The nearest double; beyond those there are, infinity."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


@dataclass(frozen=True, slots=True)
class Attributes:
    """Attributes of n customers: `keys` are those of the columns, ascending; entries: shape (n, keys) of ENTRY."""

    keys: tuple[int, ...]
    entries: Entries

    def __getitem__(self, rows: npt.NDArray[np.intp]) -> Self:
        return type(self)(self.keys, self.entries[rows])

    def column(self, name: str) -> Entries:
        """One attribute, shape (n,) of ENTRY.

        Raises:
            KeyError: it is not kept.
        """
        key = key_of(name)
        if key not in self.keys:
            raise KeyError(name)
        column: Entries = self.entries[:, self.keys.index(key)]
        return column


def with_profile(held: Entries, keys: npt.NDArray[np.uint32], events: Entries, occurred_us: Times) -> Entries:
    """The attributes of n customers after an event of each, in any order the same: the latest of each counts.

    Args:
        held: shape (n, k) of ENTRY.
        keys: of the columns, shape (k,).
        events: shape (n, k) of STATED.
        occurred_us: shape (n,).
    """
    return _latest(held, keys, events, occurred_us[:, None])


def united(held: Entries, keys: npt.NDArray[np.uint32], other: Entries) -> Entries:
    """The attributes of n customers and of n others who are one; both of shape (n, k) of ENTRY."""
    stated = other.copy()
    stated["kind"][stated["key"] == 0] = Kind.ABSENT
    return _latest(held, keys, stated, other["us"])


def _latest(held: Entries, keys: npt.NDArray[np.uint32], events: Entries, times_us: Times) -> Entries:
    """Of each attribute what was stated last; `times_us`: when `events` stated it, shape (n, k) or (n, 1)."""
    since_us = np.where(held["key"] == 0, UNKNOWN, held["us"])
    same_kind = events["kind"] == held["kind"]
    is_number = events["kind"] == Kind.NUMBER
    above = np.where(is_number, _numbers(events) > _numbers(held), events["value"] > held["value"])
    greater = (events["kind"] > held["kind"]) | (same_kind & above)
    wins = (events["kind"] != Kind.ABSENT) & ((times_us > since_us) | ((times_us == since_us) & greater))
    after = held.copy()
    for name, column in (
        ("key", keys[None, :]),
        ("us", times_us),
        ("kind", events["kind"]),
        ("value", events["value"]),
    ):
        after[name] = np.where(wins, column, held[name])
    return after


def _numbers(entries: Entries) -> npt.NDArray[np.float64]:
    """The values as numbers; of what is no number, nothing that says anything."""
    return np.ascontiguousarray(entries["value"]).view(np.float64)
