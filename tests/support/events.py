"""Events as a producer sends them, written by hand: so many days after the start of the random histories."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.histories import START, written

Log = list[dict[str, Any]]


def at(days: float) -> str:
    """So many days after the start."""
    return written(START + timedelta(days=days))


def event(number: int, days: float, kind: str = "purchase", customer: str = "c1", **more: object) -> dict[str, Any]:
    """One event of a customer."""
    body = {"type": kind, "event_id": f"e{number}", "customer_id": customer, "occurred_at": at(days)}
    return body | ({"order_id": "o", "amount": "60"} if kind == "purchase" else {}) | more


def bought_now(number: int, customer: str) -> dict[str, Any]:
    """A purchase of this moment."""
    return event(number, 0, customer=customer, occurred_at=written(datetime.now(UTC)))


def alias(number: int, days: float, customer: str, previous: str) -> dict[str, Any]:
    """On that day, the previous one is the customer."""
    return event(number, days, "alias", customer, previous_id=previous)
