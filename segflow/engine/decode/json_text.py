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
COMMA: Final = re.compile(r",[ \t\n\r]*")
CLOSED: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
"""A whole string."""
STRING: Final = re.compile(f"{CLOSED.pattern}?", re.DOTALL)
"""A string, also one that the text ends in."""


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


def why_not(error: ValueError, text: str) -> str:
    """The error that `read` raised for a text, in words that do not change with the version of Python."""
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    comma = COMMA.match(text, error.pos)  # since 3.13 Python points at one in excess, before at what follows it
    at = comma.end() if comma else error.pos
    if at >= len(text) or (text[at] == '"' and not CLOSED.match(text, at)):
        return f"it ends too early, after {len(text)} characters" if text else "it is empty"
    return f"it goes wrong at character {at + 1} of {len(text)}"


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
