"""Conditions of rules (schemas/expression/meaning.py) over whole columns of customers.

A comparison of what changes with time is decided by its crossing: the moment from which on, or up to which, it holds.
It is a straight line of time since the latest purchase, value + slope * time, so the crossing is where that is zero.
Sums of times give it to the microsecond; what was computed otherwise, as the whole second at or after it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.schemas.expression import meaning
from segflow.schemas.expression.meaning import (
    Arithmetic,
    AttributeCondition,
    AttributeNumber,
    Compared,
    Condition,
    Constant,
    Quantity,
)
from segflow.segments import attributes
from segflow.segments.attributes import Entries
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import EXACT_S, FAR_S, LATEST_US, NEVER, SECOND_US, UNKNOWN

Flags = npt.NDArray[np.bool_]
Values = npt.NDArray[np.int64] | npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Customers:
    """n customers as conditions look at them; `codes` are labels of other dimensions, `models` what they mean."""

    facts: Facts
    codes: Mapping[str, Labels]
    models: Mapping[str, tuple[str, ...]]
    minor: int  # minor units in one of the settings' currency

    def __len__(self) -> int:
        return len(self.facts.last_us)


@dataclass(frozen=True, slots=True)
class Line:
    """A quantity at the latest purchase, by how much it grows in a microsecond, and for whom it is not absent."""

    value: Values
    slope: Values
    known: Flags


@dataclass(frozen=True, slots=True)
class Crossing:
    """A comparison holds from `at_us` on (`after`), or before it."""

    at_us: Times
    after: Flags

    def holds(self, at_us: Times) -> Flags:
        """Whether it does at those moments."""
        held: Flags = (at_us >= self.at_us) == self.after
        return held


def holds(condition: Condition, customers: Customers, at_us: Times) -> Flags:
    """Of whom it holds at their moments, shape (n,)."""
    match condition:
        case meaning.Joined(any=some, items=items):
            each = [holds(item, customers, at_us) for item in items]
            found: Flags = (np.logical_or if some else np.logical_and).reduce(each)
        case meaning.Opposite(of=of):
            found = ~holds(of, customers, at_us)
        case meaning.Always(value=value):
            found = np.full(len(customers), value)
        case meaning.LabelIn(dimension=dimension, labels=labels):
            wanted = np.zeros(256, dtype=np.bool_)
            wanted[[customers.models[dimension].index(label) for label in labels]] = True
            found = wanted[customers.codes[dimension]]
        case meaning.QuantityPresent(of=quantity):
            found = line(quantity, customers).known
        case Compared(moves=True):
            found = crossing(condition, customers).holds(at_us)
        case Compared(sign=sign, left=smaller, right=greater):
            left, right = line(smaller, customers), line(greater, customers)
            found = left.known & right.known & _COMPARE[sign](left.value, right.value)
        case _:
            found = _of_attributes(condition, customers)
    return found


def _of_attributes(condition: AttributeCondition, customers: Customers) -> Flags:
    """`holds` for what looks at attributes whatever they are."""
    match condition:
        case meaning.AttributeIn(name=name, values=values, negated=negated):
            entries = _attribute(customers, name)
            found, alike = np.zeros((2, len(customers)), dtype=np.bool_)
            for kind, bits in map(attributes.kind_and_bits, values):
                alike |= entries["kind"] == kind
                found |= (entries["kind"] == kind) & (entries["value"] == bits)
            return _present(entries) & alike & (found ^ negated)
        case meaning.SameAttributes(left=left, right=right, negated=negated):
            one, other = _attribute(customers, left), _attribute(customers, right)
            alike = one["kind"] == other["kind"]
            both: Flags = _present(one) & _present(other) & alike & ((one["value"] == other["value"]) ^ negated)
            return both
        case meaning.AttributePresent(name=name):
            return _present(_attribute(customers, name))


def turns(condition: Condition, customers: Customers, at_us: Times) -> Times:
    """The next moment at which silence changes one of the comparisons it is made of; NEVER where none is left."""
    due_us = np.full(len(customers), NEVER, dtype=np.int64)
    for part in meaning.parts(condition):
        if isinstance(part, Compared) and part.moves:
            turn_us = crossing(part, customers).at_us
            ahead = (turn_us > at_us) & (turn_us <= LATEST_US)
            due_us = np.where(ahead, np.minimum(due_us, turn_us), due_us)
    return due_us


def crossing(compared: Compared, customers: Customers) -> Crossing:
    """The moment when a comparison of moving quantities begins or ceases to hold. Without a value it never holds."""
    gap = _difference(line(compared.left, customers), line(compared.right, customers))
    known, still = gap.known, gap.slope == 0
    rises = gap.slope > 0
    after = np.where(rises, compared.sign in (">=", ">"), compared.sign in ("<=", "<"))
    reaches = np.where(rises, compared.sign in (">=", "<"), compared.sign in ("<=", ">"))  # from equality on
    moving = known & ~still
    start_us = np.where(moving, customers.facts.last_us, 0)
    if gap.value.dtype.kind == "i" and gap.slope.dtype.kind == "i":
        slope = np.where(moving, gap.slope, 1)
        value = np.where(moving, gap.value, 0)
        crossed_us = start_us + np.where(reaches, -(value // slope), -value // slope + 1)
    else:
        with np.errstate(all="ignore"):
            since_s = (start_us % SECOND_US - gap.value / np.where(moving, gap.slope, 1)) / SECOND_US
        known = known & ~np.isnan(since_s)
        seconds = np.clip(np.ceil(np.nan_to_num(since_s) - EXACT_S), -FAR_S, FAR_S).astype(np.int64)
        crossed_us = (start_us // SECOND_US + seconds) * SECOND_US
    always = known & still & _COMPARE[compared.sign](gap.value, 0)
    settled = ~known | still
    return Crossing(np.where(settled, UNKNOWN, crossed_us), np.where(settled, always, after))


_COMPARE: Final[dict[str, np.ufunc]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def line(quantity: Quantity, customers: Customers) -> Line:
    """The value of a quantity and its slope over time, for each of n customers."""
    count = len(customers)
    everybody = np.ones(count, dtype=np.bool_)
    at_rest = np.zeros(count, dtype=np.int64)
    if isinstance(quantity, Constant):
        return Line(np.full(count, quantity.value), at_rest, everybody)
    if isinstance(quantity, AttributeNumber):
        entries = _attribute(customers, quantity.name)
        known = entries["kind"] == attributes.Kind.NUMBER
        return Line(np.ascontiguousarray(entries["value"]).view(np.float64), at_rest, known)
    if isinstance(quantity, Arithmetic):
        return _arithmetic(quantity, line(quantity.left, customers), line(quantity.right, customers))
    return _fact(quantity.name, customers, at_rest, everybody)


def _fact(name: str, customers: Customers, at_rest: Values, everybody: Flags) -> Line:
    facts = customers.facts
    if name in ("idle", "recency", "tenure"):
        known = facts.last_us != UNKNOWN
        first_us = facts.last_us if name != "tenure" else facts.first_us
        grown_us = np.where(known, facts.last_us, 0) - np.where(known, first_us, 0)
        return Line(grown_us, at_rest + 1, known)
    if name == "monetary":
        return Line(facts.net_minor / customers.minor, at_rest, everybody)
    counts = {"frequency": facts.orders, "purchases": facts.purchases, "full_refunds": facts.full_refunds}
    return Line(counts[name].astype(np.float64), at_rest, everybody)


def _arithmetic(quantity: Arithmetic, left: Line, right: Line) -> Line:
    known = left.known & right.known
    if quantity.sign in "+-":
        if not quantity.exact:
            left, right = _as_floats(left), _as_floats(right)
        sum_of = np.add if quantity.sign == "+" else np.subtract
        with np.errstate(all="ignore"):
            total = sum_of(left.value, right.value)
            return Line(total, sum_of(left.slope, right.slope), known & ~np.isnan(total))
    dividend, divisor = left.value.astype(np.float64), right.value.astype(np.float64)
    with np.errstate(all="ignore"):
        if quantity.sign == "/":
            value, slope = dividend / divisor, left.slope.astype(np.float64) / divisor
            known = known & (divisor != 0)
        else:
            value = dividend * divisor
            slope = left.slope * divisor + dividend * right.slope  # one of the slopes is zero
        return Line(value, slope, known & ~np.isnan(value) & ~np.isnan(slope))


def _difference(left: Line, right: Line) -> Line:
    with np.errstate(all="ignore"):
        return Line(left.value - right.value, left.slope - right.slope, left.known & right.known)


def _as_floats(line: Line) -> Line:
    return Line(line.value.astype(np.float64), line.slope.astype(np.float64), line.known)


def _attribute(customers: Customers, name: str) -> Entries:
    return customers.facts.attributes.column(name)


def _present(entries: Entries) -> Flags:
    present: Flags = (entries["key"] != 0) & (entries["kind"] != attributes.Kind.REMOVED)
    return present
