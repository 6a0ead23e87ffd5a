"""A model's own section of the record: facts, and entries whose number varies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from segflow.segments.event_columns import EventColumns
from segflow.segments.facts import Fact, Rows, ScalarT, Times

FACT_BYTES_MOST: Final = 64
"""Of a section: a customer's record is read and written with every event. The largest of segflow's own takes 20."""

Flags = npt.NDArray[np.bool_]


class Batch(Protocol):
    """Usable events as columns, of which a model looks at some rows (segflow/engine/columns/events.py has them all)."""

    @property
    def occurred_us(self) -> Times:
        """The time of each event, microseconds."""
        ...

    @property
    def amounts_minor(self) -> npt.NDArray[np.int64]:
        """Money of purchases and refunds, minor units."""
        ...

    @property
    def full(self) -> npt.NDArray[np.bool_]:
        """Refunds of a whole order."""
        ...

    @property
    def more(self) -> EventColumns:
        """Columns that only some models need."""
        ...


@dataclass(frozen=True)
class Events:
    """k events, each of another customer."""

    rows: Rows  # (k,) their customers
    places: Rows  # (k,) in the batch
    batch: Batch

    @cached_property
    def occurred_us(self) -> Times:
        """The time of each event, shape (k,), microseconds."""
        return self.of(self.batch.occurred_us)

    @cached_property
    def amounts_minor(self) -> npt.NDArray[np.int64]:
        """The money of each, shape (k,)."""
        return self.of(self.batch.amounts_minor)

    @property
    def more(self) -> EventColumns:
        """The columns of the whole batch that the section asked for, to be used with `of`."""
        return self.batch.more

    def of(self, column: npt.NDArray[ScalarT]) -> npt.NDArray[ScalarT]:
        """The rows of these events in a column of the whole batch, shape (k, …)."""
        mine: npt.NDArray[ScalarT] = column[self.places]
        return mine


@dataclass(frozen=True, kw_only=True, slots=True)
class Happened:
    """One event of each of some customers; besides, those of each kind that changes facts."""

    all: Events
    purchases: Events
    refunds: Events
    feedback: Events
    payments: Events
    others: Events  # interactions and profiles


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """One section of the records of n customers, to be changed in place."""

    section: npt.NDArray[np.void]  # (n,)
    entries: Mapping[str, npt.NDArray[np.void]] = field(default_factory=dict)  # by name, (n, most)
    first_us: Times  # (n,) the first purchase, UNKNOWN without one; before the event

    def __getitem__(self, fact: Fact[ScalarT]) -> npt.NDArray[ScalarT]:
        """The column of a fact, shape (n,), to read and to write."""
        column: npt.NDArray[ScalarT] = self.section[fact.name]
        return column


Apply = Callable[[Kept, Happened, int], None]
"""Changes what is kept of the events' customers; the number is the length of a slot, microseconds."""
Merge = Callable[[Kept, Rows, Kept], None]
"""Adds what is kept of k customers, the last argument, to `rows` (k,) of others, as if all events had come under one
id."""
Refuse = Callable[[Kept, Events], Flags]
"""A function that gives a mask of shape (k,): the payments that must be refused."""


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries of a record, each beginning with a `key` that is not 0."""

    entry: np.dtype[np.void]
    most: int  # a customer


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RecordSection:
    """A section of the record (docs/state.md): a label, since when, then what is stated here.

    What is kept must not depend on the order in which events come: sums, counts, extremes. One that says no more than
    it does at the start is not stored.
    """

    bit: int | None  # which of a record's sections it is, for ever; None: it goes by its name (state/named_sections.py)
    facts: tuple[Fact[Any], ...] = ()
    entries: Mapping[str, Entries] = field(default_factory=dict)
    columns: tuple[str, ...] = ()  # those of EventColumns that `apply` and `refuse` look at
    apply: Apply | None = None
    merge: Merge | None = None
    refuse: Refuse | None = None

    @property
    def dtype(self) -> np.dtype[np.void]:
        """The stored form of the fixed part: little-endian, packed; `tails` counts the entries of each kind."""
        tails = [("tails", "u1", (len(self.entries),))] if self.entries else []
        facts = [(fact.name, fact.stored) for fact in self.facts]
        return np.dtype([("label", "u1"), ("since_us", "<i8"), *facts, *tails])
