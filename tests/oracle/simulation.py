"""How a shard's log is applied (docs/architecture.md#how-one-event-is-applied): one customer, one event at a time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias

from tests.oracle.customer import NEVER_HELD, Customer, Erased, identity_of, is_full_refund, left_behind
from tests.oracle.merging import Redirects, absorb
from tests.oracle.models import labels_at, neutral_of
from tests.oracle.rules import OracleRules
from tests.oracle.times import read_time, written_time

__all__ = ["Adopt", "Change", "Event", "OracleRules", "Shard", "Sweep", "final", "simulate"]

Change: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """A valid event as it was read, amounts as text, int or Decimal."""

    body: dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """Step 1 for everybody, up to the shard's clock or `to`, the later; the clock stays where it is."""

    to: datetime | None


@dataclass(frozen=True)
class Adopt:
    """The shard takes new rules at its clock."""

    rules: OracleRules
    kind: Literal["recut", "definition"]


class Shard:
    """One shard, its customers and its clock (C of the contract, None while nothing was read)."""

    def __init__(self, rules: OracleRules) -> None:
        """Start empty under these rules."""
        self.rules = rules
        self.clock: datetime | None = None
        self.customers: dict[str, Customer] = {}
        self.erased: dict[str, Erased] = {}
        self.redirects = Redirects()
        self.merged: dict[str, Erased] = {}

    def step(self, item: Event | Sweep | Adopt) -> list[Change]:
        """Take the next item of the log and return the changes it made, in order."""
        if isinstance(item, Event):
            return self._take_event(item.body)
        if isinstance(item, Sweep):
            return self._sweep(item.to)
        return self._adopt(item.rules, item.kind)

    def _take_event(self, body: Mapping[str, Any]) -> list[Change]:
        """Take one event through steps 0 to 4."""
        occurred_at = read_time(body["occurred_at"])
        customer_id = self.redirects.customer_of(body["customer_id"])
        if self._is_refused(customer_id, body):
            return []  # a dead letter moves no clock
        horizon = occurred_at if self.clock is None else max(occurred_at, self.clock)
        self.clock = horizon  # what the next record will find; a duplicate raises it too

        if self._stays_out(customer_id, body, occurred_at, horizon):
            return []
        customer = self.customers.get(customer_id)
        if customer is None and body["type"] == "erase":
            self._remember_erased(customer_id, self.erased.get(customer_id, NEVER_HELD), occurred_at)
            return []
        if customer is None:
            customer = self._new_customer(customer_id)
        if customer.is_duplicate(body):
            return []

        changes = self._conclude(customer, horizon)
        if body["type"] == "erase":
            return changes + self._erase(customer, occurred_at)

        c = customer.concluded_at
        late = c is not None and occurred_at < c
        customer.concluded_at = occurred_at if c is None else max(c, occurred_at)
        cause = {"kind": "late" if late else "event", "event_id": body["event_id"]}
        previous = None
        if body["type"] == "alias" and self.redirects.take(body["previous_id"], customer_id):
            previous = self.customers.get(body["previous_id"])
        if previous is not None:
            changes += self._conclude(previous, horizon)
            changes += self._merge(customer, previous)
            cause = {"kind": "merge"}
        customer.facts.apply(body, self.rules)
        customer.ids_remembered_with(body["type"]).append(identity_of(body))
        if is_full_refund(body):
            customer.refunded_orders.append(body["order_id"])
        return changes + self._classify(customer, customer.concluded_at, cause)

    def _sweep(self, to: datetime | None) -> list[Change]:
        """Step 1 for every customer."""
        if self.clock is None:
            return []
        horizon = self.clock if to is None else max(self.clock, to)
        return [change for customer in self.customers.values() for change in self._conclude(customer, horizon)]

    def _adopt(self, new: OracleRules, kind: str) -> list[Change]:
        """Conclude every customer up to the clock under the old rules, then classify it there under the new ones."""
        old = self.rules
        refuse_other_memories(old, new)
        changes: list[Change] = []
        if self.clock is not None:
            for customer in self.customers.values():
                changes += self._conclude(customer, self.clock)
        self.rules = new
        for customer in self.customers.values():
            self._fit_dimensions(customer)
            customer.concluded_at = self._adoption_time(customer)
            changes += self._classify(customer, customer.concluded_at, {"kind": kind})
        return changes

    def _adoption_time(self, customer: Customer) -> datetime:
        """Return the shard's clock or the customer's c, the later; a known customer has both."""
        return max(moment for moment in (self.clock, customer.concluded_at) if moment is not None)

    def _fit_dimensions(self, customer: Customer) -> None:
        """Start a dimension the rules newly name at its neutral label; forget one they name no longer."""
        customer.labels = {
            dimension: customer.labels.get(dimension, neutral_of(dimension, self.rules))
            for dimension in self.rules.dimensions
        }
        customer.label_since = {
            dimension: since for dimension, since in customer.label_since.items() if dimension in customer.labels
        }

    def _new_customer(self, customer_id: str) -> Customer:
        """Return a customer of whom nothing is known, or nothing any more: the changes go on where they stood."""
        customer = Customer.new(customer_id, self.rules)
        erased = self.erased.get(customer_id)
        if erased is not None and erased.receipts_at is not None:
            customer.version, customer.concluded_at = erased.version, erased.receipts_at
            for dimension in erased.dimensions & customer.labels.keys():
                customer.labels[dimension] = None
                customer.label_since[dimension] = erased.receipts_at
        self.customers[customer_id] = customer
        return customer

    def _is_refused(self, customer_id: str, body: Mapping[str, Any]) -> bool:
        """Return whether an event becomes a dead letter for what is known of its customer: an invoice without a place.

        How the contract is read: only where invoices are kept.
        """
        customer = self.customers.get(customer_id)
        if customer is None or body["type"] != "payment" or not self.rules.keeps_invoices:
            return False
        return not customer.has_seen(identity_of(body)) and customer.facts.invoices.refuses(body)

    def _stays_out(self, customer_id: str, body: Mapping[str, Any], occurred_at: datetime, horizon: datetime) -> bool:
        """Return whether an event happened before its customer was erased; forget an erasure of long ago."""
        erased = self.erased.get(customer_id)
        if erased is None:
            return False
        if horizon - erased.at >= self.rules.erase_remembered_for:
            del self.erased[customer_id]
            return False
        return occurred_at < erased.at or (body["type"] == "erase" and occurred_at == erased.at)

    def _erase(self, customer: Customer, occurred_at: datetime) -> list[Change]:
        """Forget a customer."""
        c = customer.concluded_at
        at = occurred_at if c is None else max(c, occurred_at)
        receipts = self._gone(customer, at, {"kind": "erase"})
        self._remember_erased(customer.customer_id, left_behind(customer, at, receipts), occurred_at)
        return receipts

    def _remember_erased(self, customer_id: str, left: Erased, occurred_at: datetime) -> None:
        """Keep what stays of an erased customer, and of the ids that became it."""
        self.erased[customer_id] = replace(left, at=occurred_at)
        for other_id in self.redirects.forget(customer_id):
            before = self.erased.get(other_id, NEVER_HELD)  # of an id of whom nothing was held when it became this one
            self.erased[other_id] = replace(self.merged.pop(other_id, before), at=occurred_at)

    def _merge(self, customer: Customer, previous: Customer) -> list[Change]:
        """Let one customer become another, who is concluded up to the event; return what the one who goes is told."""
        absorb(customer, previous)
        assert customer.concluded_at is not None
        told = self._gone(previous, customer.concluded_at, {"kind": "merge"})
        self.merged[previous.customer_id] = left_behind(previous, customer.concluded_at, told)
        return told

    def _gone(self, customer: Customer, at: datetime, cause: dict[str, str]) -> list[Change]:
        """Take a customer away: a change to null a dimension, as of a customer of whom nothing is known."""
        nobody = Customer.new(customer.customer_id, self.rules)
        nobody.labels = dict.fromkeys(customer.labels, None)
        nobody.version = customer.version
        changes: list[Change] = []
        for dimension, label in customer.labels.items():
            if label is not None:
                nobody.version += 1
                since = customer.label_since.get(dimension)
                changes.append(self._change(nobody, dimension, label, since, at, cause))
        del self.customers[customer.customer_id]
        return changes

    def _conclude(self, customer: Customer, horizon: datetime) -> list[Change]:
        """Step 1: take every deadline up to and including the horizon that changes a label."""
        changes: list[Change] = []
        while (turn := customer.next_turn(self.rules)) is not None and turn[0] <= horizon:
            changes += self._classify(customer, turn[0], {"kind": "time"})
        return changes

    def _classify(self, customer: Customer, at: datetime, cause: dict[str, str]) -> list[Change]:
        """Take the labels at a moment and return one change a dimension that moved; c follows if one did."""
        before = customer.labels
        labels = labels_at(customer.facts, at, self.rules)
        customer.labels = dict(labels)
        moved = [dimension for dimension, label in labels.items() if label != before[dimension]]
        if moved:
            customer.concluded_at = at

        changes: list[Change] = []
        for dimension in moved:
            since = customer.label_since.get(dimension)
            customer.label_since[dimension] = at
            customer.version += 1
            changes.append(self._change(customer, dimension, before[dimension], since, at, cause))
        return changes

    def _change(
        self,
        customer: Customer,
        dimension: str,
        previous: str | None,
        since: datetime | None,
        at: datetime,
        cause: dict[str, str],
    ) -> Change:
        """Return a change of a customer who is, and counts changes, as after it."""
        return {
            "customer_id": customer.customer_id,
            "dimension": dimension,
            "previous": previous,
            "current": customer.labels[dimension],
            "effective_at": written_time(at),
            "previous_since": None if since is None else written_time(since),
            "version": customer.version,
            "cause": dict(cause),
            "segments": dict(customer.labels),
            "facts": customer.facts.shown(self.rules),
            "next": customer.shown_next(self.rules),
            "currency": self.rules.currency,
            "definition": self.rules.definition,
            "cuts": self.rules.cuts,
            "holdout": False,
            "spec": 1,
        }


