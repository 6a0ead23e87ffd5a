"""What becomes of two customers who are one: an `alias` says that `previous_id` is this customer.

How the contract is read, over the whole population, shards ignored: the merge happens in the step of the alias.

- An id redirects for good once it was a previous one: whatever comes under it is an event of the customer it became,
  with changes under that customer's id. Chains are followed to their end. So an alias of an id that has become this
  very customer (told again, a cycle, an id of itself), and an alias of an id that has become somebody else, merge
  nothing: the earlier one wins. They are then events without facts.
- An alias of an id of whom nothing is held merges nothing either, but the id redirects from then on.
- Both go through step 1 first, up to the alias or the clock, the later. Then every label of the previous customer goes
  to null, as with an erase, and this customer is classified with the facts of both; effective at the alias or at the
  time up to which either was concluded, the latest. The cause of all of that is `merge`, without an `event_id`.
- Facts are what they would be had all events been this customer's, but for what is forgotten: days that are in no mask
  count twice, of more than 8 open invoices those due first are kept. Of invoices told under both ids that are
  remembered, one counts.
- Event ids of both are remembered, the previous customer's as the older ones, 16 and 8 at most.
- An erase, under whichever id, forgets the one customer there is, and that other ids became it: they redirect no more.
  Each of those ids is erased with it: what is older stays out, and who comes back under it begins at null, with the
  version at which it was merged.
"""

from collections import deque
from typing import TypeVar

from tests.oracle.attributes import tell
from tests.oracle.customer import Customer
from tests.oracle.days import REMEMBERED_DAYS, PurchaseDays
from tests.oracle.facts import Facts
from tests.oracle.payment import OPEN_TRACKED, SETTLED_REMEMBERED, Invoices

Known = TypeVar("Known")


class Redirects:
    """Which id became which."""

    def __init__(self) -> None:
        """Begin with nobody who is somebody else."""
        self._merged_into: dict[str, str] = {}

    def customer_of(self, some_id: str) -> str:
        """Return the id at the end of the chain."""
        while some_id in self._merged_into:
            some_id = self._merged_into[some_id]
        return some_id

    def take(self, previous_id: str, customer_id: str) -> bool:
        """Let an id redirect to a customer, who is at the end of a chain; return whether it does so from now on."""
        if previous_id in self._merged_into or previous_id == customer_id:
            return False
        self._merged_into[previous_id] = customer_id
        return True

    def forget(self, customer_id: str) -> list[str]:
        """Let the ids that became a customer redirect no more, and return them."""
        forgotten = [each for each in self._merged_into if self.customer_of(each) == customer_id]
        for each in forgotten:
            del self._merged_into[each]
        return forgotten


def absorb(customer: Customer, previous: Customer) -> None:
    """Add what is remembered of the previous customer to this one."""
    absorb_facts(customer.facts, previous.facts)
    customer.money_ids = after(previous.money_ids, customer.money_ids)
    customer.other_ids = after(previous.other_ids, customer.other_ids)
    customer.refunded_orders = after(previous.refunded_orders, customer.refunded_orders)
    if previous.concluded_at is not None:
        c = customer.concluded_at
        customer.concluded_at = previous.concluded_at if c is None else max(c, previous.concluded_at)


def after(older: deque[Known], newer: deque[Known]) -> deque[Known]:
    """Return the latest of both, each once."""
    return deque([*(each for each in older if each not in newer), *newer], maxlen=newer.maxlen)


def absorb_facts(facts: Facts, other: Facts) -> None:
    """Add facts to facts."""
    facts.purchase_times = sorted(facts.purchase_times + other.purchase_times)
    facts.full_refunds += other.full_refunds
    facts.money_minor += other.money_minor
    facts.movements += other.movements
    facts.discounted_purchases += other.discounted_purchases
    facts.feedbacks = sorted(facts.feedbacks + other.feedbacks)
    facts.kinds_seen = sorted(facts.kinds_seen + other.kinds_seen)
    facts.days = united(facts.days, other.days)
    absorb_invoices(facts.invoices, other.invoices)
    for name, (told_at, value) in other.attributes.items():
        tell(facts.attributes, {name: value}, told_at)


def united(one: PurchaseDays, other: PurchaseDays) -> PurchaseDays:
    """Return the days of both: those remembered by both count once."""
    both = one.remembered | other.remembered
    first = min((each.first for each in (one, other) if each.first is not None), default=None)
    return PurchaseDays(
        count=one.count + other.count - len(one.remembered & other.remembered),
        remembered={each for each in both if each > max(both) - REMEMBERED_DAYS},
        first=first,
        first_minor=sum(each.first_minor for each in (one, other) if each.first == first),
    )


def absorb_invoices(invoices: Invoices, other: Invoices) -> None:
    """Add invoices to invoices; a settled one stays settled."""
    invoices.settled += other.settled
    invoices.late += other.late
    for invoice, told in other.last_settled.items():
        mine = invoices.last_settled.get(invoice)
        if mine is not None:
            invoices.settled -= 1
            invoices.late -= min(mine, told)[1]
        invoices.last_settled[invoice] = told if mine is None else max(mine, told)
    for invoice, (said_at, due_at) in other.due.items():
        before = invoices.due.get(invoice)
        if before is None or said_at > before[0] or (said_at == before[0] and due_at < before[1]):
            invoices.due[invoice] = (said_at, due_at)
    latest = sorted(invoices.last_settled, key=lambda each: invoices.last_settled[each][0])
    soonest = sorted(invoices.due.keys() - invoices.last_settled.keys(), key=lambda each: (invoices.due[each][1], each))
    invoices.due = {each: invoices.due[each] for each in soonest[:OPEN_TRACKED]}
    invoices.last_settled = {each: invoices.last_settled[each] for each in latest[-SETTLED_REMEMBERED:]}
