"""Rule dimensions: labels by rules of the settings; the first that holds gives the label."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from segflow.schemas.expression import meaning
from segflow.schemas.expression.meaning import Condition
from segflow.segments.conditions import Customers, holds, turns
from segflow.segments.cuts import Cuts
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER


@dataclass(frozen=True, kw_only=True)
class RuleDimension:
    """Rules in their order, each a label and a condition. `otherwise` is the neutral label, where everybody starts."""

    name: str
    rules: tuple[tuple[str, Condition], ...]
    texts: tuple[str, ...] = field(repr=False)  # of the conditions, as they were written
    otherwise: str
    minor: int  # minor units in one of the settings' currency
    models: dict[str, tuple[str, ...]] = field(repr=False)  # labels of the dimensions before it
    start: int = 0

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels by code: `otherwise`, then those of the rules in their order."""
        return tuple(dict.fromkeys([self.otherwise, *(label for label, _ in self.rules)]))

    @cached_property
    def looks_at(self) -> tuple[str, ...]:
        """The dimensions whose labels its rules look at: when one changes, this one may."""
        return tuple(sorted({name for _, condition in self.rules for name in meaning.dimensions(condition)}))

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into `labels`, shape (n,)."""
        customers = Customers(facts=facts, codes=labels, models=self.models, minor=self.minor)
        codes = np.zeros(len(at_us), dtype=np.uint8)
        left = np.ones(len(at_us), dtype=np.bool_)
        for label, condition in self.rules:
            if not left.any():
                break
            mine = left & holds(condition, customers, at_us)
            codes[mine] = self.labels.index(label)
            left &= ~mine
        return codes

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:  # noqa: ARG002 - the Model's signature
        """The next crossing in a rule that can change the label: up to the last rule that gives the present one.

        Not when the label of another dimension changes: who asks this one looks at their deadlines too (`looks_at`).
        """
        customers = Customers(facts=facts, codes=labels, models=self.models, minor=self.minor)
        own = labels[self.name]
        due_us = np.full(len(at_us), NEVER, dtype=np.int64)
        last = np.array([self._last_rule(label) for label in self.labels])
        for place, (_, condition) in enumerate(self.rules):
            due_us = np.where(place <= last[own], np.minimum(due_us, turns(condition, customers, at_us)), due_us)
        return due_us

    def _last_rule(self, label: str) -> int:
        """The place of the last rule that gives the label; behind all of them for `otherwise`."""
        if label == self.otherwise:
            return len(self.rules)
        return max(place for place, (each, _) in enumerate(self.rules) if each == label)
