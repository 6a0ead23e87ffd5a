"""The job (benchmarks/peers/job.py) over plain dicts, shared by the peers written in Python."""

from datetime import datetime, timedelta
from typing import Any, Final

REACTIVATED_GAP: Final = timedelta(days=60)


def nobody() -> dict[str, Any]:
    """A customer before the first purchase."""
    return {"orders": 0, "amount_minor": 0, "latest": None, "before": None, "label": None}


def buy(customer: dict[str, Any], event: dict[str, Any]) -> dict[str, Any] | None:
    """Add a purchase to `customer`, in place; returns the change to publish, if the label changes.

    Times are kept as they come: all are in UTC with microseconds, so that their texts are in the order of time.
    """
    at = event["occurred_at"]
    whole, _, cents = event["amount"].partition(".")
    customer["orders"] += 1
    customer["amount_minor"] += int(whole) * 100 + int(cents)
    if customer["latest"] is None or at >= customer["latest"]:
        customer["before"], customer["latest"] = customer["latest"], at
    elif customer["before"] is None or at > customer["before"]:
        customer["before"] = at
    previous, label = customer["label"], _label(customer)
    if label == previous:
        return None
    customer["label"] = label
    return {
        "customer_id": event["customer_id"],
        "previous": previous,
        "current": label,
        "effective_at": at,
        "orders": customer["orders"],
        "amount_minor": customer["amount_minor"],
        "last_purchase_at": customer["latest"],
    }


def _label(customer: dict[str, Any]) -> str:
    before = customer["before"]
    if before and datetime.fromisoformat(customer["latest"]) - datetime.fromisoformat(before) >= REACTIVATED_GAP:
        return "reactivated"
    if customer["orders"] >= 5:
        return "loyal"
    return "active" if customer["orders"] >= 2 else "new"
