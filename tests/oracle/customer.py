"""What is remembered of one customer, and what stays of one who was erased.

How the contract is read, for `erase`:

- Silence has its say first: step 1, as for any event. Then each dimension that has a label goes to null, effective at
  the erase or at the time already concluded, the later. The receipts show what is known then: no segments, no facts,
  nothing to come. Their cause has no `event_id`.
- Of whom nothing is held there is no receipt; what is older stays out all the same.
- Out stays what happened before the erase (not at its time), and an erase of that very time: the same one, sent again.
  The clock moves with it, as with a duplicate.
- Everything goes: event ids, too, and what had happened after an erase that came late. Who comes back is at null in
  every dimension, since the receipts' time; versions go on, and so does the time up to which they are concluded.
- An erasure is forgotten once the clock (the event that comes counted in) has come so far from it; then even an older
  event is one of a new customer, who begins at version 1 and at the neutral labels.
"""

from collections import deque
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from tests.oracle.facts import Facts
from tests.oracle.models import instants_of_silence, labels_at, neutral_of
from tests.oracle.rules import OracleRules
from tests.oracle.times import EPOCH, written_time

MONEY_TYPES = frozenset({"purchase", "refund", "payment", "feedback"})
OTHER_TYPES = frozenset({"interaction", "profile", "alias", "erase"})
# How many event ids a customer's record remembers: the contract's numbers.
MONEY_IDS = 16
OTHER_IDS = 8
# How many orders refunded in full it remembers.
REFUNDED_ORDERS = 8


@dataclass(kw_only=True)
class Customer:
    """What is remembered of one customer; `concluded_at` is c of the contract."""

    customer_id: str
    labels: dict[str, str | None]
    facts: Facts = field(default_factory=Facts)
    label_since: dict[str, datetime] = field(default_factory=dict)
    version: int = 0
    concluded_at: datetime | None = None
    money_ids: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=MONEY_IDS))
    other_ids: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=OTHER_IDS))
    refunded_orders: deque[str] = field(default_factory=lambda: deque(maxlen=REFUNDED_ORDERS))

    @classmethod
    def new(cls, customer_id: str, rules: OracleRules) -> Self:
        """Return a customer of whom nothing is known yet."""
        return cls(customer_id=customer_id, labels={each: neutral_of(each, rules) for each in rules.dimensions})

    def has_seen(self, identity: tuple[str, str]) -> bool:
        """Return whether an event with this id is remembered, of whatever type."""
        return identity in self.money_ids or identity in self.other_ids

    def is_duplicate(self, body: Mapping[str, Any]) -> bool:
        """Return whether an event was told before: by its id, or as a full refund of an order that has had one."""
        return self.has_seen(identity_of(body)) or (is_full_refund(body) and body["order_id"] in self.refunded_orders)

    def ids_remembered_with(self, event_type: str) -> deque[tuple[str, str]]:
        """Return the latest event ids, as applied, that share a memory with this type."""
        if event_type in MONEY_TYPES:
            return self.money_ids
        if event_type in OTHER_TYPES:
            return self.other_ids
        message = f"the oracle knows no events of type {event_type}"
        raise ValueError(message)

    def next_turn(self, rules: OracleRules) -> tuple[datetime, str] | None:
        """Return when silence first changes a label, and the first dimension it changes then; None for never."""
        for instant in instants_of_silence(self.facts, rules):
            if self.concluded_at is None or instant <= self.concluded_at:
                continue
            for dimension, label in labels_at(self.facts, instant, rules).items():
                if label != self.labels[dimension]:
                    return instant, dimension
        return None

    def shown_next(self, rules: OracleRules) -> dict[str, str] | None:
        """Return what silence will bring, as a change shows it."""
        turn = self.next_turn(rules)
        if turn is None:
            return None
        instant, dimension = turn
        label = labels_at(self.facts, instant, rules)[dimension]
        return {"dimension": dimension, "label": label, "at": written_time(instant)}


@dataclass(frozen=True, kw_only=True)
class Erased:
    """What stays of a customer who was erased: when that was, the receipts' time, version and dimensions.

    `receipts_at` is also the time up to which the customer is concluded; None where nothing was held.
    """

    at: datetime
    receipts_at: datetime | None
    version: int
    dimensions: frozenset[str]


NEVER_HELD = Erased(at=EPOCH, receipts_at=None, version=0, dimensions=frozenset())


def left_behind(customer: Customer, at: datetime, told: Sized) -> Erased:
    """Return what stays of a customer who was taken away at some time, and was told so in so many changes."""
    dimensions = frozenset(customer.labels)
    return Erased(at=at, receipts_at=at, version=customer.version + len(told), dimensions=dimensions)


def is_full_refund(body: Mapping[str, Any]) -> bool:
    """Return whether an event takes an order back as a whole."""
    return body["type"] == "refund" and bool(body.get("full"))


def identity_of(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return what an event's repeats have in common."""
    return body.get("source") or "", body["event_id"]
