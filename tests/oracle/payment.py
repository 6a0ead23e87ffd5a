"""payment: pays on time, slowly, or owes.

How the contract is read:

- "Past `due_at`" begins at `due_at` itself, as every limit is reached at its value: an invoice that is open then is
  overdue from that moment on. Who pays at that very moment has paid in time: late is `paid_at > due_at`.
- Whatever statement has a `paid_at` settles its invoice, for good: no open one, early or late, opens it again.
- Of several statements the order must not matter. Of the open ones that with the latest `occurred_at` says when it is
  due, at equal times the earliest `due_at`; of the paid ones likewise the latest says whether it was late, at equal
  times the late one. `paid_at` itself may lie before or after its statement's `occurred_at`.
- The 16 settled ones remembered are those whose statements happened last. A paid statement of a forgotten one counts
  as another invoice.
- The share is that of all invoices ever settled, not of the 16 remembered. Without a settled one it is zero: who owes
  and has time left is `good`.
- Refused is an open statement of an unknown invoice while 8 are open, or while 16 settled ones are remembered that all
  happened later (it may be one of the forgotten). It is a dead letter: nothing changes, the clock included. A repeat is
  none, and paid statements are never refused.
- Invoices belong to their customer: the same `invoice_id` elsewhere is another one. Amounts are not looked at.
"""

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
    """One customer's invoices: (`occurred_at`, `due_at`) of the open ones, (`occurred_at`, late) of those settled."""

    due: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    last_settled: dict[str, tuple[datetime, bool]] = field(default_factory=dict)
    settled: int = 0
    late: int = 0

    def refuses(self, body: Mapping[str, Any]) -> bool:
        """Return whether a statement has no place."""
        if body.get("paid_at") is not None or body["invoice_id"] in {*self.due, *self.last_settled}:
            return False
        said_at = read_time(body["occurred_at"])
        all_later = all(said_at < settled_at for settled_at, _ in self.last_settled.values())
        return len(self.due) >= OPEN_TRACKED or (len(self.last_settled) >= SETTLED_REMEMBERED and all_later)

    def apply(self, body: Mapping[str, Any]) -> None:
        """Take one statement that is not refused."""
        invoice: str = body["invoice_id"]
        said_at, due_at = read_time(body["occurred_at"]), read_time(body["due_at"])
        if body.get("paid_at") is not None:
            self._settle(invoice, said_at, read_time(body["paid_at"]) > due_at)
        elif invoice not in self.last_settled:
            before = self.due.get(invoice)
            if before is None or said_at > before[0] or (said_at == before[0] and due_at < before[1]):
                self.due[invoice] = (said_at, due_at)

    def _settle(self, invoice: str, said_at: datetime, late: bool) -> None:
        """Take a statement of a payment."""
        self.due.pop(invoice, None)
        before = self.last_settled.get(invoice)
        if before is None:
            self.settled += 1
        elif before < (said_at, late):
            self.late -= before[1]
        else:
            return
        self.late += late
        self.last_settled[invoice] = (said_at, late)
        if len(self.last_settled) > SETTLED_REMEMBERED:
            del self.last_settled[min(self.last_settled, key=lambda each: self.last_settled[each][0])]


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
