"""The job that every peer does, in words and as the naive answer that its output is held to.

**The job.** One topic of purchases, keyed by customer. Of each customer remember how many purchases there were, their
sum in cents, and the latest and the second latest `occurred_at`. After each purchase the customer has a label:

- `reactivated` where the latest purchase came 60 days or more after the one before it; else
- `loyal` from the fifth purchase on; else `active` from the second on; else `new`.

Each time the label differs from the one before (none at first), publish one record with the customer's key: who, both
labels, when the purchase occurred, and the count, the sum and the latest purchase as they are after it. What is
remembered survives the end of the process.

These are the labels of segflow's `lifecycle` at the moment of a purchase. Silence is left out of the job: several peers
have no timers. The history is shorter than the 60 days after which silence is news, so that there is none to tell;
segflow keeps its timers all the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from segflow.segments.instant import DAY_US, EPOCH, MICROSECOND

HISTORY_DAYS: Final = 30
"""Shorter than the 60 days of the job: nobody falls silent."""
REACTIVATED_GAP_US: Final = 60 * DAY_US
LOYAL_FROM: Final = 5
ACTIVE_FROM: Final = 2


class Purchase(msgspec.Struct, gc=False):
    """The fields of an event that the job reads."""

    customer_id: str
    occurred_at: str
    amount: str


class Change(NamedTuple):
    """A change of label, as every peer must publish it."""

    previous: str | None
    current: str
    effective_us: int
    orders: int
    amount_minor: int
    latest_us: int


@dataclass(slots=True)
class Customer:
    """The job's state of one customer."""

    orders: int = 0
    amount_minor: int = 0
    latest_us: int | None = None
    before_us: int | None = None
    label: str | None = None

    def buy(self, at_us: int, amount_minor: int) -> Change | None:
        """One purchase; the change it makes, if any."""
        self.orders += 1
        self.amount_minor += amount_minor
        times = sorted(time for time in (self.latest_us, self.before_us, at_us) if time is not None)
        self.latest_us = times[-1]
        self.before_us = times[-2] if len(times) > 1 else None
        previous, self.label = self.label, self._label()
        if self.label == previous:
            return None
        return Change(previous, self.label, at_us, self.orders, self.amount_minor, self.latest_us)

    def _label(self) -> str:
        if (
            self.latest_us is not None
            and self.before_us is not None
            and self.latest_us - self.before_us >= REACTIVATED_GAP_US
        ):
            return "reactivated"
        if self.orders >= LOYAL_FROM:
            return "loyal"
        return "active" if self.orders >= ACTIVE_FROM else "new"


class Expected(NamedTuple):
    """A change and the event that makes it."""

    change: Change
    partition: int
    offset: int


@dataclass(slots=True)
class Answer:
    """The job done one event at a time: what must be published, by customer and in order."""

    customers: dict[str, Customer] = field(default_factory=dict)
    changes: dict[str, list[Expected]] = field(default_factory=dict)
    count: int = 0  # changes
    ends: dict[int, int] = field(default_factory=dict)  # events by partition, which is the offset of the next
    _decoder: msgspec.json.Decoder[Purchase] = field(default_factory=lambda: msgspec.json.Decoder(Purchase))

    def take(self, values: Iterable[bytes], partitions: Iterable[int]) -> None:
        """Events in the order in which they were sent, each with its partition."""
        for value, partition in zip(values, partitions, strict=True):
            event = self._decoder.decode(value)
            offset = self.ends.get(partition, 0)
            self.ends[partition] = offset + 1
            who = event.customer_id
            customer = self.customers.setdefault(who, Customer())
            change = customer.buy(to_us(event.occurred_at), to_minor(event.amount))
            if change is not None:
                self.changes.setdefault(who, []).append(Expected(change, partition, offset))
                self.count += 1

    @property
    def events(self) -> int:
        """The number of events."""
        return sum(self.ends.values())


def to_us(text: str) -> int:
    """RFC 3339 to microseconds since the epoch."""
    return (datetime.fromisoformat(text) - EPOCH) // MICROSECOND


def to_minor(amount: str) -> int:
    """A decimal with at most two places to cents."""
    whole, _, cents = amount.partition(".")
    return int(whole) * 100 + int(cents.ljust(2, "0") if cents else 0)
