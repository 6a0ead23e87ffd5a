"""What the demo tells at the end."""

from typing import Final

from segflow.demo.board import Board, Change
from segflow.operations.printable import printable

EXAMPLES: Final = 5


def summary(board: Board) -> str:
    """Events, customers, changes by dimension and label, and who became at-risk."""
    lines = [f"{board.sent:,} events of {board.customers:,} customers made {board.changes:,} changes"]
    for dimension, labels in board.labels.items():
        counts = sorted(((board.moved_to[dimension, label], label) for label in labels), reverse=True)
        counted = ", ".join(f"{label} {count:,}" for count, label in counts if count)
        lines.append(f"  {dimension}: {counted or 'none'}")
    if "lifecycle" in board.labels:
        lines += _at_risk(board)
    return "\n".join(lines)


def _at_risk(board: Board) -> list[str]:
    times = board.moved_to["lifecycle", "at_risk"]
    heading = (
        f"{len(board.ever_at_risk):,} customers became at-risk, {times:,} times in all; {len(board.at_risk):,} are now"
    )
    best = sorted(board.at_risk.values(), key=_worth)[:EXAMPLES]
    return [heading + (", who have spent the most:" if best else ""), *map(_customer, best)]


def _worth(change: Change) -> tuple[float, str]:
    """Sorts the customer who spent most first."""
    return -float(change["facts"]["monetary"]), change["customer_id"]


def _customer(change: Change) -> str:
    facts = change["facts"]
    orders = "1 order" if facts["frequency"] == 1 else f"{facts['frequency']} orders"
    move = f"{change['previous']} → at_risk on {change['effective_at'][:10]}"
    since = f"silent since {facts['last_purchase_at'][:10]}"
    worth = f"{orders}, {facts['monetary']} {change['currency']}"
    return f"  customer {printable(change['customer_id'])}: {move}, {since}; {worth}"
