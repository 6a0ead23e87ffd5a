"""A seeded random stream of a few customers: everything the contract allows, and some of what it does not."""

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from tests.support.events import Log
from tests.support.histories import START, written

PURCHASES: Final = "purchases"
INTERACTIONS: Final = "interactions"
BAD: Final = "#bad"
"""Stands in every record that cannot be used, where it has a value: told without the product's help."""
AMOUNTS: Final = ("0", "0.005", "49.99", "50", 99.99, "250", "1e3", "12345.678")
STEP_HOURS: Final = 8
"""The longest time between two events: with 60 customers, of whom some are heard of often, others fall silent."""
LEAPS: Final = timedelta(days=700)
"""The time that a stream covers in such steps; then it goes on by seconds. On a slow machine it flows for minutes, and
must not reach the future."""
SMALL_STEP_US: Final = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One record of an input topic."""

    role: str  # PURCHASES or INTERACTIONS
    customer: str  # decides the partition
    key: bytes | None
    value: bytes | None


def records_of(log: Log) -> list[Record]:
    """Events as records of their topics."""
    return [
        Record(
            role=PURCHASES if body["type"] == "purchase" else INTERACTIONS,
            customer=body["customer_id"],
            key=body["customer_id"].encode(),
            value=json.dumps(body).encode(),
        )
        for body in log
    ]


def unusable(customer: str, number: int, random: Random) -> Record:
    """One record of a random kind that must become a dead letter."""
    key = customer.encode()
    event = {"type": "purchase", "event_id": f"b{number}", "customer_id": customer, "occurred_at": written(START)}
    event |= {"order_id": "o", "amount": "1", "channel": BAD}
    kinds: list[tuple[bytes | None, bytes | None]] = [
        (key, b"\xff" + BAD.encode()),
        (key, b"{" + BAD.encode()),
        (key, json.dumps([BAD]).encode()),
        (key, json.dumps({"type": "purchase", "note": BAD}).encode()),
        (key, json.dumps(event | {"type": "sale"}).encode()),
        (key, json.dumps(event | {"occurred_at": "2024-03-01T00:00:00"}).encode()),
        (key, json.dumps(event | {"amount": "-1"}).encode()),
        (key, json.dumps(event | {"amount": float("nan")}).encode()),
        (key, json.dumps(event | {"currency": "XXX"}).encode()),
        (key, json.dumps(event | {"type": "interaction", "kind": "visit"}).encode()),  # the wrong topic
        (key, json.dumps(event | {"channel": BAD + "x" * 70_000}).encode()),  # over the size limit
        (b"another", json.dumps(event).encode()),
        (None, json.dumps(event).encode()),
        (key, None),
    ]
    chosen, value = random.choice(kinds)
    return Record(role=PURCHASES, customer=customer, key=chosen, value=value)


def misplaced(customer: str, number: int) -> Record:
    """A purchase with nothing wrong with it, for a partition that is not its key's: there it is a dead letter."""
    event = {"type": "purchase", "event_id": f"m{number}", "customer_id": customer, "occurred_at": written(START)}
    value = json.dumps(event | {"order_id": "o", "amount": "1", "channel": BAD}).encode()
    return Record(role=PURCHASES, customer=customer, key=customer.encode(), value=value)


class Stream:
    """An endless stream; the same seed gives the same.

    Time moves on with each event. Among them: late events, ties, refunds, repeats, repeats with another content, and
    one in thirty that cannot be used.
    """

    def __init__(self, seed: int, customers: int = 60, step_hours: float = STEP_HOURS) -> None:
        self._random = Random(seed)
        self._step_us = int(step_hours * 3_600_000_000)
        self._customers = [f"c{number}" for number in range(customers)]
        self._moment = START
        self._number = 0
        self._latest: deque[Record] = deque(maxlen=20)

    def take(self, count: int) -> list[Record]:
        """The next `count` records."""
        return [self._next() for _ in range(count)]

    def __iter__(self) -> Iterator[Record]:
        """All that follow."""
        while True:
            yield self._next()

    def _next(self) -> Record:
        random = self._random
        self._number += 1
        if random.random() < 0.03:
            return unusable(random.choice(self._customers), self._number, random)
        if self._latest and random.random() < 0.04:
            return self._again(random.choice(self._latest))
        record = self._event()
        self._latest.append(record)
        return record

    def _again(self, before: Record) -> Record:
        """The same event once more, half the time with another content: the first counts."""
        event = json.loads(before.value or b"{}")
        if self._random.random() < 0.5 and "amount" in event:
            event["amount"] = "77.77"
        return Record(role=before.role, customer=before.customer, key=before.key, value=json.dumps(event).encode())

    def _event(self) -> Record:
        random = self._random
        if random.random() > 0.05:  # else a tie
            step_us = self._step_us if self._moment < START + LEAPS else SMALL_STEP_US
            self._moment += timedelta(microseconds=random.randrange(step_us))
        moment: datetime = self._moment
        if random.random() < 0.05:
            moment -= timedelta(hours=random.randrange(100 * 24))
        customer = self._customers[int(len(self._customers) * random.random() ** 3)]
        kind = random.choice(
            ["purchase"] * 18
            + ["refund", "feedback", "payment", "profile"] * 3
            + ["interaction"] * 6
            + ["erase"]  # rarely: what is forgotten can show nothing
        )
        event: dict[str, Any] = {
            "type": kind,
            "event_id": f"e{self._number}",
            "customer_id": customer,
            "occurred_at": written(moment),
        }
        event |= self._fields(kind, event["occurred_at"])
        role = PURCHASES if kind in ("purchase", "refund") else INTERACTIONS
        return Record(role=role, customer=customer, key=customer.encode(), value=json.dumps(event).encode())

    def _fields(self, kind: str, occurred_at: str) -> dict[str, Any]:
        """What an event of that type says beside what all say."""
        match kind:
            case "purchase":
                return {"order_id": "o", "amount": self._random.choice(AMOUNTS)}
            case "refund":
                return {"order_id": "o", "amount": "5.01", "full": self._random.random() < 0.5}
            case "interaction":
                return {"kind": "visit"}
            case "feedback":
                return {"score": self._random.randrange(11)}
            case "payment":
                return {"invoice_id": "i", "due_at": occurred_at, "amount": 5}
        return {"attributes": {"a": 1}}
