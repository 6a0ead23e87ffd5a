"""What a stored customer record is made of: a fixed part, the sections that some dimensions need, and their bits.

Layout 2, little-endian, packed; docs/state.md has the tables. A record begins with its layout's number, so that a
later worker can read what an earlier one wrote. A section that says nothing yet is not written.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.schemas.settings import BUILT_IN
from segflow.segments.declaration import DeclarationError
from segflow.segments.instant import NEVER, UNKNOWN

LAYOUT: Final = 2
_SLOTS: Final = {name: model.slot for name, model in BUILT_IN.items() if model.slot is not None}
DIMENSION_SLOTS: Final = tuple(sorted(_SLOTS, key=_SLOTS.__getitem__))
"""Where these dimensions' labels stand in the fixed part, whatever the settings' order: a record outlives an order."""
REMEMBERED: Final = (16, 8)
"""Event ids kept a customer: latest purchases, refunds, payments and feedbacks; latest others."""
REFUNDS: Final = "refunds"
"""The section of orders refunded in full. Whatever the dimensions: it says which refunds are duplicates."""
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


MODEL_SECTIONS: Final = {name: model.section for name, model in BUILT_IN.items() if model.section is not None}
_ONLY_TAILS: Final = np.dtype([("tails", "u1", (1,))])
_OF_NO_MODEL: Final = {"window": 8, "attributes": 9, "rules": 10, REFUNDS: 11}
"""By bit: what rfm and alerts need of slots, the attributes, the labels of all rule dimensions, and which orders were
refunded in full."""
_BITS: Final = {name: section.bit for name, section in MODEL_SECTIONS.items()} | _OF_NO_MODEL
SECTIONS: Final[dict[str, np.dtype[np.void]]] = {
    name: MODEL_SECTIONS[name].dtype if name in MODEL_SECTIONS else _ONLY_TAILS
    for name in sorted(_BITS, key=_BITS.__getitem__)
}
"""In the order of their bits: the sections of models (their label, since when, and the facts that they alone need), and
those of no model. `tails` counts the entries that stand behind the event ids (state/tails.py). New ones come last."""
if sorted(_BITS.values()) != list(range(len(_BITS))):
    raise DeclarationError(f"the bits of the record's sections must be 0, 1, 2 and so on: they are {_BITS}")
SECTION_BYTES: Final = np.array([section.itemsize for section in SECTIONS.values()])
NO_FACTS: Final = frozenset({"label", "since_us", "tails"})
NEEDS: Final[dict[str, tuple[str, ...]]] = {name: model.needs for name, model in BUILT_IN.items() if model.needs}
"""Whose sections a dimension needs beside its own: clv looks at the same days of purchases as churn."""
EMPTY: Final = {fact.name: fact.start for section in MODEL_SECTIONS.values() for fact in section.facts} | {
    "since_us": UNKNOWN
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
