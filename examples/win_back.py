"""Lists customers to win back: those whose latest lifecycle label is at_risk, by the money they have spent.

    python examples/win_back.py changes.jsonl

Reads what `segflow run --output changes.jsonl` wrote: one change a line, each customer's in order.
"""

import json
import sys
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

Change = dict[str, Any]


def at_risk(lines: Iterable[str]) -> list[Change]:
    """Each customer's latest change of lifecycle, where that led to at_risk; who spent most comes first."""
    latest: dict[str, Change] = {}
    for change in map(json.loads, lines):
        if change["dimension"] == "lifecycle":
            latest[change["customer_id"]] = change
    silent = [change for change in latest.values() if change["current"] == "at_risk" and not change["holdout"]]
    return sorted(silent, key=lambda change: Decimal(change["facts"]["monetary"]), reverse=True)


def main(file: str) -> None:
    """Print the list."""
    print(f"{'customer':<10}{'spent':>8}{'orders':>8}  {'last order':<12}{'at risk since':<15}rfm")
    for change in at_risk(Path(file).read_text(encoding="utf-8").splitlines()):
        facts = change["facts"]
        print(
            f"{change['customer_id']:<10}{facts['monetary']:>8}{facts['frequency']:>8}"
            f"  {facts['last_purchase_at'][:10]:<12}{change['effective_at'][:10]:<15}{change['segments']['rfm']}"
        )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python win_back.py CHANGES.jsonl")
    main(sys.argv[1])
