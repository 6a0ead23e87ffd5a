"""payment: pays on time, slowly, or owes.

How the contract is read:

- "Past `due_at`" begins at `due_at` itself, as every limit is reached at its value: an invoice that is open then is
  overdue from that moment on. Who pays at that very moment has paid in time: late is `paid_at > due_at`.
- A settled invoice is judged by the dates of the statement that settled it, whenever that came: `paid_at` may lie
  before or after the `occurred_at` of its statement.
- The first statement with a `paid_at` settles an invoice; whatever is said of it afterwards, open or paid, says nothing
  as long as it is among the last 16 settled, as applied. After that it is a new one.
- Of several open statements of one invoice the one with the latest `occurred_at` holds (a new date to pay by), at equal
  times the earliest `due_at`.
- The share is that of all invoices ever settled, not of the 16 remembered. Without a settled one it is zero: who owes
  and has time left is `good`.
- While 8 are open, another open one is not tracked and never makes overdue; once paid it counts like any other.
- Invoices belong to their customer: the same `invoice_id` elsewhere is another one. Amounts are not looked at.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any

from tests.oracle.rules import OracleRules
from tests.oracle.times import read_time

# The contract's bounds.
OPEN_TRACKED = 8
SETTLED_REMEMBERED = 16


@dataclass(kw_only=True)
class Invoices:
    """One customer's invoices: (`occurred_at`, `due_at`) of each open one, and what became of the others."""

    due: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    last_settled: deque[str] = field(default_factory=lambda: deque(maxlen=SETTLED_REMEMBERED))
    settled: int = 0
    late: int = 0
    refused: int = 0

    def apply(self, body: Mapping[str, Any]) -> None:
        """Take one statement."""
        invoice: str = body["invoice_id"]
        said_at, due_at = read_time(body["occurred_at"]), read_time(body["due_at"])
        if invoice in self.last_settled:
            return
        if body.get("paid_at") is not None:
            self.due.pop(invoice, None)
            self.last_settled.append(invoice)
            self.settled += 1
            self.late += read_time(body["paid_at"]) > due_at
        elif invoice in self.due:
            before = self.due[invoice]
            if said_at > before[0] or (said_at == before[0] and due_at < before[1]):
                self.due[invoice] = (said_at, due_at)
        elif len(self.due) < OPEN_TRACKED:
            self.due[invoice] = (said_at, due_at)
        else:
            self.refused += 1


def payment_label(invoices: Invoices, at: datetime, rules: OracleRules) -> str:
    """Return the first that holds of: something overdue, no invoices, too many paid late."""
    if any(at >= due_at for _, due_at in invoices.due.values()):
        return "overdue"
    if not invoices.due and not invoices.settled:
        return "unknown"
    if invoices.settled and Fraction(invoices.late, invoices.settled) > rules.slow_share:
        return "slow"
    return "good"


def payment_instants(invoices: Invoices) -> Iterator[datetime]:
    """Yield when each open invoice is due."""
    for _, due_at in invoices.due.values():
        yield due_at
