"""RFM over a window: orders and money of the latest slots only, recency as ever."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segflow.segments import window
from segflow.segments.cuts import Cuts, crossed
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER, UNKNOWN, after
from segflow.segments.models.rfm import Rfm

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowedRfm:
    """The RFM grid over the present slot and those before it, `slots` in all.

    `none` (neutral) is a customer without an order that counts in them, so silence ends there.
    """

    rfm: Rfm
    slots: int
    slot_us: int

    @property
    def name(self) -> str:
        """The dimension is the same."""
        return self.rfm.name

    @property
    def labels(self) -> tuple[str, ...]:
        """So are its labels."""
        return self.rfm.labels

    @property
    def start(self) -> int:
        """So is the neutral one."""
        return self.rfm.start

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into `labels`, shape (n,)."""
        leave_us, cells = self._course(facts, cuts)
        gone = (leave_us <= at_us[:, None]).sum(axis=1)
        found: Labels = cells[np.arange(len(at_us)), gone, crossed(facts.idle_us(at_us), cuts.recency_us)]
        return found

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:
        """The first recency threshold or end of a slot ahead at which the label differs from the present one."""
        leave_us, cells = self._course(facts, cuts)
        lost_us = np.stack([after(facts.last_us, cut) for cut in cuts.recency_us], axis=1)
        due_us = np.concatenate([lost_us, leave_us], axis=1)
        ahead = (due_us > at_us[:, None]) & (due_us != NEVER)
        moments_us = np.where(ahead, due_us, at_us[:, None])
        gone = (leave_us[:, None, :] <= moments_us[:, :, None]).sum(axis=2)
        idle_us = moments_us - np.where(facts.last_us == UNKNOWN, 0, facts.last_us)[:, None]
        lost = crossed(np.where((facts.last_us == UNKNOWN)[:, None], 0, idle_us), cuts.recency_us)
        then = cells[np.arange(len(at_us))[:, None], gone, lost]
        differs = ahead & (then != labels[self.name][:, None])
        earliest: Times = np.where(differs, due_us, NEVER).min(axis=1)
        return earliest

    def _course(self, facts: Facts, cuts: Cuts) -> tuple[Times, Labels]:
        """When slots leave, shape (n, k), and label codes by how many have and what recency has lost, (n, k + 1, 5)."""
        held = window.trimmed(facts.window)
        return window.leave_us(held, self.slot_us, self.slots), self.rfm.cells(*window.left(held), cuts)
