"""RFM: recency, frequency and money scored from 1 to 5, and a grid that names the cells."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.segments.cuts import Cuts, crossed
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER, after

SCORES: Final = 5
NONE: Final = 0

Grid = tuple[tuple[str, ...], ...]
"""Five rows, R 5 first, of five labels, FM 1 first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rfm:
    """The RFM grid. `none` (neutral) is a customer without an order that counts."""

    grid: Grid
    name: str = "rfm"
    labels: tuple[str, ...] = field(init=False)
    start: int = NONE
    _codes: Labels = field(init=False, repr=False, compare=False)  # (FM - 1, 5 - R) -> code

    def __post_init__(self) -> None:
        names = dict.fromkeys(["none", *(label for row in self.grid for label in row)])
        object.__setattr__(self, "labels", tuple(names))
        code_of = {label: code for code, label in enumerate(names)}
        rows = [[code_of[label] for label in row] for row in self.grid]
        object.__setattr__(self, "_codes", np.ascontiguousarray(np.array(rows, dtype=np.uint8).T))

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into `labels`, shape (n,)."""
        cells = self._life(facts, cuts)
        return _pick(cells, crossed(facts.idle_us(at_us), cuts.recency_us))

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:
        """The first recency threshold ahead at which the cell's label differs from the present one."""
        own = labels[self.name]
        cells = self._life(facts, cuts)
        lost_now = crossed(facts.idle_us(at_us), cuts.recency_us)
        lost = np.arange(1, SCORES)
        differs = (lost > lost_now[:, None]) & (cells[:, 1:] != own[:, None])
        first = differs.argmax(axis=1)  # 0 also where none differs
        due = after(facts.last_us, np.asarray(cuts.recency_us, dtype=np.int64)[first])
        return np.where(differs.any(axis=1), due, NEVER)

    def _life(self, facts: Facts, cuts: Cuts) -> Labels:
        """`cells` over the customer's life."""
        return facts.once((self, cuts), lambda: self.cells(facts.orders, facts.net_minor, cuts))

    def cells(self, orders: npt.NDArray[np.int64], net_minor: npt.NDArray[np.int64], cuts: Cuts) -> Labels:
        """Label codes by how many points recency has lost (R = 5 - lost), in a last axis of 5."""
        frequency = 1 + crossed(orders, cuts.frequency)
        monetary = 1 + crossed(net_minor, cuts.monetary_minor)
        cells = self._codes[(frequency + monetary + 1) // 2 - 1]
        return np.where((orders == 0)[..., None], np.uint8(NONE), cells)


def _pick(cells: Labels, columns: npt.NDArray[np.int64]) -> Labels:
    """One column of each row."""
    picked: Labels = cells[np.arange(len(cells)), columns]
    return picked