def refuse_other_memories(old: OracleRules, new: OracleRules) -> None:
    """Raise ValueError if what is remembered under the old rules means nothing under the new ones.

    The product remembers money in one currency, engagement as one number and purchases as a mask of slots, none of
    which can be turned into another's. The contract does not say what should happen then, so the oracle says nothing.
    """
    if (new.currency, new.minor_digits) != (old.currency, old.minor_digits):
        message = f"money is remembered in {old.currency} with {old.minor_digits} digits and cannot change to another"
        raise ValueError(message)
    if (new.kind_weights, new.other_weight, new.half_life) != (old.kind_weights, old.other_weight, old.half_life):
        raise ValueError("engagement is remembered as one number, of its weights and its half-life")
    if new.slot != old.slot:
        raise ValueError("purchases are remembered by slots of one length")


def simulate(log: Iterable[Event | Sweep | Adopt], rules: OracleRules) -> list[Change]:
    """Return the changes one shard's log makes, in the order they are made."""
    shard = Shard(rules)
    return [change for item in log for change in shard.step(item)]


def final(log: Iterable[Event | Sweep | Adopt], rules: OracleRules) -> dict[str, dict[str, Any]]:
    """Return what every customer is after the log, by customer id."""
    shard = Shard(rules)
    for item in log:
        shard.step(item)
    return {
        customer.customer_id: {
            "segments": dict(customer.labels),
            "facts": customer.facts.shown(shard.rules),
            "concluded_at": None if customer.concluded_at is None else written_time(customer.concluded_at),
            "next": customer.shown_next(shard.rules),
        }
        for customer in shard.customers.values()
    }
