"""Payment, the reliability of a payer: overdue invoices, and the share of invoices paid late."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
from pydantic import Field

from segflow.schemas.section import Section, Share
from segflow.segments.cuts import Cuts
from segflow.segments.declaration import Common, Declaration
from segflow.segments.explain import Case
from segflow.segments.facts import Fact, Facts, Labels, Rows, Times
from segflow.segments.instant import NEVER, to_text
from segflow.segments.invoices import OPEN, OPEN_MOST, SETTLED, SETTLED_MOST, Invoices, too_many, united, with_payments
from segflow.segments.record_section import Entries, Events, Flags, Happened, Kept, RecordSection
from segflow.segments.share import SHARES_PER_ONE, of_one

LABELS: Final = ("unknown", "good", "slow", "overdue")
NO_INVOICE, GOOD, SLOW, OVERDUE = range(len(LABELS))

SETTLED_INVOICES: Final = Fact("settled_invoices", np.uint32)  # invoices paid, ever
LATE_INVOICES: Final = Fact("late_invoices", np.uint32)  # those of them paid after they were due
NEXT_DUE_US: Final = Fact("next_due_us", np.int64, NEVER)  # the first due date of open invoices, NEVER without one


class Payment(Section):
    """The payment dimension: open invoices, and the share of late ones among the settled."""

    slow_above: Share = Field(
        Decimal("0.3"), description="share of settled invoices paid after they were due; above it a customer is slow"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PaymentModel:
    """The model: overdue from the moment an open invoice is due, else by the share of late ones among the settled.

    `unknown` (neutral) is a customer without invoices.
    """

    slow_above: int  # share of settled invoices, in SHARES_PER_ONE
    name: str = "payment"
    labels: tuple[str, ...] = LABELS
    start: int = NO_INVOICE

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into LABELS, shape (n,)."""
        settled = facts[SETTLED_INVOICES].astype(np.int64)
        late = facts[LATE_INVOICES].astype(np.int64) * SHARES_PER_ONE
        code = np.where(late > self.slow_above * settled, SLOW, GOOD)
        code = np.where((settled == 0) & (facts[NEXT_DUE_US] == NEVER), NO_INVOICE, code)
        return np.where(facts[NEXT_DUE_US] <= at_us, OVERDUE, code).astype(np.uint8)

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:  # noqa: ARG002 - the Model's signature
        """The time at which the first of the open invoices is due, shape (n,); NEVER once overdue."""
        return np.where(labels[self.name] == OVERDUE, NEVER, facts[NEXT_DUE_US])

    def explain(self, case: Case) -> list[str]:
        """The reasons of the label, in sentences that end in it."""
        settled, late, due_us = case.own(SETTLED_INVOICES), case.own(LATE_INVOICES), case.own(NEXT_DUE_US)
        lines = [f"{settled} invoices were settled, {late} of them late."]
        if due_us != NEVER:
            lines.append(f"The first of the open ones is due on {to_text(due_us)}.")
        if case.label == "overdue":
            return [*lines, "That is past: overdue."]
        if case.label == "unknown":
            return [*lines, "Without invoices: unknown."]
        share = f"{100 * late / settled:.4g} %" if settled else "None"
        most = f"{100 * self.slow_above / SHARES_PER_ONE:g} % (slow_above)"
        return [*lines, f"{share} late is {'more' if case.label == 'slow' else 'not more'} than {most}: {case.label}."]


def _build(own: Payment, _common: Common) -> PaymentModel:
    return PaymentModel(slow_above=of_one(own.slow_above))


def _refuse(kept: Kept, payments: Events) -> Flags:
    return too_many(_invoices(kept, payments.rows), payments.of(payments.more["invoice"]), payments.occurred_us)


def _apply(kept: Kept, happened: Happened, _slot_us: int) -> None:
    payments = happened.payments
    if len(payments.rows):
        held = _invoices(kept, payments.rows)
        invoices = with_payments(held, payments.of(payments.more["invoice"]), payments.occurred_us)
        _put(kept, payments.rows, invoices)


def _merge(kept: Kept, rows: Rows, other: Kept) -> None:
    for number, row in enumerate(rows.tolist()):
        _put(kept, np.array([row]), united(_invoices(kept, np.array([row])), _invoices(other, np.array([number]))))


def _invoices(kept: Kept, rows: Rows) -> Invoices:
    return Invoices(
        open=kept.entries["open_invoices"][rows],
        settled=kept.entries["settled_invoices"][rows],
        settled_total=kept[SETTLED_INVOICES][rows],
        late_total=kept[LATE_INVOICES][rows],
    )


def _put(kept: Kept, rows: Rows, invoices: Invoices) -> None:
    kept.entries["open_invoices"][rows] = invoices.open
    kept.entries["settled_invoices"][rows] = invoices.settled
    kept[SETTLED_INVOICES][rows] = invoices.settled_total
    kept[LATE_INVOICES][rows] = invoices.late_total
    kept[NEXT_DUE_US][rows] = invoices.next_due_us


PAYMENT: Final = Declaration(
    name="payment",
    settings=Payment,
    labels=("good", "slow", "overdue", "unknown"),
    build=_build,
    section=RecordSection(
        bit=7,
        facts=(SETTLED_INVOICES, LATE_INVOICES, NEXT_DUE_US),
        entries={"open_invoices": Entries(OPEN, OPEN_MOST), "settled_invoices": Entries(SETTLED, SETTLED_MOST)},
        columns=("invoice",),
        apply=_apply,
        merge=_merge,
        refuse=_refuse,
    ),
)
