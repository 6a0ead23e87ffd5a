"""Random rules, and what they say of one customer at one moment: read plainly, in Python's own arithmetic."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from segflow.schemas.expression import syntax
from segflow.schemas.expression.checking import check
from segflow.schemas.expression.syntax import ExpressionError, Node

DAY_US = 86_400_000_000
NAMES = ("a", "b", "c")
"""Attributes."""
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ORDER = st.sampled_from(["<", "<=", ">", ">="])
ANY = st.sampled_from(list(COMPARE))
MOVING = ("idle", "recency", "tenure")


class UndecidableError(Exception):
    """So close to a whole second, or to equality, that a double cannot tell its side."""


def joined(*parts: str | st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts behind one another."""
    return st.tuples(*(st.just(part) if isinstance(part, str) else part for part in parts)).map(" ".join)


attribute = st.sampled_from([f"attributes.{name}" for name in NAMES] + ["attributes['c']"])
constants = st.sampled_from(["0", "1", "2", "2.5", "70", "-3", "0.1"])
numbers = st.recursive(
    constants | attribute | st.sampled_from(["frequency", "monetary", "purchases", "full_refunds"]),
    lambda inner: joined("(", inner, st.sampled_from("+-*/"), inner, ")") | joined("-", inner),
    max_leaves=3,
)
spans = st.sampled_from(["30d", "45d", "1d", "12h", "90s", "3 * 10d", "1w / 2", "0d", "500ms", "1us", "0.1 * 1s"])
still_spans = spans | joined(numbers, "* 1d") | joined("1d *", attribute) | joined("30d + 1h *", attribute)
moving = st.recursive(
    st.sampled_from(MOVING),
    lambda inner: (
        joined("(", inner, st.sampled_from("+-"), still_spans, ")")
        | joined("(", still_spans, st.sampled_from("+-"), inner, ")")
        | joined("(", inner, st.sampled_from("+-"), inner, ")")
        | joined("(", inner, "*", st.sampled_from(["2", "0.5", "attributes.a", "-1"]), ")")
        | joined("-", inner)
    ),
    max_leaves=3,
)
scalars = st.sampled_from(["'DE'", "'AT'", "''", "1", "2.5", "true", "false", "70"])


def labels(dimensions: Mapping[str, tuple[str, ...]]) -> st.SearchStrategy[str]:
    """Conditions on the labels of other dimensions."""
    if not dimensions:
        return st.nothing()

    def of(name: str) -> st.SearchStrategy[str]:
        label = st.sampled_from([f"'{each}'" for each in dimensions[name]])
        some = st.lists(label, min_size=1, max_size=3).map(", ".join)
        return (
            joined(name, st.sampled_from(["==", "!="]), label)
            | joined(label, "==", name)
            | joined(name, st.sampled_from(["in", "not in"]), "[", some, "]")
        )

    return st.sampled_from(sorted(dimensions)).flatmap(of)


