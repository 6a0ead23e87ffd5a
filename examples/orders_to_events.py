"""Turn a shop's export of orders (CSV) into segflow events (JSON Lines).

    python examples/orders_to_events.py examples/orders.csv > orders.jsonl

Columns: order, placed_at (RFC 3339 with an offset), customer, total (what was paid), discount. Each order becomes one
event of type purchase. Its event_id is made of the order's number, so that sending a file twice counts each order once.
"""

import csv
import json
import sys
from pathlib import Path


def purchase(row: dict[str, str]) -> dict[str, str]:
    """The event of one order. Adapt this function to the columns of your own export."""
    return {
        "type": "purchase",
        "event_id": f"order-{row['order']}",
        "customer_id": row["customer"],
        "occurred_at": row["placed_at"],
        "order_id": row["order"],
        "amount": row["total"],
        "discount": row["discount"],
    }


def main(file: str) -> None:
    """Write the events of `file`, in the order of its rows, to standard output."""
    with Path(file).open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            print(json.dumps(purchase(row)))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python orders_to_events.py ORDERS.csv > EVENTS.jsonl")
    main(sys.argv[1])
