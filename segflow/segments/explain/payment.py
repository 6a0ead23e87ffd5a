"""Words for payment."""

from segflow.segments.explain.case import Case, explain
from segflow.segments.instant import NEVER, to_text
from segflow.segments.models.payment import Payment
from segflow.segments.share import SHARES_PER_ONE


@explain.register
def _(model: Payment, case: Case) -> list[str]:
    settled, late, due_us = (case.fact(name) for name in ("settled_invoices", "late_invoices", "next_due_us"))
    lines = [f"{settled} invoices were settled, {late} of them late."]
    if due_us != NEVER:
        lines.append(f"The first of the open ones is due on {to_text(due_us)}.")
    if case.label == "overdue":
        return [*lines, "That is past: overdue."]
    if case.label == "unknown":
        return [*lines, "Without invoices: unknown."]
    share = f"{100 * late / settled:.4g} %" if settled else "None"
    most = f"{100 * model.slow_above / SHARES_PER_ONE:g} % (slow_above)"
    return [*lines, f"{share} late is {'more' if case.label == 'slow' else 'not more'} than {most}: {case.label}."]
