"""The language of rules: what an expression says of one customer at one moment, and when time alone could change it.

How the contract is read:

- A value is a number, a span of time, a text or a yes/no; spans are written `45d` (units w, d, h, m, s, ms, us).
  Numbers are exact decimals, never floats.
- A comparison with what is absent is false, `!=` and `not in` too; so is one of two kinds (a text with a number): an
  attribute of another kind than the rule expects is as good as absent. `not` turns false into true in any case.
- Absent are attributes never told or removed, times since a purchase where there was none, what is computed from
  absent or from another kind than it needs, and what is divided by zero.
- A value that stands where yes or no is wanted counts as no unless it is a yes.
- Where a comparison of times needs sums and differences only, it changes at the exact microsecond. Where anything in it
  was multiplied or divided, its crossing is a computed one: it changes at the first whole second (UTC) at or after the
  crossing, and holds before and from there on whatever it does on that side of the crossing.
- `attributes.x is present` is true of every value, `is not present` its opposite.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor
from typing import Any, Literal

from tests.oracle.times import EPOCH, MICROSECOND

UNIT_US = {
    unit: span // MICROSECOND
    for unit, span in {
        "w": timedelta(weeks=1),
        "d": timedelta(days=1),
        "h": timedelta(hours=1),
        "m": timedelta(minutes=1),
        "s": timedelta(seconds=1),
        "ms": timedelta(milliseconds=1),
        "us": timedelta(microseconds=1),
    }.items()
}
SECOND_US = 1_000_000
# A text, which is left alone, or a span.
TEXT_OR_SPAN = re.compile(r"""('[^']*'|"[^"]*")|(?<![\w.])(\d+(?:\.\d+)?)(ms|us|[wdhms])\b""")


@dataclass(frozen=True)
class Quantity:
    """A number, or a span in microseconds; `slope` is what it grows by in a microsecond in which nothing happens.

    `is_computed` where something was multiplied or divided on the way.
    """

    kind: Literal["number", "span"]
    amount: Fraction
    slope: Fraction = Fraction(0)
    is_computed: bool = False


# None is absent.
Value = Quantity | str | bool | None


@dataclass(kw_only=True)
class Scope:
    """What an expression may look at, at a moment; the crossings met while it is evaluated are noted down.

    `crossings` are the microseconds at which, or after which, a comparison changes; `computed` are the computed ones
    before they are taken to the whole second.
    """

    at: datetime
    attributes: Mapping[str, Any]
    names: Mapping[str, Value]
    crossings: set[int] = field(default_factory=set)
    computed: set[Fraction] = field(default_factory=set)


def holds(text: str, scope: Scope) -> bool:
    """Return whether an expression is true."""
    return evaluate(parsed(text), scope) is True


def instants_of(scope: Scope) -> Iterator[datetime]:
    """Yield when a comparison that was evaluated in this scope, at whatever moment, may begin or end to hold."""
    for crossing_us in scope.crossings:
        for microseconds in (crossing_us, crossing_us + 1):
            try:
                yield EPOCH + timedelta(microseconds=microseconds)
            except OverflowError:
                continue


@lru_cache(maxsize=1000)
def parsed(text: str) -> ast.expr:
    """Return the syntax tree, spans written as calls. SyntaxError where it is none of Python's expressions."""

    def span_as_call(match: re.Match[str]) -> str:
        return match[1] or f"span({match[2]!r}, {match[3]!r})"

    return ast.parse(TEXT_OR_SPAN.sub(span_as_call, text.replace("\n", " ").strip()), mode="eval").body


def evaluate(node: ast.expr, scope: Scope) -> Value:
    """Return what a node is. ValueError for what is no part of a rule."""
    if isinstance(node, ast.BoolOp | ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
        return is_so(node, scope)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return negative(evaluate(node.operand, scope))
    if isinstance(node, ast.BinOp):
        return computed(node.op, evaluate(node.left, scope), evaluate(node.right, scope))
    return named(node, scope)


def is_so(node: ast.BoolOp | ast.Compare | ast.UnaryOp, scope: Scope) -> bool:
    """Return whether something is so; all of it is looked at, so that no crossing is missed."""
    match node:
        case ast.BoolOp(op=op, values=values):
            sides = [evaluate(value, scope) is True for value in values]
            return all(sides) if isinstance(op, ast.And) else any(sides)
        case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot() as op], comparators=[ast.Name(id="present")]):
            return (evaluate(left, scope) is not None) == isinstance(op, ast.Is)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            sides = [
                compared(one, op, other, scope)
                for one, op, other in zip([left, *comparators[:-1]], ops, comparators, strict=True)
            ]
            return all(sides)
        case ast.UnaryOp(operand=operand):
            return evaluate(operand, scope) is not True


