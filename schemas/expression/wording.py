"""The parts of a condition as text: expressions of the same meaning, as people would write them."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Final

from segflow.schemas import duration
from segflow.schemas.expression.checking import FACTS, Kind
from segflow.schemas.expression.meaning import (
    Always,
    Arithmetic,
    AttributeIn,
    AttributeNumber,
    AttributePresent,
    Compared,
    Constant,
    Fact,
    LabelIn,
    Quantity,
    QuantityPresent,
    SameAttributes,
    Scalar,
)

Single = Compared | LabelIn | QuantityPresent | Always | AttributeIn | SameAttributes | AttributePresent
"""A condition without parts that are conditions."""
DAY_US: Final = timedelta(days=1) // timedelta(microseconds=1)
PLAIN_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def condition_text(condition: Single) -> str:
    """The condition as an expression. Durations that are no whole microseconds are rounded, for people only."""
    match condition:
        case Compared(sign=sign, left=left, right=right):
            spans = is_span(left) or is_span(right)
            text = f"{quantity_text(left, span=spans)} {sign} {quantity_text(right, span=spans)}"
        case LabelIn(dimension=dimension, labels=labels):
            text = f"{dimension} {_one_of([_quoted(label) for label in sorted(labels)])}"
        case AttributeIn(name=name, values=values, negated=negated):
            text = f"{attribute_text(name)} {_one_of([scalar_text(value) for value in values], negated=negated)}"
        case SameAttributes(left=name, right=other, negated=negated):
            text = f"{attribute_text(name)} {'!=' if negated else '=='} {attribute_text(other)}"
        case AttributePresent(name=name):
            text = f"{attribute_text(name)} is present"
        case QuantityPresent(of=of):
            text = f"{quantity_text(of, span=is_span(of))} is present"
        case Always(value=value):
            text = scalar_text(value)
    return text


def quantity_text(quantity: Quantity, *, span: bool) -> str:
    """A quantity as an expression; `span`: it is a duration."""
    match quantity:
        case Constant(value=value):
            return _span_text(value) if span else f"{Decimal(repr(value)):f}".removesuffix(".0")
        case Fact(name=name):
            return name
        case AttributeNumber(name=name):
            return attribute_text(name)
        case Arithmetic(sign=sign, left=left, right=right):
            parts = []
            for place, side in enumerate((left, right)):
                # Of a product that is a duration, one factor is a duration: this side, if the other is none.
                of_product = is_span(side) or (span and not is_span(right if side is left else left))
                text = quantity_text(side, span=span if sign in "+-" else of_product)
                parts.append(f"({text})" if _in_brackets(sign, side, last=place == 1) else text)
            return f" {sign} ".join(parts)


def attribute_text(name: str) -> str:
    """An attribute as an expression."""
    return f"attributes.{name}" if PLAIN_NAME.fullmatch(name) else f"attributes[{_quoted(name)}]"


def scalar_text(value: Scalar) -> str:
    """A text, a number, true or false as an expression."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(value) if isinstance(value, str) else quantity_text(Constant(value), span=False)


def is_span(quantity: Quantity) -> bool:
    """Whether a quantity is known to be a duration. A constant shows it only as whole microseconds other than 0."""
    match quantity:
        case Constant(value=value):
            return isinstance(value, int) and value != 0  # the 0 that a sign is subtracted from has no kind
        case Fact(name=name):
            return FACTS[name] is Kind.SPAN
        case AttributeNumber():
            return False
        case Arithmetic(sign=sign, left=left, right=right):
            if sign == "/":
                return is_span(left) and not is_span(right)
            return is_span(left) or is_span(right)


def leaves(quantity: Quantity) -> list[Fact | AttributeNumber]:
    """The facts and attributes of a quantity, each once."""
    match quantity:
        case Constant():
            return []
        case Arithmetic(left=left, right=right):
            return list(dict.fromkeys([*leaves(left), *leaves(right)]))
        case Fact() | AttributeNumber():
            return [quantity]


def _in_brackets(sign: str, side: Quantity, *, last: bool) -> bool:
    """Whether a side of `sign` needs brackets to be read as one."""
    if not isinstance(side, Arithmetic):
        return False
    return (sign in "*/") if side.sign in "+-" and not last else last and not (sign in "+-" and side.sign in "*/")


def _span_text(us: float) -> str:
    if us < 0:
        return f"-{_span_text(-us)}"
    if us == int(us) and us <= duration.LONGEST // duration.UNITS["us"]:
        return duration.to_text(timedelta(microseconds=int(us))) if us else "0d"
    return f"{us / DAY_US:.6g} * 1d"


def _one_of(texts: list[str], *, negated: bool = False) -> str:
    if len(texts) == 1:
        return f"{'!=' if negated else '=='} {texts[0]}"
    return f"{'not ' if negated else ''}in [{', '.join(texts)}]"


def _quoted(text: str) -> str:
    return f'"{text}"' if "'" in text else f"'{text}'"
