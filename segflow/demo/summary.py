"""The summary that the demo prints at the end."""

from typing import Final

from segflow.demo.dashboard import Change, Dashboard
from segflow.operations.printable import printable

EXAMPLES: Final = 5


def summary(dashboard: Dashboard) -> str:
    """Lines of text: events, customers, changes by dimension and label, and the customers who became at-risk."""
    lines = [f"{dashboard.sent:,} events of {dashboard.customers:,} customers made {dashboard.changes:,} changes"]
    for dimension, labels in dashboard.labels.items():
        counts = sorted(((dashboard.moved_to[dimension, label], label) for label in labels), reverse=True)
        counted = ", ".join(f"{label} {count:,}" for count, label in counts if count)
        lines.append(f"  {dimension}: {counted or 'none'}")
    if "lifecycle" in dashboard.labels:
        lines += _at_risk(dashboard)
    return "\n".join(lines)


def _at_risk(dashboard: Dashboard) -> list[str]:
    times = dashboard.moved_to["lifecycle", "at_risk"]
    ever, now = len(dashboard.ever_at_risk), len(dashboard.at_risk)
    heading = f"{ever:,} customers became at-risk, {times:,} times in all; {now:,} are now"
    best = sorted(dashboard.at_risk.values(), key=_worth)[:EXAMPLES]
    return [heading + (", who have spent the most:" if best else ""), *map(_customer, best)]


def _worth(change: Change) -> tuple[float, str]:
    """A sort key that puts the customer who spent most first."""
    return -float(change["facts"]["monetary"]), change["customer_id"]


def _customer(change: Change) -> str:
    facts = change["facts"]
    orders = "1 order" if facts["frequency"] == 1 else f"{facts['frequency']} orders"
    move = f"{change['previous']} → at_risk on {change['effective_at'][:10]}"
    since = f"silent since {facts['last_purchase_at'][:10]}"
    worth = f"{orders}, {facts['monetary']} {change['currency']}"
    return f"  customer {printable(change['customer_id'])}: {move}, {since}; {worth}"
