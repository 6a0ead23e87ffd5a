"""What profiles told of a customer.

How the contract is read:

- Each attribute keeps the time at which it was told: the latest `occurred_at` wins, however the profiles came. A
  removal (null) keeps its time, too, so that an older profile does not bring the attribute back.
- Of two profiles at one moment that disagree, the order must not matter either: a value is kept against its removal,
  and of two values the greater one, a text being greater than a number and that greater than a yes or no.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

# When it was told, and what; None is a removal.
Attributes = dict[str, tuple[datetime, Any]]


def tell(attributes: Attributes, profile: Mapping[str, Any], told_at: datetime) -> None:
    """Take one profile."""
    for name, value in profile.items():
        before = attributes.get(name)
        if before is None or (told_at, rank(value)) > (before[0], rank(before[1])):
            attributes[name] = (told_at, value)


def rank(value: Any) -> tuple[int, Any]:
    """Return what decides between values told at one moment."""
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 1, value
    return (3, value) if isinstance(value, str) else (2, value)
