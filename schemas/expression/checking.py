"""The checker of rules: from a syntax tree to its meaning. What does not fit together is an error with its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Final, NoReturn

from segflow.schemas import duration
from segflow.schemas.expression import syntax
from segflow.schemas.expression.meaning import (
    Always,
    Arithmetic,
    AttributeIn,
    AttributeNumber,
    AttributePresent,
    Compared,
    Condition,
    Constant,
    Fact,
    Joined,
    LabelIn,
    Opposite,
    Quantity,
    QuantityPresent,
    SameAttributes,
    Scalar,
)
from segflow.schemas.expression.syntax import Attribute, ExpressionError, Flag, Name, Node, Number, Span, Text

SPAN_MAX_US: Final = duration.LONGEST // duration.UNITS["us"]
EXACT_MAX: Final = 2**61
"""Sums of times that may become larger than this are computed with floats instead of overflowing."""
NUMBER_MAX: Final = 1e100
"""Constants of an expression reach no further, and durations not beyond SPAN_MAX_US: nothing that means anything is as
large, and no product of two leaves the range of a float."""


class Kind(Enum):
    """The two kinds of quantity."""

    NUMBER = "a number"
    SPAN = "a duration"


FACTS: Final = {
    "idle": Kind.SPAN,
    "recency": Kind.SPAN,
    "tenure": Kind.SPAN,
    "frequency": Kind.NUMBER,
    "monetary": Kind.NUMBER,
    "purchases": Kind.NUMBER,
    "full_refunds": Kind.NUMBER,
}
"""The facts that expressions may name, with their kinds. Names are those of a change's `facts` where it has them."""
MOVING: Final = frozenset({"idle", "recency", "tenure"})
"""Facts that grow as time passes."""
RESERVED: Final = syntax.KEYWORDS | FACTS.keys()
"""Names that a dimension cannot have."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """A checked quantity.

    kind: number or duration. moves: it changes as time passes. bound: of an exact sum of times, the largest absolute
    value in microseconds; None for all others.
    """

    quantity: Quantity
    kind: Kind
    moves: bool = False
    bound: int | None = None


def check(text: str, labels: Mapping[str, tuple[str, ...]], others: Mapping[str, str]) -> Condition:
    """The meaning of an expression.

    Args:
        text: the expression.
        labels: the dimensions it may look at, with their labels.
        others: names it may not use, each with the reason.

    Raises:
        ExpressionError: the text is no expression, or its parts do not fit together.
    """
    return _Checker(text, labels, others).condition(syntax.parse(text))


class _Checker:
    def __init__(self, text: str, labels: Mapping[str, tuple[str, ...]], others: Mapping[str, str]) -> None:
        self._text, self._labels, self._others = text, labels, others

    def _fail(self, node: Node, problem: str) -> NoReturn:
        raise ExpressionError(self._text, node.at, problem)

    def condition(self, node: Node) -> Condition:
        """The condition of a node."""
        found: Condition
        match node:
            case syntax.Junction(word=word, items=items):
                found = Joined(any=word == "or", items=tuple(self.condition(item) for item in items))
            case syntax.Not(of=of):
                found = Opposite(self.condition(of))
            case syntax.Comparison():
                found = self._comparison(node)
            case syntax.In():
                found = self._membership(node)
            case syntax.Present(of=of, negated=negated):
                found = self._present(of)
                found = Opposite(found) if negated else found
            case Flag(value=value):
                found = Always(value)
            case Attribute(name=name):
                found = AttributeIn(name, (True,), negated=False)
            case Name(name=name) if name in self._labels:
                self._fail(node, f"{name} has labels: compare it, as in {name} == '{self._labels[name][0]}'")
            case _:
                self._fail(node, "is no condition: compare it with something")
        return found

    def _present(self, node: Node) -> Condition:
        if isinstance(node, Attribute):
            return AttributePresent(node.name)
        return QuantityPresent(self._measured(node).quantity)

    def _comparison(self, node: syntax.Comparison) -> Condition:
        left, right, sign = node.left, node.right, node.sign
        if self._is_plain(left) and not self._is_plain(right):
            left, right, sign = right, left, {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(sign, sign)
        if sign in ("==", "!="):
            negated = sign == "!="
            if isinstance(left, Name) and self._has_labels(left):
                return self._label(left, (right,), negated=negated)
            if isinstance(left, Attribute) and isinstance(right, Attribute):
                return SameAttributes(left.name, right.name, negated)
            if isinstance(left, Attribute) and isinstance(right, Text | Flag):
                return AttributeIn(left.name, (self._scalar(right),), negated)
        for side in (left, right):
            if isinstance(side, Text | Flag) or (isinstance(side, Name) and self._has_labels(side)):
                self._fail(node, "texts, labels, true and false are compared with == and != only, and with their like")
        return self._compared(node, sign, self._measured(left), self._measured(right))

    def _compared(self, node: Node, sign: str, left: _Measured, right: _Measured) -> Compared:
        if left.kind != right.kind:
            self._fail(node, f"{left.kind.value} cannot be compared with {right.kind.value}{_hint(left, right)}")
        moves = left.moves or right.moves
        if moves and sign in ("==", "!="):
            self._fail(node, "what changes as time passes is equal for a moment only: compare with >= or <")
        return Compared(sign, left.quantity, right.quantity, moves)

    def _membership(self, node: syntax.In) -> Condition:
        if isinstance(node.of, Name) and self._has_labels(node.of):
            return self._label(node.of, node.items, negated=node.negated)
        if isinstance(node.of, Attribute):
            return AttributeIn(node.of.name, tuple(self._scalar(item) for item in node.items), node.negated)
        left = self._measured(node.of)
        sign = "!=" if node.negated else "=="
        items = tuple(self._compared(item, sign, left, self._measured(item)) for item in node.items)
        return Joined(any=not node.negated, items=items)

    def _label(self, name: Name, items: tuple[Node, ...], *, negated: bool) -> Condition:
        labels = self._labels[name.name]
        wanted = set()
        for item in items:
            if not isinstance(item, Text):
                self._fail(item, f"{name.name} is compared with its labels in quotes, as in '{labels[0]}'")
            if item.text not in labels:
                self._fail(item, f"{name.name} has no label {item.text!r}: it has {', '.join(labels)}")
            wanted.add(item.text)
        return LabelIn(name.name, frozenset(labels) - wanted if negated else frozenset(wanted))

    def _has_labels(self, name: Name) -> bool:
        if name.name in self._labels:
            return True
        if name.name not in FACTS:
            known = ", ".join([*FACTS, *self._labels])
            reason = self._others.get(name.name, f"{name.name!r} is nothing known: there are attributes.…, {known}")
            self._fail(name, reason)
        return False

    def _is_plain(self, node: Node) -> bool:
        """Whether a node is a literal, which goes to the right of a comparison."""
        return isinstance(node, Number | Span | Text | Flag)

    def _scalar(self, node: Node) -> Scalar:
        if isinstance(node, Text):
            return node.text
        if isinstance(node, Flag):
            return node.value
        number = self._measured(node)
        if number.kind is not Kind.NUMBER or not isinstance(number.quantity, Constant):
            self._fail(node, "an attribute is compared with texts, numbers, true and false")
        return float(number.quantity.value)

    def _measured(self, node: Node) -> _Measured:
        match node:
            case Number(text=text):
                found = self._constant(node, Fraction(text), Kind.NUMBER)
            case Span(us=us):
                found = _Measured(Constant(us), Kind.SPAN, bound=us)
            case Attribute(name=name):
                found = _Measured(AttributeNumber(name), Kind.NUMBER)
            case Name(name=name):
                if self._has_labels(node):
                    self._fail(node, f"{name} has labels, and is no number")
                bound = SPAN_MAX_US if FACTS[name] is Kind.SPAN else None
                found = _Measured(Fact(name), FACTS[name], moves=name in MOVING, bound=bound)
            case syntax.Negative(of=of):
                whole = self._measured(of)
                found = self._sum(node, "-", _Measured(Constant(0), whole.kind, bound=0), whole)
            case syntax.Sum(sign=sign, left=left, right=right) if sign in "+-":
                found = self._sum(node, sign, self._measured(left), self._measured(right))
            case syntax.Sum(sign=sign, left=left, right=right):
                found = self._product(node, sign, self._measured(left), self._measured(right))
            case _:
                self._fail(node, "is no number and no duration")
        return found

    def _sum(self, node: Node, sign: str, left: _Measured, right: _Measured) -> _Measured:
        if left.kind is not right.kind:
            self._fail(node, f"{left.kind.value} and {right.kind.value} do not add up{_hint(left, right)}")
        exact = left.bound is not None and right.bound is not None and left.kind is Kind.SPAN
        bound = (left.bound or 0) + (right.bound or 0) if exact else None
        if bound is not None and bound > EXACT_MAX:
            bound = None
        if isinstance(left.quantity, Constant) and isinstance(right.quantity, Constant):
            one, other = Fraction(left.quantity.value), Fraction(right.quantity.value)
            return self._constant(node, one + other if sign == "+" else one - other, left.kind)
        quantity = Arithmetic(sign, left.quantity, right.quantity, exact=bound is not None)
        return _Measured(quantity, left.kind, left.moves or right.moves, bound)

    def _constant(self, node: Node, value: Fraction, kind: Kind) -> _Measured:
        """A constant: of durations whole microseconds where they are, else a float.

        Raises:
            ExpressionError: it is larger than anything it could be compared with.
        """
        if kind is Kind.NUMBER:
            if abs(value) > NUMBER_MAX:
                self._fail(node, f"is a number beyond {NUMBER_MAX:.0e}, which nothing reaches")
            return _Measured(Constant(float(value)), kind)
        if abs(value) > SPAN_MAX_US:
            self._fail(node, f"is a duration beyond {duration.to_text(duration.LONGEST)}, which nothing reaches")
        if value.denominator == 1:
            return _Measured(Constant(int(value)), kind, bound=abs(int(value)))
        return _Measured(Constant(float(value)), kind)

    def _product(self, node: Node, sign: str, left: _Measured, right: _Measured) -> _Measured:
        if right.moves and (sign == "/" or left.moves):
            self._fail(node, "what changes as time passes can be multiplied with and divided by what does not, only")
        if sign == "*" and left.kind is right.kind is Kind.SPAN:
            self._fail(node, "durations cannot be multiplied with each other")
        if sign == "/" and right.kind is Kind.SPAN and left.kind is Kind.NUMBER:
            self._fail(node, "a number cannot be divided by a duration")
        spans = (left.kind is Kind.SPAN) + (right.kind is Kind.SPAN)
        kind = Kind.SPAN if spans == 1 else Kind.NUMBER
        if isinstance(left.quantity, Constant) and isinstance(right.quantity, Constant):
            if sign == "/" and right.quantity.value == 0:
                self._fail(node, "is divided by zero")
            one, other = Fraction(left.quantity.value), Fraction(right.quantity.value)
            return self._constant(node, one * other if sign == "*" else one / other, kind)
        quantity = Arithmetic(sign, left.quantity, right.quantity, exact=False)
        return _Measured(quantity, kind, left.moves or right.moves)


def _hint(left: _Measured, right: _Measured) -> str:
    """The end of an error message: the way to write a duration."""
    if any(isinstance(side.quantity, AttributeNumber) for side in (left, right)):
        return ": an attribute of days is attributes.x * 1d"
    return ": durations are written with a unit, as in 45d"
