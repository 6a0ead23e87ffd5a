"""Rule dimensions: labels by rules of the settings, of which the first that holds gives the label."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import get_args

import numpy as np

from segflow.schemas.expression import meaning, wording
from segflow.schemas.expression.meaning import Condition, Quantity, Scalar
from segflow.schemas.expression.wording import Single
from segflow.segments import attributes
from segflow.segments.attributes import Kind
from segflow.segments.conditions import Customers, crossing, holds, line, turns
from segflow.segments.cuts import Cuts
from segflow.segments.explain import Case, span
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import LATEST_US, NEVER, to_text
from segflow.segments.model import NO_LABEL


@dataclass(frozen=True, kw_only=True)
class RuleDimension:
    """The model of one rule dimension: rules in their order, each a label and a condition.

    `otherwise` is the neutral label, at which every customer starts.
    """

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
        """The dimensions whose labels the rules look at. When one of them changes, this one may."""
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
        """The next crossing of a rule that can change the label, shape (n,): up to the last that gives the present one.

        The deadlines of the dimensions in `looks_at` are not included. The caller adds them.
        """
        customers = Customers(facts=facts, codes=labels, models=self.models, minor=self.minor)
        own = labels[self.name]
        due_us = np.full(len(at_us), NEVER, dtype=np.int64)
        last = np.array([self._last_rule(label) for label in self.labels])
        for place, (_, condition) in enumerate(self.rules):
            due_us = np.where(place <= last[own], np.minimum(due_us, turns(condition, customers, at_us)), due_us)
        return due_us

    def explain(self, case: Case) -> list[str]:
        """The reasons of the label, in sentences that end in it."""
        customers, at_us = _looked_at(self, case), np.array([case.at_us], dtype=np.int64)
        lines = []
        for number, ((label, condition), text) in enumerate(zip(self.rules, self.texts, strict=True), 1):
            lines.append(f"Rule {number}, {label}: {' '.join(text.splitlines())}")
            singles = [part for part in meaning.parts(condition) if isinstance(part, get_args(Single))]
            lines += [_said(single, customers, case) for single in dict.fromkeys(singles)]
            if holds(condition, customers, at_us)[0]:
                return [*lines, f"So rule {number} holds, as the first: {label}."]
            lines.append(f"So rule {number} does not hold.")
        return [*lines, f"No rule holds: {self.otherwise}."]

    def _last_rule(self, label: str) -> int:
        """The index of the last rule that gives the label; the number of rules for `otherwise`."""
        if label == self.otherwise:
            return len(self.rules)
        return max(place for place, (each, _) in enumerate(self.rules) if each == label)


def _looked_at(model: RuleDimension, case: Case) -> Customers:
    """The customer of the case in the form that conditions look at."""
    codes = {}
    for name in model.looks_at:
        label = case.labels[name]
        code = NO_LABEL if label is None else model.models[name].index(label)
        codes[name] = np.array([code], dtype=np.uint8)
    return Customers(facts=case.facts, codes=codes, models=model.models, minor=model.minor)


def _said(single: Single, customers: Customers, case: Case) -> str:
    """A sentence on one comparison: whether it holds, of which values, and until when if time decides."""
    at_us = np.array([case.at_us], dtype=np.int64)
    held = holds(single, customers, at_us)[0]
    values = "; ".join(_values(single, customers, case))
    line = f"{wording.condition_text(single)} {'holds' if held else 'does not hold'}"
    line += f": {values}" if values else ""
    if isinstance(single, meaning.Compared) and single.moves:
        turn_us = int(crossing(single, customers).at_us[0])
        if case.at_us < turn_us <= LATEST_US:
            line += f"; {'until' if held else 'from'} {to_text(turn_us)}{'' if held else ' on'}"
    return f"{line}."


def _values(single: Single, customers: Customers, case: Case) -> Iterable[str]:
    """The customer's values that the comparison looks at."""
    match single:
        case meaning.Compared(left=left, right=right):
            spans = wording.is_span(left) or wording.is_span(right)
            for side in (left, right):
                yield from _measured(side, customers, case, spans=spans)
        case meaning.QuantityPresent(of=of):
            yield from _measured(of, customers, case, spans=wording.is_span(of))
        case meaning.LabelIn(dimension=dimension):
            yield f"{dimension} is {case.labels[dimension]}"
        case meaning.AttributeIn(name=name, values=values):
            yield _attribute(name, customers, values)
        case meaning.SameAttributes(left=name, right=other):
            yield _attribute(name, customers)
            yield _attribute(other, customers)
        case meaning.AttributePresent(name=name):
            yield _attribute(name, customers)
        case meaning.Always():
            return


def _measured(quantity: Quantity, customers: Customers, case: Case, *, spans: bool) -> Iterable[str]:
    """The value of a quantity and of its parts; nothing for a constant."""
    parts = wording.leaves(quantity)
    if not parts:
        return
    if parts != [quantity]:
        yield f"{wording.quantity_text(quantity, span=spans)} is {_value(quantity, customers, case, spans=spans)}"
    for part in parts:
        value = _value(part, customers, case, spans=wording.is_span(part))
        yield f"{wording.quantity_text(part, span=False)} is {value}"


def _value(quantity: Quantity, customers: Customers, case: Case, *, spans: bool) -> str:
    """The value of a quantity at the moment of the case."""
    course = line(quantity, customers)
    if not course.known[0]:
        return "absent"
    value = course.value[0] + (course.slope[0] * (case.at_us - case.fact("last_us")) if course.slope[0] else 0)
    if not spans or not np.isfinite(value):
        return f"{value:.12g}"
    return span(round(value))


def _attribute(name: str, customers: Customers, values: tuple[Scalar, ...] = ()) -> str:
    """The value of an attribute as far as it is kept. Of a text, only whether it is one of `values` is known."""
    entry = customers.facts.attributes.column(name)[0]
    kind, bits = Kind(int(entry["kind"])), int(entry["value"])
    alike = [value for value in values if attributes.kind_and_bits(value) == (kind, bits)]
    if not entry["key"] or kind == Kind.REMOVED:
        text = "absent"
    elif alike:
        text = wording.scalar_text(alike[0])
    elif kind == Kind.FLAG:
        text = wording.scalar_text(bool(bits))
    elif kind == Kind.NUMBER:
        text = f"{float(np.uint64(bits).view(np.float64)):.12g}"
    else:
        text = "another text" if any(isinstance(value, str) for value in values) else "a text"
    return f"{wording.attribute_text(name)} is {text}"
