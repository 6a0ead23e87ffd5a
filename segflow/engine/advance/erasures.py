"""Erasing customers within a batch: what stays of whom, and which events stay out because of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from segflow.engine.columns.events import Kind
from segflow.segments.facts import Labels, Rows, Times
from segflow.segments.instant import NEVER, UNKNOWN
from segflow.segments.model import NO_LABEL
from segflow.segments.rules import Rules
from segflow.state.customers import Customers
from segflow.state.erasure import Erasure
from segflow.state.layout import DIMENSION_SLOTS

FOR_EVER: Final = NEVER
Versions = npt.NDArray[np.int64] | npt.NDArray[np.uint32]


def start_labels(rules: Rules) -> Labels:
    """The labels of an unknown customer, in the slots of the record's fixed part; those of sections start at 0."""
    start = dict(zip(rules.names, rules.start.tolist(), strict=True))
    return np.array([start.get(name, 0) for name in DIMENSION_SLOTS], dtype=np.uint8)


@dataclass(slots=True)
class Erasures:
    """Of n customers, as columns of shape (n,): who is known, and what stays of those who were erased.

    Mutable, as Customers is. A customer who came back is known, and has an erasure: older events stay out still.
    """

    known: npt.NDArray[np.bool_]  # has a record, or had an event since
    at_us: Times  # of the erase, UNKNOWN: never erased
    published_us: Times  # when its receipts are effective, UNKNOWN: there were none
    versions: npt.NDArray[np.int64]  # changes published until then, the receipts included
    rules: npt.NDArray[np.int64]  # version of the rules of the receipts
    new: npt.NDArray[np.bool_]  # erased in this batch
    dimensions: dict[int, tuple[str, ...]] = field(default_factory=dict)  # those of each version in `rules`
    kept_us: int = FOR_EVER  # what stays of a customer is forgotten so long after the erase

    @classmethod
    def of(
        cls,
        known: npt.NDArray[np.bool_],
        found: Mapping[int, Erasure],
        dimensions: Mapping[int, tuple[str, ...]],
        kept_us: int = FOR_EVER,
    ) -> Self:
        """Of customers, some of whom have an erasure, by row; `dimensions`: of each version of the rules in them."""
        count = len(known)
        erasures = cls(
            known=known,
            at_us=np.full(count, UNKNOWN, dtype=np.int64),
            published_us=np.full(count, UNKNOWN, dtype=np.int64),
            versions=np.zeros(count, dtype=np.int64),
            rules=np.zeros(count, dtype=np.int64),
            new=np.zeros(count, dtype=np.bool_),
            dimensions=dict(dimensions),
            kept_us=kept_us,
        )
        for row, erasure in found.items():
            for column, value in zip(erasures.columns, erasure, strict=True):
                column[row] = value
        return erasures

    @property
    def columns(self) -> tuple[npt.NDArray[np.int64], ...]:
        """By field of Erasure."""
        return self.at_us, self.published_us, self.versions, self.rules

    def part(self, start: int, stop: int) -> Self:
        """Those of rows [start, stop), not copied."""
        rows = slice(start, stop)
        return replace(
            self,
            known=self.known[rows],
            at_us=self.at_us[rows],
            published_us=self.published_us[rows],
            versions=self.versions[rows],
            rules=self.rules[rows],
            new=self.new[rows],
        )

    def note(
        self, rows: Rows, occurred_us: Times, published: Rows, published_us: Times, versions: Versions, rules: Rules
    ) -> None:
        """`rows` were erased at these times, and `published`, those of them who were known, had their receipts."""
        self.at_us[rows] = occurred_us
        self.published_us[published] = published_us
        self.versions[published] = versions
        self.rules[published] = rules.version
        self.dimensions[rules.version] = rules.names
        self.known[rows] = False
        self.new[rows] = True

    def erasure(self, row: int) -> Erasure:
        """The erasure of the customer in this row."""
        return Erasure(*(int(column[row]) for column in self.columns))

    def concern(self, kinds: npt.NDArray[np.uint8]) -> bool:
        """Whether a batch of events of these kinds has anything to do with erasing."""
        return bool((self.at_us != UNKNOWN).any() or (kinds == Kind.ERASE).any())

    def forget(self, customers: Customers, rows: Rows, rules: Rules) -> None:
        """Make `rows` what is left of them.

        Where changes of them were published, that is their number of changes, and null in those dimensions. A dimension
        that came since begins as for anybody.
        """
        customers.forget(rows, start_labels(rules), rules.version)
        published = rows[self.published_us[rows] != UNKNOWN]
        published_us = self.published_us[published]
        customers.fixed["changes"][published] = self.versions[published]
        customers.fixed["concluded_us"][published] = published_us
        for version in np.unique(self.rules[published]).tolist():
            mine = self.rules[published] == version
            nothing = np.full(np.count_nonzero(mine), NO_LABEL, dtype=np.uint8)
            for name in set(rules.names) & set(self.dimensions[version]):
                customers.move(name, published[mine], nothing, published_us[mine])

    def expire(self, customers: Customers, rows: Rows, horizons_us: Times, rules: Rules) -> None:
        """Let go of what stayed of `rows` long enough; a horizon is the shard's time at the row's event."""
        erased = self.at_us[rows] != UNKNOWN
        over = rows[erased][horizons_us[erased] - self.at_us[rows][erased] > self.kept_us]
        if not len(over):
            return
        self.at_us[over] = self.published_us[over] = UNKNOWN
        self.versions[over] = 0
        self.forget(customers, over[~self.known[over]], rules)

    def outdated(self, rows: Rows, occurred_us: Times, kinds: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """A mask of shape (k,): the events from before their customer's erase, or that are that erase again."""
        again = (kinds == Kind.ERASE) & (occurred_us == self.at_us[rows])
        out: npt.NDArray[np.bool_] = again | (occurred_us < self.at_us[rows])
        return out
