"""Forecast: the changes to come of a customer who stays silent. Pure.

`next_changes` gives the first one for each of many customers; every published change carries it. `forecast` gives all
of one customer.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from segflow.engine.advance.silence import STEPS_MAX, endless
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER
from segflow.segments.rules import Rules

CHANGES_MAX: Final = 20
"""Silence ends in a last label after a handful of changes; a model that repeats for ever is cut here."""
DEADLINES_MAX: Final = 10_000
"""Deadlines looked at in a forecast; most change a label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ForecastChange:
    """One change that silence brings."""

    at_us: int
    dimension: str
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NextChanges:
    """The first change that silence brings each of n customers; columns of shape (n,)."""

    dimensions: npt.NDArray[np.intp]  # column of the models; the first in the settings' order of those that change
    labels: Labels
    at_us: Times  # NEVER: silence changes nothing more

    @classmethod
    def none(cls, count: int) -> Self:
        """Of `count` customers whom silence changes no more."""
        return cls(
            dimensions=np.zeros(count, dtype=np.intp),
            labels=np.zeros(count, dtype=np.uint8),
            at_us=np.full(count, NEVER, dtype=np.int64),
        )


def next_changes(rules: Rules, facts: Facts, at_us: Times, codes: Labels) -> NextChanges:
    """The first change after `at_us` of n customers with the labels `codes` then, shape (n, models)."""
    found = NextChanges.none(len(at_us))
    rows = np.arange(len(at_us))
    for _ in range(STEPS_MAX):
        due_us = rules.deadline(facts, at_us, codes)
        ahead = np.flatnonzero(due_us != NEVER)
        if not len(ahead):
            return found
        rows, at_us, codes, facts = rows[ahead], due_us[ahead], codes[ahead], facts.take(ahead)
        then = rules.classify(facts, at_us)
        moved = then != codes
        changes = moved.any(axis=1)
        first = moved.argmax(axis=1)
        found.dimensions[rows[changes]] = first[changes]
        found.labels[rows[changes]] = then[np.arange(len(rows)), first][changes]
        found.at_us[rows[changes]] = at_us[changes]
        left = np.flatnonzero(~changes)  # examined there without a change: look further
        rows, at_us, codes, facts = rows[left], at_us[left], codes[left], facts.take(left)
        if not len(rows):
            return found
    raise endless(rules, facts, at_us, codes)


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
