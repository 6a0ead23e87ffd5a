"""The meaning of a checked expression: conditions on a customer, and the quantities that they compare.

A quantity is a number, or a duration in microseconds. It is absent where one of its parts is absent.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, or a duration in whole microseconds (an int)."""

    value: float | int


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact, one of checking.FACTS."""

    name: str


@dataclass(frozen=True, slots=True)
class AttributeNumber:
    """The value of a numeric attribute; absent where the attribute is no number."""

    name: str


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A sum, difference, product or quotient. `exact`: a sum of times in whole microseconds that fits 64 bits."""

    sign: str
    left: "Quantity"
    right: "Quantity"
    exact: bool


Quantity: TypeAlias = Constant | Fact | AttributeNumber | Arithmetic


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison: left `sign` right, false where one is absent. `moves`: the difference changes as time passes."""

    sign: str
    left: Quantity
    right: Quantity
    moves: bool


@dataclass(frozen=True, slots=True)
class LabelIn:
    """The condition that the customer's label in another dimension is one of `labels`."""

    dimension: str
    labels: frozenset[str]


Scalar: TypeAlias = bool | float | str


@dataclass(frozen=True, slots=True)
class AttributeIn:
    """The condition that the attribute is one of `values`; `negated`: of the kind of one of them, and none of them."""

    name: str
    values: tuple[Scalar, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class SameAttributes:
    """The condition that both attributes are there, of one kind, and equal; `negated`: not equal."""

    left: str
    right: str
    negated: bool


@dataclass(frozen=True, slots=True)
class AttributePresent:
    """The condition that the attribute is there."""

    name: str


@dataclass(frozen=True, slots=True)
class QuantityPresent:
    """The condition that the quantity is not absent."""

    of: Quantity


@dataclass(frozen=True, slots=True)
class Opposite:
    """The negation of a condition."""

    of: "Condition"


@dataclass(frozen=True, slots=True)
class Joined:
    """The conjunction of conditions; `any`: their disjunction."""

    any: bool
    items: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Always:
    """The condition that is always true, or always false."""

    value: bool


AttributeCondition: TypeAlias = AttributeIn | SameAttributes | AttributePresent
Condition: TypeAlias = Compared | LabelIn | QuantityPresent | Opposite | Joined | Always | AttributeCondition


def parts(condition: Condition) -> list[Condition]:
    """The condition and every condition that it is made of."""
    if isinstance(condition, Opposite):
        return [condition, *parts(condition.of)]
    if isinstance(condition, Joined):
        return [condition, *(each for item in condition.items for each in parts(item))]
    return [condition]


def attributes(condition: Condition) -> set[str]:
    """The names of the attributes that the condition looks at."""
    found: set[str] = set()
    for part in parts(condition):
        if isinstance(part, AttributeIn | AttributePresent):
            found.add(part.name)
        elif isinstance(part, SameAttributes):
            found |= {part.left, part.right}
        elif isinstance(part, Compared):
            found |= _attributes(part.left) | _attributes(part.right)
        elif isinstance(part, QuantityPresent):
            found |= _attributes(part.of)
    return found


def _attributes(quantity: Quantity) -> set[str]:
    if isinstance(quantity, AttributeNumber):
        return {quantity.name}
    if isinstance(quantity, Arithmetic):
        return _attributes(quantity.left) | _attributes(quantity.right)
    return set()


def dimensions(condition: Condition) -> set[str]:
    """The dimensions whose labels the condition looks at."""
    return {part.dimension for part in parts(condition) if isinstance(part, LabelIn)}