def named(node: ast.expr, scope: Scope) -> Value:
    """Return what a name or a constant stands for."""
    match node:
        case ast.Attribute(value=ast.Name(id="attributes"), attr=name):
            return told(scope.attributes.get(name))
        case ast.Subscript(value=ast.Name(id="attributes"), slice=ast.Constant(value=str() as name)):
            return told(scope.attributes.get(name))
        case ast.Name(id="true" | "false" as name):
            return name == "true"
        case ast.Name(id=name) if name in scope.names:
            return scope.names[name]
        case ast.Constant(value=value):
            return told(Decimal(ast.unparse(node)) if isinstance(value, float) else value)
        case ast.Call(func=ast.Name(id="span"), args=[ast.Constant(value=count), ast.Constant(value=unit)]):
            return Quantity("span", Fraction(str(count)) * UNIT_US[str(unit)])
    raise ValueError(f"no part of a rule: {ast.unparse(node)}")


def told(value: Any) -> Value:
    """Return what an attribute or a constant is."""
    if value is None or isinstance(value, bool | str):
        return value
    return Quantity("number", Fraction(value))


def compared(left: ast.expr, op: ast.cmpop, right: ast.expr, scope: Scope) -> bool:
    """Return whether one comparison holds."""
    one = evaluate(left, scope)
    if isinstance(op, ast.In | ast.NotIn):
        others = [evaluate(element, scope) for element in ast.iter_child_nodes(right) if isinstance(element, ast.expr)]
        if not any(same_kind(one, other) for other in others):
            return False
        equal = [crossed(one, ast.Eq(), other, scope) for other in others]
        return any(equal) == isinstance(op, ast.In)
    return crossed(one, op, evaluate(right, scope), scope)


def same_kind(one: Value, other: Value) -> bool:
    """Return whether two values can be compared."""
    if isinstance(one, Quantity) and isinstance(other, Quantity):
        return one.kind == other.kind
    return one is not None and type(one) is type(other)


COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: lambda one, other: one == other,
    ast.NotEq: lambda one, other: one != other,
    ast.Lt: lambda one, other: one < other,
    ast.LtE: lambda one, other: one <= other,
    ast.Gt: lambda one, other: one > other,
    ast.GtE: lambda one, other: one >= other,
}


def crossed(one: Value, op: ast.cmpop, other: Value, scope: Scope) -> bool:
    """Return whether a comparison of two values holds, and note down the microsecond up to which they are unequal."""
    if not same_kind(one, other):
        return False
    compare = COMPARISONS[type(op)]
    if not isinstance(one, Quantity) or not isinstance(other, Quantity):
        return compare(one, other)
    if one.slope == other.slope:
        return compare(one.amount, other.amount)
    at_us = (scope.at - EPOCH) // MICROSECOND
    crossing_us = at_us + (other.amount - one.amount) / (one.slope - other.slope)
    if not (one.is_computed or other.is_computed):
        scope.crossings.add(floor(crossing_us))
        return compare(one.amount, other.amount)
    second_us = ceil(crossing_us / SECOND_US) * SECOND_US
    scope.crossings.add(second_us)
    scope.computed.add(crossing_us)
    is_rising = one.slope > other.slope
    return compare(1, 0) if is_rising == (at_us >= second_us) else compare(0, 1)


def computed(op: ast.operator, one: Value, other: Value) -> Value:
    """Return what arithmetic gives: spans add to spans, and are multiplied and divided by numbers, or by each other.

    ValueError where it would not be a line in time any more.
    """
    match op:
        case ast.Add():
            return added(one, other)
        case ast.Sub():
            return added(one, negative(other))
        case ast.Mult():
            return product(one, other)
        case ast.Div():
            return quotient(one, other)
    raise ValueError(f"no arithmetic of a rule: {type(op).__name__}")


def negative(value: Value) -> Value:
    """Return what a number or a span is below zero."""
    return replace(value, amount=-value.amount, slope=-value.slope) if isinstance(value, Quantity) else None


def added(one: Value, other: Value) -> Value:
    """Return the sum of two numbers or two spans."""
    if not isinstance(one, Quantity) or not isinstance(other, Quantity) or one.kind != other.kind:
        return None
    is_computed = one.is_computed or other.is_computed
    return Quantity(one.kind, one.amount + other.amount, one.slope + other.slope, is_computed)


def product(one: Value, other: Value) -> Value:
    """Return the product of two numbers, or of a number and a span."""
    if not isinstance(one, Quantity) or not isinstance(other, Quantity) or one.kind == other.kind == "span":
        return None
    if one.slope and other.slope:
        raise ValueError("time multiplied by time has no one crossing")
    slope = one.slope * other.amount + other.slope * one.amount
    return Quantity("number" if one.kind == other.kind else "span", one.amount * other.amount, slope, is_computed=True)


def quotient(one: Value, other: Value) -> Value:
    """Return what a number or a span is, divided by a number; or a span, by a span."""
    if not isinstance(one, Quantity) or not isinstance(other, Quantity) or (one.kind, other.kind) == ("number", "span"):
        return None
    if other.slope:
        raise ValueError("what is divided by time has no one crossing")
    if other.amount == 0:
        return None
    kind: Literal["number", "span"] = "number" if one.kind == other.kind else "span"
    return Quantity(kind, one.amount / other.amount, one.slope / other.amount, is_computed=True)
