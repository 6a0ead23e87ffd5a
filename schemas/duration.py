"""Durations as text: a whole number and a unit, as in 60d, 36h, 90s, 500ms."""

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

UNITS: Final = {
    "us": timedelta(microseconds=1),
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
LONGEST: Final = timedelta(days=3_652_059)
"""The longest duration: the calendar, years 1 to 9999. No two times are further apart, and it fits 64 bits of
microseconds."""
PATTERN: Final = r"^\s*(\d{1,9})\s*(us|ms|s|m|h|d|w)\s*$"


def parse(value: object) -> timedelta:
    """A duration from text such as "60d"; a timedelta passes through.

    Raises:
        ValueError: the text is no whole number with one of the units us, ms, s, m, h, d, w, or is beyond LONGEST.
    """
    if isinstance(value, timedelta):
        return value
    found = re.match(PATTERN, value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(
            f"{value!r} is no duration: write a whole number and a unit (us, ms, s, m, h, d, w), as in 60d"
        )
    if int(found[1]) > LONGEST // UNITS[found[2]]:
        raise ValueError(f"{value!r} is longer than the calendar, {LONGEST.days}d")
    return int(found[1]) * UNITS[found[2]]


def to_text(span: timedelta) -> str:
    """The shortest text that `parse` reads back as `span`."""
    for unit in reversed(UNITS):
        if span % UNITS[unit] == timedelta(0):
            return f"{span // UNITS[unit]}{unit}"
    raise AssertionError("a timedelta is a whole number of microseconds")


Duration = Annotated[
    timedelta,
    BeforeValidator(parse),
    PlainSerializer(to_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ["60d", "500ms"]}),
]
