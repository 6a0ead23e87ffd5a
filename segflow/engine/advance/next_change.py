"""The first change that silence brings, of many customers at once; part of every change that is published. Pure."""

from typing import Final

import numpy as np

from segflow.segments.facts import Facts, Labels, Rows, Times
from segflow.segments.instant import NEVER
from segflow.segments.rules import Rules

STEPS_MAX: Final = 100_000
"""Deadlines one customer may pass in one go: far beyond any model's (a slot of 28 days for 7,000 years)."""


def next_change(rules: Rules, facts: Facts, at_us: Times, codes: Labels) -> tuple[Rows, Labels, Times]:
    """For n customers with the labels `codes` at `at_us`: the first change that silence brings.

    Returns:
        Dimension (column of the models; the first in the settings' order where several change together), its label
        then, and when; NEVER where silence changes nothing more.
    """
    dimension, label, when_us = nothing_ahead(rules, facts, at_us, codes)
    rows = np.arange(len(at_us))
    for _ in range(STEPS_MAX):
        due_us = rules.deadline(facts, at_us, codes)
        ahead = np.flatnonzero(due_us != NEVER)
        if not len(ahead):
            return dimension, label, when_us
        rows, at_us, codes, facts = rows[ahead], due_us[ahead], codes[ahead], facts.take(ahead)
        then = rules.classify(facts, at_us)
        moved = then != codes
        found = moved.any(axis=1)
        first = moved.argmax(axis=1)
        dimension[rows[found]] = first[found]
        label[rows[found]] = then[np.arange(len(rows)), first][found]
        when_us[rows[found]] = at_us[found]
        left = np.flatnonzero(~found)  # examined there without a change: look further
        rows, at_us, codes, facts = rows[left], at_us[left], codes[left], facts.take(left)
        if not len(rows):
            return dimension, label, when_us
    raise AssertionError("a model's deadline does not move forward")


def nothing_ahead(rules: Rules, facts: Facts, at_us: Times, codes: Labels) -> tuple[Rows, Labels, Times]:  # noqa: ARG001 - as `next_change`
    """What `next_change` gives where silence changes nothing more."""
    count = len(at_us)
    return np.zeros(count, dtype=np.intp), np.zeros(count, dtype=np.uint8), np.full(count, NEVER, dtype=np.int64)
