"""Satisfaction: what a customer told us last, on the scale of the net promoter score."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from segflow.schemas.section import Score, Section, Wait
from segflow.segments.cuts import Cuts
from segflow.segments.declaration import Common, Declaration
from segflow.segments.explain import Case, span
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER, UNKNOWN, after, duration_us, to_text

LABELS: Final = ("unknown", "detractor", "passive", "promoter")
ABSENT, DETRACTOR, PASSIVE, PROMOTER = range(len(LABELS))

Scores = npt.NDArray[np.uint8]


class Satisfaction(Section):
    """The satisfaction dimension: the score of the latest feedback."""

    promoter_from: Score = 9
    passive_from: Score = 7
    unknown_after: Wait = Field(timedelta(days=180), description="an older feedback says nothing any more")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.passive_from >= self.promoter_from:
            raise ValueError("passive_from must be below promoter_from")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class SatisfactionModel:
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

    def explain(self, case: Case) -> list[str]:
        """Sentences that end in the label."""
        if case.fact("feedback_us") == UNKNOWN:
            return ["Never gave feedback: unknown."]
        lines = [f"The latest feedback was {case.fact('score')}, on {to_text(case.fact('feedback_us'))}."]
        if case.label == "unknown":
            age, most = span(case.at_us - case.fact("feedback_us")), span(self.unknown_after_us)
            return [*lines, f"That is {age} ago, {most} (unknown_after) or more: unknown."]
        scale = f"{self.promoter_from} and more are a promoter, {self.passive_from} and more passive, less a detractor"
        return [*lines, f"{scale}: {case.label}."]


def with_feedback(held_us: Times, held: Scores, times_us: Times, scores: Scores) -> tuple[Times, Scores]:
    """Time and score of the latest feedback of n customers after one of each; of equal times the lower score."""
    tied = np.where(times_us == held_us, np.minimum(held, scores), held)
    return np.maximum(held_us, times_us), np.where(times_us > held_us, scores, tied).astype(np.uint8)


def _build(own: Satisfaction, _common: Common) -> SatisfactionModel:
    return SatisfactionModel(
        promoter_from=own.promoter_from,
        passive_from=own.passive_from,
        unknown_after_us=duration_us(own.unknown_after),
    )


SATISFACTION: Final = Declaration(name="satisfaction", settings=Satisfaction, labels=LABELS[::-1], build=_build)
