"""RFM: recency, frequency and money scored from 1 to 5, and a grid that names the cells."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from segments.cuts import Cuts, crossed
from segments.facts import Facts, Labels, Times
from segments.instant import NEVER, after

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
    _codes: Labels = field(init=False, repr=False, compare=False)  # (R - 1, FM - 1) -> code

    def __post_init__(self) -> None:
        names = dict.fromkeys(["none", *(label for row in self.grid for label in row)])
        object.__setattr__(self, "labels", tuple(names))
        code_of = {label: code for code, label in enumerate(names)}
        rows = [[code_of[label] for label in row] for row in reversed(self.grid)]
        object.__setattr__(self, "_codes", np.array(rows, dtype=np.uint8))

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into `labels`, shape (n,)."""
        lost = crossed(facts.idle_us(at_us), cuts.recency_us)
        return self._cell(facts, cuts, lost)

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:
        """The first recency threshold ahead at which the cell's label differs from the present one."""
        own = labels[self.name]
        due = np.full(len(own), NEVER, dtype=np.int64)
        lost_now = crossed(facts.idle_us(at_us), cuts.recency_us)
        for lost in range(SCORES - 1, 0, -1):  # farthest first, so the nearest that differs is written last
            ahead = (lost_now < lost) & (self._cell(facts, cuts, np.full_like(lost_now, lost)) != own)
            due = np.where(ahead, after(facts.last_us, cuts.recency_us[lost - 1]), due)
        return due

    def _cell(self, facts: Facts, cuts: Cuts, lost: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Labels:
        """Label codes where recency has lost `lost` of its points (R = 5 - lost)."""
        frequency = 1 + crossed(facts.orders, cuts.frequency)
        monetary = 1 + crossed(facts.net_minor, cuts.monetary_minor)
        mean = (frequency + monetary + 1) // 2
        cell = self._codes[SCORES - 1 - lost, mean - 1]
        return np.where(facts.orders == 0, NONE, cell).astype(np.uint8)
