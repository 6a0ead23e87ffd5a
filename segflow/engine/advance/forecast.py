"""What silence will bring a customer: every change to come, as long as nothing happens."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from segflow.segments.facts import Facts, Labels
from segflow.segments.instant import NEVER
from segflow.segments.rules import Rules

CHANGES_MAX: Final = 20
"""Silence ends in a last label after a handful of changes; a model that repeats for ever is cut here."""
DEADLINES_MAX: Final = 10_000
"""Deadlines looked at; most change a label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ForecastChange:
    """One change that silence brings."""

    at_us: int
    dimension: str
    label: str


def forecast(rules: Rules, facts: Facts, at_us: int, codes: Labels) -> list[ForecastChange]:
    """The changes after `at_us` of one customer with the labels `codes` then; `facts` and `codes` have one row."""
    changes: list[ForecastChange] = []
    moment = np.array([at_us], dtype=np.int64)
    for _ in range(DEADLINES_MAX):
        moment = rules.deadline(facts, moment, codes)
        if moment[0] == NEVER or len(changes) >= CHANGES_MAX:
            break
        then = rules.classify(facts, moment)
        changes += [
            ForecastChange(
                at_us=int(moment[0]),
                dimension=rules.models[column].name,
                label=rules.models[column].labels[then[0, column]],
            )
            for column in np.flatnonzero(then[0] != codes[0]).tolist()
        ]
        codes = then
    return changes
