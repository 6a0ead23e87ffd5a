"""The days a customer bought on, as far as they are remembered.

How the contract is read:

- A day is one of UTC, whatever offset a time was written with.
- "A 64-day mask behind the latest purchase day" are the latest day and the 63 before it, one bit each, as with the
  slots of cadence. A purchase of a day in the mask is told apart exactly. One of an older day counts as a new day, also
  where that day had been counted before: the only fact that can depend on the order of events.
- Every purchase makes its day one, whatever was paid and whatever is returned later.
"""

from dataclasses import dataclass, field
from datetime import datetime

from tests.oracle.times import EPOCH

REMEMBERED_DAYS = 64


@dataclass(kw_only=True)
class PurchaseDays:
    """How many distinct days there were, those still remembered, and what was paid on the first."""

    count: int = 0
    remembered: set[int] = field(default_factory=set)
    first: int | None = None
    first_minor: int = 0

    def apply(self, moment: datetime, paid_minor: int) -> None:
        """Take one purchase."""
        day = (moment - EPOCH).days
        self.count += day not in self.remembered
        latest = max(self.remembered | {day})
        self.remembered = {each for each in self.remembered | {day} if each > latest - REMEMBERED_DAYS}

        if self.first is None or day < self.first:
            self.first, self.first_minor = day, paid_minor
        elif day == self.first:
            self.first_minor += paid_minor
