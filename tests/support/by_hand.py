"""Logs for the oracle written by hand, and what came of them in short."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.oracle.rules import OracleRules
from tests.oracle.simulation import Adopt, Change, Event, Sweep, final

DAY_0 = datetime(2026, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
RULES = OracleRules()

Item = Event | Sweep | Adopt


def day(number: float) -> datetime:
    """Return the moment that many days after the first of January 2026."""
    return DAY_0 + timedelta(days=number)


def event(event_type: str, event_id: str, occurred_at: datetime, customer: str = "c1", **fields: Any) -> Item:
    """Return an event of any type; what a payment or a profile needs is filled in."""
    body: dict[str, Any] = {
        "type": event_type,
        "event_id": event_id,
        "customer_id": customer,
        "occurred_at": occurred_at.isoformat(),
    }
    if event_type == "payment":
        body |= {"invoice_id": "i", "due_at": occurred_at.isoformat(), "amount": 1}
    elif event_type == "profile":
        body |= {"attributes": {}}
    return Event(body | fields)


def purchase(event_id: str, number: float, amount: str | int | Decimal = "10.00", **fields: Any) -> Item:
    """Return a purchase on that day."""
    return event("purchase", event_id, day(number), amount=amount, order_id=f"o-{event_id}", **fields)


def refund(event_id: str, number: float, amount: str = "10.00", **fields: Any) -> Item:
    """Return a refund on that day."""
    return event("refund", event_id, day(number), amount=amount, order_id=f"o-{event_id}", **fields)


def visit(event_id: str, number: float, **fields: Any) -> Item:
    """Return an interaction on that day, a visit unless another kind is given."""
    return event("interaction", event_id, day(number), **({"kind": "visit"} | fields))


def feedback(event_id: str, number: float, score: int, **fields: Any) -> Item:
    """Return a feedback on that day."""
    return event("feedback", event_id, day(number), score=score, **fields)


def payment(event_id: str, number: float, invoice: str, due: float, paid: float | None = None, **fields: Any) -> Item:
    """Return what is said on that day of an invoice due on another and paid on a third, or open."""
    dates = {"due_at": day(due).isoformat(), "paid_at": None if paid is None else day(paid).isoformat()}
    return event("payment", event_id, day(number), **({"invoice_id": invoice} | dates | fields))


def orders(count: int, number: float = 0, total: str = "0") -> list[Item]:
    """Return that many purchases on one day, the first of them paying the total."""
    return [purchase(f"{number}-{i}", number, total if i == 0 else "0") for i in range(count)]


def only(dimension: str) -> OracleRules:
    """Return the default rules with that one dimension."""
    return OracleRules(dimensions=(dimension,))


def moves(changes: list[Change]) -> list[tuple[str, str, str | None, str | None, str]]:
    """Return each change in short: day, dimension, previous, current, cause."""
    return [(c["effective_at"][:10], c["dimension"], c["previous"], c["current"], c["cause"]["kind"]) for c in changes]


def segment(log: list[Item], dimension: str, rules: OracleRules = RULES) -> str:
    """Return what c1 is after the log."""
    label: str = final(log, rules)["c1"]["segments"][dimension]
    return label


def facts(log: list[Item], rules: OracleRules = RULES) -> dict[str, Any]:
    """Return c1's facts after the log."""
    shown: dict[str, Any] = final(log, rules)["c1"]["facts"]
    return shown
