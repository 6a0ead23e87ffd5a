"""The parts of a record that vary in length: entries behind the event ids, each beginning with a key that is not 0.

A section whose entries they are says in its field `tails` how many of each there are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.settings import WINDOW_SLOTS_MOST
from segments import window
from segments.payment import OPEN, OPEN_MOST, SETTLED, SETTLED_MOST

Entries = npt.NDArray[np.void]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tail:
    """Entries of one kind: at most `most` a customer."""

    section: str
    place: int  # in the section's field `tails`
    entry: np.dtype[np.void]
    most: int


TAILS: Final = {
    "open_invoices": Tail("payment", 0, OPEN, OPEN_MOST),
    "settled_invoices": Tail("payment", 1, SETTLED, SETTLED_MOST),
    "slots": Tail("window", 0, window.ENTRY, WINDOW_SLOTS_MOST),
}
"""In the order in which they stand in a record, which is that of their sections' bits."""


def of(sections: Iterable[str]) -> dict[str, Tail]:
    """The tails of some sections."""
    wanted = set(sections)
    return {name: tail for name, tail in TAILS.items() if tail.section in wanted}


def none(tail: Tail, count: int) -> Entries:
    """`count` customers without an entry, shape (count, most)."""
    return np.zeros((count, tail.most), dtype=tail.entry)


def counts(entries: Entries) -> Counts:
    """How many entries each customer has."""
    held: Counts = (entries["key"] != 0).sum(axis=1)
    return held


def encode(entries: Entries) -> list[bytes]:
    """Each customer's entries as the bytes that are stored."""
    flat = entries[entries["key"] != 0].tobytes()
    stops = np.cumsum(counts(entries)) * entries.dtype.itemsize
    starts = np.concatenate(([0], stops[:-1]))
    return [flat[start:stop] for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]


def decode(entries: Entries, rows: npt.NDArray[np.intp], held: Counts, flat: bytes) -> None:
    """Put the entries of `flat`, of which each of `rows` has so many as `held` says, into `entries`."""
    found = np.frombuffer(flat, dtype=entries.dtype)
    starts = np.cumsum(held) - held
    places = np.arange(len(found)) - np.repeat(starts, held)
    entries[np.repeat(rows, held), places] = found
