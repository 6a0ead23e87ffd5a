"""The parts of a record that vary in length: entries behind the event ids, each beginning with a key that is not 0.

A section whose entries they are says in its field `tails` how many of each there are. Entries of keyed tails stand in
memory in a column for each key, the keys ascending; those of the others one behind the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.schemas.rule_dimensions import ATTRIBUTES_MAX, DIMENSIONS_MAX
from segflow.schemas.settings import WINDOW_SLOTS_MOST
from segflow.segments import window
from segflow.segments.attributes import ENTRY
from segflow.segments.instant import UNKNOWN
from segflow.state.layout import MODEL_SECTIONS, REFUNDS, SECTIONS

Entries = npt.NDArray[np.void]
Counts = npt.NDArray[np.int64]
Keys = tuple[int, ...]

LABEL: Final = np.dtype([("key", "<u4"), ("label", "u1"), ("since_us", "<i8")])
"""Of a rule dimension: hash of its name, label and since when, as in a section of its own."""


REFUNDED_ORDERS: Final = "refunded_orders"
REFUNDED_MOST: Final = 8
"""Orders refunded in full that are remembered, the latest as applied: a shop and its payment provider tell of one
within days, and few customers return more orders than that in between."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Entries of one kind: at most `most` a customer."""

    section: str
    place: int  # in the section's field `tails`
    entry: np.dtype[np.void]
    most: int
    keyed: bool = False


_ALL: Final = {
    **{
        name: Tail(model, place, entries.entry, entries.most)
        for model, section in MODEL_SECTIONS.items()
        for place, (name, entries) in enumerate(section.entries.items())
    },
    "slots": Tail("window", 0, window.ENTRY, WINDOW_SLOTS_MOST),
    "attributes": Tail("attributes", 0, ENTRY, ATTRIBUTES_MAX, keyed=True),
    "rule_labels": Tail("rules", 0, LABEL, DIMENSIONS_MAX, keyed=True),
    REFUNDED_ORDERS: Tail(REFUNDS, 0, np.dtype([("key", "<u8")]), REFUNDED_MOST),
}
TAILS: Final = {name: tail for section in SECTIONS for name, tail in _ALL.items() if tail.section == section}
"""In the order in which they stand in a record, which is that of their sections' bits."""


def of(sections: Iterable[str]) -> dict[str, Tail]:
    """The tails of some sections."""
    wanted = set(sections)
    return {name: tail for name, tail in TAILS.items() if tail.section in wanted}


def none(tail: Tail, count: int, keys: Keys) -> Entries:
    """`count` customers without an entry, shape (count, columns)."""
    entries = np.zeros((count, len(keys) if tail.keyed else tail.most), dtype=tail.entry)
    if tail.entry is LABEL:
        entries["since_us"] = UNKNOWN
    return entries


def counts(entries: Entries) -> Counts:
    """The number of entries of each customer, shape (n,)."""
    held: Counts = (entries["key"] != 0).sum(axis=1)
    return held


def name_labels(entries: Entries, keys: Keys) -> None:
    """Give labels of rule dimensions that are not as they were at the start their key, and the others none."""
    moved = (entries["label"] != 0) | (entries["since_us"] != UNKNOWN)
    entries["key"] = np.where(moved, np.array(keys, dtype=np.uint32), 0)


def with_keys(tail: Tail, entries: Entries, keys: Keys, wanted: Keys) -> Entries:
    """The entries of a keyed tail in the columns `wanted`; those of other keys are gone."""
    if keys == wanted:
        return entries
    other = none(tail, len(entries), wanted)
    for column, key in enumerate(wanted):
        if key in keys:
            other[:, column] = entries[:, keys.index(key)]
    return other


def encode(entries: Entries) -> list[bytes]:
    """Each customer's entries as the bytes that are stored."""
    flat = entries[entries["key"] != 0].tobytes()
    stops = np.cumsum(counts(entries)) * entries.dtype.itemsize
    starts = np.concatenate(([0], stops[:-1]))
    return [flat[start:stop] for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]


def decode(
    tail: Tail, entries: Entries, keys: Keys, rows: npt.NDArray[np.intp], held: Counts, flat: bytes
) -> tuple[Entries, Keys]:
    """The entries and keys with those of `flat`, of which each of `rows` has so many as `held` says."""
    found = np.frombuffer(flat, dtype=tail.entry)
    if tail.keyed:
        both = tuple(sorted({*keys, *np.unique(found["key"]).tolist()}))
        entries, keys = with_keys(tail, entries, keys, both), both
        places = np.searchsorted(np.array(keys, dtype=np.uint32), found["key"])
    else:
        places = np.arange(len(found)) - np.repeat(np.cumsum(held) - held, held)
    entries[np.repeat(rows, held), places] = found
    return entries, keys
