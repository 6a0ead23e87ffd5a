"""The layout of a stored customer record: a fixed part, the sections that some dimensions need, and their bits.

Layout 2, little-endian, packed; docs/state.md has the tables. A record begins with its layout's number, so that a
later worker can read what an earlier one wrote. An empty section is not written.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.schemas.model_error import ModelError
from segflow.schemas.rule_dimensions import OF_THE_RECORD
from segflow.schemas.settings import BUILT_IN
from segflow.segments.instant import NEVER, UNKNOWN
from segflow.segments.plugins import installed
from segflow.segments.record_section import RecordSection

LAYOUT: Final = 2
_SLOTS: Final = {name: model.slot for name, model in BUILT_IN.items() if model.slot is not None}
DIMENSION_SLOTS: Final = tuple(sorted(_SLOTS, key=_SLOTS.__getitem__))
"""The order of these dimensions' labels in the fixed part. The settings' order may change; a record's must not."""
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


NAMED_BIT: Final = 15
"""The last bit says that sections of models of other packages stand at the record's end (state/named_sections.py)."""
MODEL_SECTIONS: Final = {name: model.section for name, model in BUILT_IN.items() if model.section is not None}
OF_NO_MODEL: Final = {"window": 8, "attributes": 9, "rules": 10, REFUNDS: 11}
"""By bit: what rfm and alerts need of slots, the attributes, the labels of all rule dimensions, and which orders were
refunded in full."""
assert OF_NO_MODEL.keys() == OF_THE_RECORD
_ONLY_TAILS: Final = np.dtype([("tails", "u1", (1,))])
_BY_BIT: Final = sorted(
    [(section.bit or 0, name, section.dtype) for name, section in MODEL_SECTIONS.items()]
    + [(bit, name, _ONLY_TAILS) for name, bit in OF_NO_MODEL.items()]
)
SECTIONS: Final[dict[str, np.dtype[np.void]]] = {name: dtype for _, name, dtype in _BY_BIT}
"""In the order of their bits: the sections of models (their label, since when, and the facts that they alone need), and
those of no model. `tails` counts the entries that stand behind the event ids (state/tails.py). New ones come last."""
if [bit for bit, *_ in _BY_BIT] != list(range(len(_BY_BIT))) or len(_BY_BIT) > NAMED_BIT:
    bits = ", ".join(f"{name} {bit}" for bit, name, _ in _BY_BIT)
    raise ModelError(f"the bits of the record's sections must be 0, 1, 2 and so on: they are {bits}")
SECTION_BYTES: Final = np.array([section.itemsize for section in SECTIONS.values()])
NO_FACTS: Final = frozenset({"label", "since_us", "tails"})
NEEDS: Final[dict[str, tuple[str, ...]]] = {name: model.needs for name, model in BUILT_IN.items() if model.needs}
"""The sections that a dimension needs besides its own: clv looks at the same days of purchases as churn."""


class LayoutError(Exception):
    """A stored record is none of the layouts this version reads."""


def needed(dimensions: Iterable[str]) -> list[str]:
    """The sections that these dimensions look at, in their order."""
    wanted = {each for name in dimensions for each in (name, *NEEDS.get(name, ()))}
    return [name for name in SECTIONS if name in wanted]


def named(mask: int) -> list[str]:
    """The sections of a record whose `sections` is `mask`, in their order."""
    return [name for bit, name in enumerate(SECTIONS) if mask >> bit & 1]


def packaged(sections: Iterable[str]) -> list[str]:
    """Those of some sections that belong to models of other packages, in alphabetical order."""
    return sorted(name for name in sections if name not in SECTIONS)


def model_section(name: str) -> RecordSection | None:
    """The declaration of a section by its model; None: it belongs to no model.

    Raises:
        ModelError: it is of a model of another package that is not installed, or cannot be used.
    """
    return MODEL_SECTIONS.get(name) if name in SECTIONS else installed(name).section


def empty_section(name: str, count: int) -> npt.NDArray[np.void]:
    """A section of `count` customers nothing is known of: the neutral label has the code 0.

    Raises:
        ModelError: as in `model_section`.
    """
    model = model_section(name)
    if model is None:
        return np.zeros(count, dtype=SECTIONS[name])
    section = np.zeros(count, dtype=model.dtype)
    section["since_us"] = UNKNOWN
    for fact in model.facts:
        section[fact.name] = fact.start
    return section


def says_anything(name: str, section: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """A mask of shape (n,): the customers whose section is not empty."""
    says: npt.NDArray[np.bool_] = (as_bytes(section) != as_bytes(empty_section(name, 1))).any(axis=1)
    return says


def as_bytes(part: npt.NDArray[np.void]) -> npt.NDArray[np.uint8]:
    """Rows of structures as rows of bytes."""
    return np.ascontiguousarray(part).view(np.uint8).reshape(len(part), part.itemsize)
