"""The customer record: a fixed layout of columns, then the event ids it remembers.

Layout 1, little-endian, packed; docs/state.md has the table. A record begins with its layout's number, so that a
later worker can read what an earlier one wrote.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from segments.facts import Facts, Labels
from segments.instant import NEVER, UNKNOWN

LAYOUT: Final = 1
DIMENSION_SLOTS: Final = ("lifecycle", "rfm")
"""Where each dimension's label stands in the record, whatever the settings' order: a record outlives an order."""
REMEMBERED: Final = (16, 8)
"""Event ids kept a customer: latest purchases, refunds, payments and feedbacks; latest others (design section 3)."""
NO_TIMER: Final = NEVER

RECORD: Final = np.dtype(
    [
        ("layout", "u1"),
        ("remembered", "u1", (2,)),  # how many ids of each kind follow the fixed part
        ("labels", "u1", (len(DIMENSION_SLOTS),)),  # codes into the model's labels
        ("changes", "<u4"),  # the customer's version: changes so far
        ("rules", "<u4"),  # version of the rules the labels were made with
        ("purchases", "<u4"),
        ("full_refunds", "<u4"),
        ("concluded_us", "<i8"),  # c of design section 3
        ("timer_us", "<i8"),  # where the timer set has this customer; NO_TIMER: not in it
        ("first_us", "<i8"),
        ("last_us", "<i8"),
        ("before_last_us", "<i8"),
        ("net_minor", "<i8"),
        ("since_us", "<i8", (len(DIMENSION_SLOTS),)),  # effective time of the change that set each label
    ]
)
FIXED_BYTES: Final = RECORD.itemsize
ID_BYTES: Final = 8


class LayoutError(Exception):
    """A stored record is none of the layouts this version reads."""


@dataclass(slots=True)
class Customers:
    """n customers as columns. Mutable: the processor advances them in place.

    ids: n customer ids. fixed: shape (n,) of RECORD. seen: for each memory, hashes of remembered event ids,
    shape (n, 16) and (n, 8), uint64, oldest first, 0 beyond `fixed["remembered"]`.
    """

    ids: list[str]
    fixed: npt.NDArray[np.void]
    seen: tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]

    @classmethod
    def unknown(cls, ids: list[str], start: Labels, rules: int) -> Self:
        """Customers nothing is remembered of, with the labels `start` (in record slots) under `rules`."""
        fixed = np.zeros(len(ids), dtype=RECORD)
        fixed["layout"] = LAYOUT
        fixed["labels"] = start
        fixed["rules"] = rules
        for name in ("concluded_us", "first_us", "last_us", "before_last_us", "since_us"):
            fixed[name] = UNKNOWN
        fixed["timer_us"] = NO_TIMER
        return cls(ids, fixed, (_no_ids(len(ids), 0), _no_ids(len(ids), 1)))

    def __len__(self) -> int:
        return len(self.ids)

    def facts(self, rows: npt.NDArray[np.intp] | slice) -> Facts:
        """The facts of `rows`, copied."""
        fixed = self.fixed
        return Facts(
            first_us=fixed["first_us"][rows],
            last_us=fixed["last_us"][rows],
            before_last_us=fixed["before_last_us"][rows],
            purchases=fixed["purchases"][rows].astype(np.int64),
            full_refunds=fixed["full_refunds"][rows].astype(np.int64),
            net_minor=fixed["net_minor"][rows],
        )


def encode(customers: Customers) -> list[bytes]:
    """Each customer as the bytes that are stored."""
    counts = customers.fixed["remembered"].astype(np.int64)
    width = FIXED_BYTES + ID_BYTES * sum(REMEMBERED)
    rows = np.empty((len(customers), width), dtype=np.uint8)
    rows[:, :FIXED_BYTES] = np.ascontiguousarray(customers.fixed).view(np.uint8).reshape(-1, FIXED_BYTES)
    first, second = customers.seen
    rows[:, FIXED_BYTES : FIXED_BYTES + ID_BYTES * REMEMBERED[0]] = first.view(np.uint8)
    rows[:, FIXED_BYTES + ID_BYTES * REMEMBERED[0] :] = second.view(np.uint8)
    flat = rows.tobytes()
    ends = (FIXED_BYTES + ID_BYTES * counts[:, 0]).tolist()
    others = (ID_BYTES * counts[:, 1]).tolist()
    records = []
    at = 0
    gap = FIXED_BYTES + ID_BYTES * REMEMBERED[0]
    for end, other in zip(ends, others, strict=True):
        record = flat[at : at + end]
        records.append(record + flat[at + gap : at + gap + other] if other else record)
        at += width
    return records


def decode(ids: list[str], values: Sequence[bytes | None], start: Labels, rules: int) -> Customers:
    """Customers from stored bytes; None is a customer nothing is remembered of (see `Customers.unknown`).

    Raises:
        LayoutError: a record of a layout this version does not know, or one cut short.
    """
    customers = Customers.unknown(ids, start, rules)
    known = [row for row, value in enumerate(values) if value is not None]
    if not known:
        return customers
    stored = [value for value in values if value is not None]
    rows = np.array(known, dtype=np.intp)
    lengths = np.fromiter(map(len, stored), dtype=np.int64, count=len(stored))
    if lengths.min() < FIXED_BYTES or {value[0] for value in stored} != {LAYOUT}:
        raise LayoutError(f"a customer record is not of layout {LAYOUT}: was it written by a newer segflow?")
    customers.fixed[rows] = np.frombuffer(b"".join([value[:FIXED_BYTES] for value in stored]), dtype=RECORD)
    counts = customers.fixed["remembered"][rows].astype(np.int64)
    if (lengths != FIXED_BYTES + ID_BYTES * counts.sum(axis=1)).any() or (counts > REMEMBERED).any():
        raise LayoutError("a customer record does not have the event ids it says it has")
    flat = np.frombuffer(b"".join([value[FIXED_BYTES:] for value in stored]), dtype="<u8")
    starts = np.concatenate(([0], np.cumsum(counts.sum(axis=1))[:-1]))
    for memory in (0, 1):
        _scatter(customers.seen[memory], rows, counts[:, memory], flat, starts)
        starts = starts + counts[:, memory]
    return customers


def timers_us(values: Sequence[bytes | None]) -> list[int]:
    """Where the timer set has each customer, from their stored bytes; NO_TIMER: nowhere."""
    fixed = np.frombuffer(b"".join([(value or b"")[:FIXED_BYTES] for value in values]), dtype=RECORD)
    timers: list[int] = fixed["timer_us"].tolist()
    return timers


def _scatter(
    seen: npt.NDArray[np.uint64],
    rows: npt.NDArray[np.intp],
    counts: npt.NDArray[np.int64],
    flat: npt.NDArray[np.uint64],
    starts: npt.NDArray[np.int64],
) -> None:
    """Copy `counts[i]` ids from `flat[starts[i]:]` into row `rows[i]` of `seen`."""
    column = np.arange(seen.shape[1])
    used = column < counts[:, None]
    source = (starts[:, None] + column)[used]
    row, place = np.nonzero(used)
    seen[rows[row], place] = flat[source]


def _no_ids(rows: int, memory: int) -> npt.NDArray[np.uint64]:
    return np.zeros((rows, REMEMBERED[memory]), dtype=np.uint64)