def divides_by_zero(text: str, dimensions: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether it is refused because a constant is divided by zero; nothing else here is refused."""
    try:
        check(text, dimensions, {})
    except ExpressionError as error:
        return "divided by zero" in error.problem
    return False


def conditions(dimensions: Mapping[str, tuple[str, ...]]) -> st.SearchStrategy[str]:
    """Conditions over everything there is."""
    listed = st.lists(scalars, min_size=1, max_size=3).map(", ".join)
    single = (
        joined(numbers, ANY, numbers)
        | joined(moving, ORDER, still_spans)
        | joined(still_spans, ORDER, moving)
        | joined(moving, "/ 1d", ORDER, numbers)
        | joined(attribute, st.sampled_from(["==", "!="]), scalars | attribute)
        | joined(attribute, st.sampled_from(["in", "not in"]), "[", listed, "]")
        | joined(numbers, st.sampled_from(["in [1, 2.5]", "not in [2, 70]"]))
        | joined(attribute | numbers | moving, st.sampled_from(["is present", "is not present"]))
        | attribute
        | st.sampled_from(["true", "false"])
        | labels(dimensions)
    )
    return st.recursive(
        single,
        lambda inner: (
            joined("(", inner, st.sampled_from(["and", "or"]), inner, ")")
            | joined("not", inner)
            | joined(inner, "and", inner, "or", inner)
        ),
        max_leaves=5,
    ).filter(lambda text: not divides_by_zero(text, dimensions))


@dataclass(frozen=True, kw_only=True)
class One:
    """One customer at one moment: facts by the names of rules, spans in microseconds; what is absent is not there."""

    at_us: int
    last_us: int | None
    first_us: int | None
    numbers: Mapping[str, float]
    attributes: Mapping[str, bool | float | str]
    labels: Mapping[str, str]


def holds(node: Node, one: One) -> bool:  # noqa: C901, PLR0911, PLR0912 - one case a kind of node
    """Whether a condition, as it was read, holds of the customer.

    Raises:
        UndecidableError: a double cannot tell.
    """
    match node:
        case syntax.Junction(word=word, items=items):
            every = [holds(item, one) for item in items]  # all of them: any may be undecidable
            return any(every) if word == "or" else all(every)
        case syntax.Not(of=of):
            return not holds(of, one)
        case syntax.Flag(value=value):
            return value
        case syntax.Attribute(name=name):
            return one.attributes.get(name) is True
        case syntax.Present(of=of, negated=negated):
            return (value_of(of, one) is not None) != negated
        case syntax.In(of=of, items=items, negated=negated):
            value = value_of(of, one)
            listed = [value_of(item, one) for item in items]
            if not any(alike(value, item) for item in listed):
                return False
            return any(same(value, item) for item in listed) != negated
    assert isinstance(node, syntax.Comparison)
    if moves(node.left) or moves(node.right):
        return at_a_moment(node, one)
    left, right = value_of(node.left, one), value_of(node.right, one)
    if isinstance(node.left, syntax.Attribute) and isinstance(node.right, syntax.Attribute):
        if node.sign in ("==", "!="):
            return alike(left, right) and same(left, right) == (node.sign == "==")
        left, right = number(left), number(right)
    if left is None or right is None:
        return False
    if node.sign in ("==", "!="):
        if is_plain(node.left) or is_plain(node.right):
            return alike(left, right) and same(left, right) == (node.sign == "==")
        left, right = number(left), number(right)
    else:
        left, right = number(left), number(right)
    return left is not None and right is not None and COMPARE[node.sign](left, right)


def is_plain(node: Node) -> bool:
    """A text, true or false, or the name of a dimension."""
    return isinstance(node, syntax.Text | syntax.Flag)


def alike(left: Any, right: Any) -> bool:
    """Both texts, both numbers, or both true or false; what is absent is like nothing."""

    def kind(value: Any) -> type:
        return type(value) if isinstance(value, bool | str) else float

    return left is not None and right is not None and kind(left) is kind(right)


def same(left: Any, right: Any) -> bool:
    """Equal, and of one kind: true is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def number(value: Any) -> float | int | None:
    """The value if it is a number."""
    return None if isinstance(value, bool | str) else value


def moves(node: Node) -> bool:
    """Whether it says anything of time."""
    match node:
        case syntax.Name(name=name):
            return name in MOVING
        case syntax.Negative(of=of):
            return moves(of)
        case syntax.Sum(left=left, right=right):
            return moves(left) or moves(right)
    return False


def is_sum_of_times(node: Node) -> bool:
    """Made of times by addition alone, but for constants that are whole microseconds."""
    match node:
        case _ if is_constant(node):
            return isinstance(constant(node), int)
        case syntax.Name(name=name):
            return name in MOVING
        case syntax.Negative(of=of):
            return is_sum_of_times(of)
        case syntax.Sum(sign=sign, left=left, right=right) if sign in "+-":
            return is_sum_of_times(left) and is_sum_of_times(right)
    return False


def is_constant(node: Node) -> bool:
    """Made of numbers and durations alone."""
    match node:
        case syntax.Span() | syntax.Number():
            return True
        case syntax.Negative(of=of):
            return is_constant(of)
        case syntax.Sum(left=left, right=right):
            return is_constant(left) and is_constant(right)
    return False


def is_span(node: Node) -> bool:
    """Whether a constant is a duration."""
    match node:
        case syntax.Negative(of=of):
            return is_span(of)
        case syntax.Sum(sign=sign, left=left, right=right) if sign in "*/":
            return is_span(left) != is_span(right)
        case syntax.Sum(left=left):
            return is_span(left)
    return isinstance(node, syntax.Span)


def constant(node: Node) -> Any:
    """The value of a constant; whole microseconds stay whole, also those of a product."""
    match node:
        case syntax.Number(text=text):
            return float(text)
        case syntax.Span(us=us):
            return us
        case syntax.Negative(of=of):
            return 0 - constant(of)
    assert isinstance(node, syntax.Sum)
    left, right = constant(node.left), constant(node.right)
    if node.sign in "+-":
        return left + right if node.sign == "+" else left - right
    value = Fraction(left) * Fraction(right) if node.sign == "*" else Fraction(left) / Fraction(right)
    return int(value) if is_span(node) and value.denominator == 1 else float(value)


def value_of(node: Node, one: One) -> Any:  # noqa: C901, PLR0911 - one case a kind of node
    """A value now, in floats and whole microseconds; None: absent."""
    match node:
        case syntax.Number(text=text):
            return float(text)
        case syntax.Span(us=us):
            return us
        case syntax.Text(text=text):
            return text
        case syntax.Flag(value=value):
            return value
        case syntax.Attribute(name=name):
            return one.attributes.get(name)
        case syntax.Name(name=name) if name in MOVING:
            since = one.first_us if name == "tenure" else one.last_us
            return None if since is None else one.at_us - since
        case syntax.Name(name=name):
            return one.labels[name] if name in one.labels else one.numbers[name]
        case syntax.Negative(of=of):
            whole = number(value_of(of, one))
            return None if whole is None else 0 - whole
    assert isinstance(node, syntax.Sum)
    left, right = number(value_of(node.left, one)), number(value_of(node.right, one))
    if left is None or right is None or (node.sign == "/" and right == 0):
        return None
    if is_constant(node):
        return constant(node)
    return {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}[node.sign](left, right)


def line(node: Node, one: One) -> tuple[Fraction, Fraction] | None:  # noqa: PLR0911 - one case a kind of node
    """A quantity at the moment, exactly, and its slope in a microsecond; None: absent."""
    if isinstance(node, syntax.Negative):
        whole = line(node.of, one)
        return None if whole is None else (-whole[0], -whole[1])
    if not isinstance(node, syntax.Sum):
        value = number(value_of(node, one))
        return None if value is None else (Fraction(value), Fraction(int(moves(node))))
    if node.sign in "*/" and not moves(node):
        value = number(value_of(node, one))
        return None if value is None else (Fraction(value), Fraction(0))
    left, right = line(node.left, one), line(node.right, one)
    if left is None or right is None or (node.sign == "/" and right[0] == 0):
        return None
    if node.sign == "+":
        return left[0] + right[0], left[1] + right[1]
    if node.sign == "-":
        return left[0] - right[0], left[1] - right[1]
    if node.sign == "/":
        return left[0] / right[0], left[1] / right[0]
    return left[0] * right[0], left[1] * right[0] + left[0] * right[1]


def at_a_moment(node: syntax.Comparison, one: One) -> bool:
    """A comparison of what moves: sums of times as written, else from the whole second at or after the crossing."""
    left, right = line(node.left, one), line(node.right, one)
    if left is None or right is None:
        return False
    value, slope = left[0] - right[0], left[1] - right[1]
    exact = is_sum_of_times(node.left) and is_sum_of_times(node.right)
    if slope == 0 or exact:
        if not exact and 0 < abs(value) < (1 + abs(left[0])) / 1_000_000:
            raise UndecidableError
        return COMPARE[node.sign](value, 0)
    crossing_s = (one.at_us - value / slope) / 1_000_000
    off = abs(crossing_s - round(crossing_s))
    if 0 < off < Fraction(1, 1000):
        raise UndecidableError
    crossed = one.at_us // 1_000_000 >= crossing_s
    return crossed == ((slope > 0) == (node.sign in (">", ">=")))
