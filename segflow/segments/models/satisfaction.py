"""Satisfaction: what a customer told us last, on the scale of the net promoter score."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.segments.cuts import Cuts
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER, UNKNOWN, after

LABELS: Final = ("unknown", "detractor", "passive", "promoter")
ABSENT, DETRACTOR, PASSIVE, PROMOTER = range(len(LABELS))

Scores = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Satisfaction:
    """By the score of the most recent feedback. `unknown` (neutral): none, or too long ago."""

    promoter_from: int
    passive_from: int
    unknown_after_us: int
    name: str = "satisfaction"
    labels: tuple[str, ...] = LABELS
    start: int = ABSENT

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into LABELS, shape (n,)."""
        code = np.where(facts.score >= self.passive_from, PASSIVE, DETRACTOR)
        code = np.where(facts.score >= self.promoter_from, PROMOTER, code)
        known = (facts.feedback_us != UNKNOWN) & (at_us < after(facts.feedback_us, self.unknown_after_us))
        return np.where(known, code, ABSENT).astype(np.uint8)

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:  # noqa: ARG002 - the Model's signature
        """When the feedback is too long ago."""
        return np.where(labels[self.name] == ABSENT, NEVER, after(facts.feedback_us, self.unknown_after_us))


def with_feedback(held_us: Times, held: Scores, times_us: Times, scores: Scores) -> tuple[Times, Scores]:
    """Time and score of the latest feedback of n customers after one of each; of equal times the lower score."""
    tied = np.where(times_us == held_us, np.minimum(held, scores), held)
    return np.maximum(held_us, times_us), np.where(times_us > held_us, scores, tied).astype(np.uint8)
