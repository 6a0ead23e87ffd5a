"""Value (ABC): who brings the money."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from segflow.segments.cuts import Cuts, crossed
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER

LABELS: Final = ("none", "c", "b", "a")
NONE, C, B, A = range(len(LABELS))


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """By net money and the two cuts of it. `none` (neutral): no order that counts.

    Where the cuts are made of the population: segments/recut.py.
    """

    name: str = "value"
    labels: tuple[str, ...] = LABELS
    start: int = NONE

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into LABELS, shape (n,)."""
        code = C + crossed(facts.net_minor, cuts.value_minor)
        return np.where(facts.orders == 0, NONE, code).astype(np.uint8)

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:  # noqa: ARG002 - the Model's signature
        """Never: silence brings no money and takes none."""
        return np.full(len(at_us), NEVER, dtype=np.int64)
