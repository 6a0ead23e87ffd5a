"""What a checked expression means: conditions that hold of a customer or not, and quantities that they compare.

A quantity is a number, or a duration in microseconds. It is absent where what it is made of is absent.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, or a duration in whole microseconds (an int)."""

    value: float | int


@dataclass(frozen=True, slots=True)
class Fact:
    """One of checking.FACTS."""

    name: str


@dataclass(frozen=True, slots=True)
class AttributeNumber:
    """An attribute that is a number; absent where it is not."""

    name: str


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """+ - * /. `exact`: a sum of times, in whole microseconds that fit 64 bits."""

    sign: str
    left: "Quantity"
    right: "Quantity"
    exact: bool


Quantity: TypeAlias = Constant | Fact | AttributeNumber | Arithmetic


@dataclass(frozen=True, slots=True)
class Compared:
    """left `sign` right; false where one is absent. `moves`: the difference changes as time passes."""

    sign: str
    left: Quantity
    right: Quantity
    moves: bool


@dataclass(frozen=True, slots=True)
class LabelIn:
    """The customer's label in another dimension is one of these."""

    dimension: str
    labels: frozenset[str]


Scalar: TypeAlias = bool | float | str


@dataclass(frozen=True, slots=True)
class AttributeIn:
    """The attribute is one of these values, or (`negated`) of the kind of one and none of them."""

    name: str
    values: tuple[Scalar, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class SameAttributes:
    """Both attributes are there, of one kind, and equal or (`negated`) not equal."""

    left: str
    right: str
    negated: bool


@dataclass(frozen=True, slots=True)
class AttributePresent:
    """The attribute is there."""

    name: str


@dataclass(frozen=True, slots=True)
class QuantityPresent:
    """The quantity is not absent."""

    of: Quantity


@dataclass(frozen=True, slots=True)
class Opposite:
    """The condition does not hold."""

    of: "Condition"


@dataclass(frozen=True, slots=True)
class Joined:
    """All of the conditions hold, or (`any`) one of them."""

    any: bool
    items: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Always:
    """It holds, or it does not."""

    value: bool


AttributeCondition: TypeAlias = AttributeIn | SameAttributes | AttributePresent
Condition: TypeAlias = Compared | LabelIn | QuantityPresent | Opposite | Joined | Always | AttributeCondition


def parts(condition: Condition) -> list[Condition]:
    """The condition, and every one that it is made of."""
    if isinstance(condition, Opposite):
        return [condition, *parts(condition.of)]
    if isinstance(condition, Joined):
        return [condition, *(each for item in condition.items for each in parts(item))]
    return [condition]


def attributes(condition: Condition) -> set[str]:
    """The names of the attributes it looks at."""
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
    """The dimensions whose labels it looks at."""
    return {part.dimension for part in parts(condition) if isinstance(part, LabelIn)}
