"""Words for value."""

from segflow.segments.explain.case import Case, explain
from segflow.segments.models.value import Value


@explain.register
def _(model: Value, case: Case) -> list[str]:  # noqa: ARG001 - whose words these are
    if case.label == "none":
        return [case.orders_said(), "Without an order that counts: none."]
    b_from, a_from = map(case.money, case.cuts.value_minor)
    origin = f"version {case.cuts.version}" if case.cuts.version else "fixed"
    return [
        case.orders_said(),
        (
            f"Net money is {case.money(case.fact('net_minor'))}; b begins at {b_from}, a at {a_from} (cuts {origin}): "
            f"{case.label}."
        ),
    ]
