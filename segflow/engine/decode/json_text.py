"""Reading JSON so that the same text is read alike whenever it is read, whatever it holds."""

import json
import re
from decimal import Decimal, InvalidOperation
from itertools import accumulate
from typing import Any, Final, NoReturn

NESTING_MAX: Final = 200
"""Arrays and objects in one another. JSON readers stop where the call stack happens to end, which differs from call to
call; this is well before, so that a record that was read once is read the same whenever it is read again."""
WHOLE_DIGITS_MAX: Final = 600
"""Longer whole numbers become decimals: Python refuses to make an int of some thousand digits, JSON has no limit."""
STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


def is_utf8(value: bytes) -> bool:
    """Asked beforehand: msgspec does not look into the fields it skips."""
    if value.isascii():
        return True
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def is_shallow(value: bytes) -> bool:
    """Whether nothing in it can be nested deeper than NESTING_MAX, by counting: brackets come in pairs."""
    return len(value) <= 2 * NESTING_MAX or value.count(b"[") + value.count(b"{") <= NESTING_MAX


def nesting(text: str) -> int:
    """The deepest nesting of arrays and objects, where `text` is JSON."""
    brackets = re.findall(r"[\[\]{}]", STRING.sub("", text))
    return max(accumulate((1 if bracket in "[{" else -1 for bracket in brackets), initial=0))


def read(text: str) -> Any:
    """The value; numbers are ints and Decimals.

    Raises:
        ValueError: it is not JSON.
    """
    return json.loads(text, parse_float=_decimal, parse_int=_whole, parse_constant=_no_constant)


def _decimal(text: str) -> Decimal:
    """A JSON number; one whose exponent no Decimal holds is not finite, and no field takes it."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")


def _whole(text: str) -> int | Decimal:
    return int(text) if len(text) <= WHOLE_DIGITS_MAX else Decimal(text)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
