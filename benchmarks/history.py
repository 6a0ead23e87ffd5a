"""A made-up commerce history: events of many customers in ascending event time, quick to write."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from segflow.operations.line_files import Lines
from segflow.segments.instant import DAY_US

BEGIN_US: Final = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z."""
DAYS: Final = 90
"""So that customers pass deadlines on the way: R of rfm falls at 30 days, at_risk comes at 60."""
PURCHASE_SHARE: Final = 0.8
SLICE: Final = 50_000
"""Events made at once: some 10 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """`events` events in which each of `customers` customers appears at least once. The same seed, the same bytes."""

    customers: int
    events: int
    seed: int = 1
    days: int = DAYS
    purchase_share: float = PURCHASE_SHARE

    def lines(self) -> Iterator[Lines]:
        """The events as JSON Lines, in slices."""
        draw = np.random.default_rng(self.seed)
        more = draw.integers(0, self.customers, max(0, self.events - self.customers))
        who = draw.permutation(np.concatenate([np.arange(self.customers), more])[: self.events])
        at_us = BEGIN_US + np.arange(self.events) * (self.days * DAY_US // self.events)
        buys = draw.random(self.events) < self.purchase_share
        cents = np.minimum(draw.lognormal(8.2, 0.9, self.events).astype(np.int64), 10**6)  # a median of 36 euros
        for start in range(0, self.events, SLICE):
            rows = slice(start, start + SLICE)
            times = np.datetime_as_string(at_us[rows].astype("datetime64[us]"), unit="us").tolist()
            values = [
                purchase(number, customer, time, paid) if bought else view(number, customer, time)
                for number, customer, time, bought, paid in zip(
                    range(start, start + len(times)),
                    who[rows].tolist(),
                    times,
                    buys[rows].tolist(),
                    cents[rows].tolist(),
                    strict=True,
                )
            ]
            yield Lines(file="history", numbers=range(start, start + len(values)), values=values, done_bytes=0)


def purchase(number: int, customer: int, time: str, paid_cents: int) -> bytes:
    """A purchase of 190 bytes."""
    return (
        b'{"event_id":"event-%09d","type":"purchase","customer_id":"c%09d","occurred_at":"%bZ","channel":"web",'
        b'"order_id":"order-%09d","amount":"%d.%02d","currency":"EUR"}'
        % (number, customer, time.encode(), number, paid_cents // 100, paid_cents % 100)
    )


def view(number: int, customer: int, time: str) -> bytes:
    """An interaction of 140 bytes."""
    return (
        b'{"event_id":"event-%09d","type":"interaction","customer_id":"c%09d","occurred_at":"%bZ","channel":"web",'
        b'"kind":"view"}' % (number, customer, time.encode())
    )
