"""What a stored customer record is made of: a fixed part, the sections that some dimensions need, and their bits.

Layout 2, little-endian, packed; docs/state.md has the tables. A record begins with its layout's number, so that a
later worker can read what an earlier one wrote. A section that says nothing yet is not written.
"""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from segflow.segments.instant import NEVER, UNKNOWN
from segflow.segments.models.engagement import NOTHING
from segflow.segments.slots import NO_SLOT

LAYOUT: Final = 2
DIMENSION_SLOTS: Final = ("lifecycle", "rfm")
"""Where these dimensions' labels stand in the fixed part, whatever the settings' order: a record outlives an order."""
REMEMBERED: Final = (16, 8)
"""Event ids kept a customer: latest purchases, refunds, payments and feedbacks; latest others."""
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
        ("concluded_us", "<i8"),  # c of docs/architecture.md#what-c-and-c-are
        ("timer_us", "<i8"),  # where the timer set has this customer; NO_TIMER: not in it
        ("first_us", "<i8"),
        ("last_us", "<i8"),
        ("before_last_us", "<i8"),
        ("net_minor", "<i8"),
        ("since_us", "<i8", (len(DIMENSION_SLOTS),)),  # effective time of the change that set each label
        ("sections", "<u2"),  # bit k: the k-th of SECTIONS follows; written by `encode`, else 0
    ]
)
FIXED_BYTES: Final = RECORD.itemsize
FIXED_BYTES_1: Final = FIXED_BYTES - 2
"""Layout 1 had no sections, and ended before their bits."""
ID_BYTES: Final = 8


def _section(*facts: tuple[Any, ...]) -> np.dtype[np.void]:
    return np.dtype([("label", "u1"), ("since_us", "<i8"), *facts])


SECTIONS: Final[dict[str, np.dtype[np.void]]] = {
    "price": _section(("discounted", "<u4")),
    "cadence": _section(("latest_slot", "<i4"), ("slot_mask", "<u8")),
    "satisfaction": _section(("feedback_us", "<i8"), ("score", "u1")),
    "engagement": _section(("level_log2", "<f8")),
    "value": _section(),
    "churn": _section(("latest_day", "<i4"), ("day_mask", "<u8"), ("purchase_days", "<u4")),
    "clv": _section(("first_day_minor", "<i8")),
    "payment": _section(
        ("settled_invoices", "<u4"), ("late_invoices", "<u4"), ("next_due_us", "<i8"), ("tails", "u1", (2,))
    ),
    "window": np.dtype([("tails", "u1", (1,))]),
    "attributes": np.dtype([("tails", "u1", (1,))]),
    "rules": np.dtype([("tails", "u1", (1,))]),
}
"""By dimension: its label, since when, and the facts that it alone needs, named as in Facts; `tails` counts the entries
that stand behind the event ids (state/tails.py). They are all there is in `window`, which rfm needs with one, in
`attributes`, and in `rules`, which has all rule dimensions. New ones come last."""
SECTION_BYTES: Final = np.array([section.itemsize for section in SECTIONS.values()])
NO_FACTS: Final = frozenset({"label", "since_us", "tails"})
NEEDS: Final[dict[str, tuple[str, ...]]] = {"clv": ("churn",)}
"""Whose sections a dimension needs beside its own: clv looks at the same days of purchases as churn."""
EMPTY: Final[dict[str, Any]] = {
    "since_us": UNKNOWN,
    "latest_slot": NO_SLOT,
    "feedback_us": UNKNOWN,
    "latest_day": NO_SLOT,
    "level_log2": NOTHING,
    "next_due_us": NEVER,
}
"""What a field of a section is before anything is known, where it is not 0; the neutral label has the code 0."""


class LayoutError(Exception):
    """A stored record is none of the layouts this version reads."""


def needed(dimensions: Iterable[str]) -> list[str]:
    """The sections that these dimensions look at, in their order."""
    wanted = {each for name in dimensions for each in (name, *NEEDS.get(name, ()))}
    return [name for name in SECTIONS if name in wanted]


def named(mask: int) -> list[str]:
    """The sections of a record whose `sections` is `mask`, in their order."""
    return [name for bit, name in enumerate(SECTIONS) if mask >> bit & 1]


def empty_section(name: str, count: int) -> npt.NDArray[np.void]:
    """A section of `count` customers nothing is known of."""
    section = np.zeros(count, dtype=SECTIONS[name])
    for each in section.dtype.names or ():
        section[each] = EMPTY.get(each, 0)
    return section
