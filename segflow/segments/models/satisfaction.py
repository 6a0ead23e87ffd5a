"""Satisfaction: the score of the customer's latest feedback, on the scale of the net promoter score."""

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
from segflow.segments.facts import Fact, Facts, Labels, Rows, Times
from segflow.segments.instant import NEVER, UNKNOWN, after, duration_us, to_text
from segflow.segments.record_section import Happened, Kept, RecordSection

LABELS: Final = ("unknown", "detractor", "passive", "promoter")
ABSENT, DETRACTOR, PASSIVE, PROMOTER = range(len(LABELS))

Scores = npt.NDArray[np.uint8]


FEEDBACK_US: Final = Fact("feedback_us", np.int64, UNKNOWN)  # the latest feedback, UNKNOWN without one
SCORE: Final = Fact("score", np.uint8)  # its score, 0 to 10


class Satisfaction(Section):
    """The satisfaction dimension: the score of the latest feedback."""

    promoter_from: Score = 9
    passive_from: Score = 7
    unknown_after: Wait = Field(timedelta(days=180), description="age from which on a feedback no longer counts")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.passive_from >= self.promoter_from:
            raise ValueError("passive_from must be below promoter_from")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class SatisfactionModel:
    """The model: by the score of the latest feedback. `unknown` (neutral): no feedback, or too long ago."""

    promoter_from: int
    passive_from: int
    unknown_after_us: int
    name: str = "satisfaction"
    labels: tuple[str, ...] = LABELS
    start: int = ABSENT

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into LABELS, shape (n,)."""
        code = np.where(facts[SCORE] >= self.passive_from, PASSIVE, DETRACTOR)
        code = np.where(facts[SCORE] >= self.promoter_from, PROMOTER, code)
        known = (facts[FEEDBACK_US] != UNKNOWN) & (at_us < after(facts[FEEDBACK_US], self.unknown_after_us))
        return np.where(known, code, ABSENT).astype(np.uint8)

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:  # noqa: ARG002 - the Model's signature
        """The time from which on the feedback no longer counts, shape (n,)."""
        return np.where(labels[self.name] == ABSENT, NEVER, after(facts[FEEDBACK_US], self.unknown_after_us))

    def explain(self, case: Case) -> list[str]:
        """The reasons of the label, in sentences that end in it."""
        if case.own(FEEDBACK_US) == UNKNOWN:
            return ["Never gave feedback: unknown."]
        lines = [f"The latest feedback was {case.own(SCORE)}, on {to_text(case.own(FEEDBACK_US))}."]
        if case.label == "unknown":
            age, most = span(case.at_us - case.own(FEEDBACK_US)), span(self.unknown_after_us)
            return [*lines, f"That is {age} ago, {most} (unknown_after) or more: unknown."]
        scale = f"{self.promoter_from} and more are a promoter, {self.passive_from} and more passive, less a detractor"
        return [*lines, f"{scale}: {case.label}."]


def with_feedback(held_us: Times, held: Scores, times_us: Times, scores: Scores) -> tuple[Times, Scores]:
    """Time and score of the latest feedback of n customers after one of each; of equal times the lower score counts."""
    tied = np.where(times_us == held_us, np.minimum(held, scores), held)
    return np.maximum(held_us, times_us), np.where(times_us > held_us, scores, tied).astype(np.uint8)


def _apply(kept: Kept, happened: Happened, _slot_us: int) -> None:
    given = happened.feedback
    feedback_us, score = kept[FEEDBACK_US], kept[SCORE]
    feedback_us[given.rows], score[given.rows] = with_feedback(
        feedback_us[given.rows], score[given.rows], given.occurred_us, given.of(given.more["score"])
    )


def _merge(kept: Kept, rows: Rows, other: Kept) -> None:
    feedback_us, score = kept[FEEDBACK_US], kept[SCORE]
    feedback_us[rows], score[rows] = with_feedback(feedback_us[rows], score[rows], other[FEEDBACK_US], other[SCORE])


def _build(own: Satisfaction, _common: Common) -> SatisfactionModel:
    return SatisfactionModel(
        promoter_from=own.promoter_from,
        passive_from=own.passive_from,
        unknown_after_us=duration_us(own.unknown_after),
    )


SATISFACTION: Final = Declaration(
    name="satisfaction",
    settings=Satisfaction,
    labels=LABELS[::-1],
    build=_build,
    section=RecordSection(bit=2, facts=(FEEDBACK_US, SCORE), columns=("score",), apply=_apply, merge=_merge),
)
