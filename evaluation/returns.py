"""Changes that are taken back: how often a customer is told apart today and put back tomorrow, having done nothing.

segflow run examples/cdnow.jsonl.gz --settings segflow.yaml --output changes.jsonl
python -m evaluation.returns changes.jsonl
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

SOON: Final = timedelta(hours=36)
"""Longer than the day from one re-cut to the next, shorter than two of them."""


@dataclass(frozen=True, slots=True)
class Returns:
    """Changes by dimension, and those of them that are returns.

    A return gives a customer the label that the change before took, within SOON and without a purchase since.
    """

    changes: Counter[str] = field(default_factory=Counter)
    returns: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, changes: Iterable[dict[str, Any]]) -> "Returns":
        """Count published changes, each customer's in their order."""
        found = cls()
        before: dict[tuple[str, str], dict[str, Any]] = {}
        for change in changes:
            dimension = change["dimension"]
            found.changes[dimension] += 1
            earlier = before.get((change["customer_id"], dimension))
            if earlier is not None and _is_return(earlier, change):
                found.returns[dimension] += 1
            before[change["customer_id"], dimension] = change
        return found

    @property
    def share(self) -> float:
        """Returns in all changes."""
        return self.returns.total() / self.changes.total()


def _is_return(earlier: dict[str, Any], change: dict[str, Any]) -> bool:
    latest_purchases = [each["facts"]["last_purchase_at"] for each in (earlier, change)]
    if earlier["previous"] != change["current"] or latest_purchases[0] != latest_purchases[1]:
        return False
    times = [datetime.fromisoformat(each["effective_at"]) for each in (earlier, change)]
    return times[1] - times[0] <= SOON


def main() -> None:
    """Print the table of a file of changes."""
    with Path(sys.argv[1]).open(encoding="utf-8") as file:
        found = Returns.of(map(json.loads, file))
    for dimension, count in found.changes.items():
        print(f"{dimension}: {found.returns[dimension]:,} of {count:,} changes are taken back")  # noqa: T201
    print(f"{found.returns.total():,} of {found.changes.total():,}, {found.share:.3%}")  # noqa: T201


if __name__ == "__main__":
    main()
