"""Words for rfm."""

import numpy as np

from segflow.segments import window
from segflow.segments.cuts import crossed
from segflow.segments.explain.case import Case, explain, span
from segflow.segments.models.rfm import SCORES, Rfm
from segflow.segments.models.windowed_rfm import WindowedRfm


@explain.register
def _(model: Rfm, case: Case) -> list[str]:  # noqa: ARG001 - whose words these are
    lines = [case.orders_said(), case.idle_said()]
    return lines + _scored(case, case.fact("orders"), case.fact("net_minor"))


@explain.register
def _(model: WindowedRfm, case: Case) -> list[str]:
    orders, net_minor = (
        int(each[0]) for each in window.sums_at(case.facts.window, np.array([case.at_us]), model.slot_us, model.slots)
    )
    length = span(model.slots * model.slot_us)
    first = f"In the present slot of {span(model.slot_us)} and those before it, {length} in all, {orders} orders count."
    return [first, case.idle_said(), *_scored(case, orders, net_minor)]


def _scored(case: Case, orders: int, net_minor: int) -> list[str]:
    """The scores and the grid."""
    if case.label == "none":
        return ["Without an order that counts: none."]
    cuts = case.cuts
    recency = SCORES - int(crossed(np.array([case.idle_us]), cuts.recency_us)[0])
    frequency = 1 + int(crossed(np.array([orders]), cuts.frequency)[0])
    monetary = 1 + int(crossed(np.array([net_minor]), cuts.monetary_minor)[0])
    both = (frequency + monetary + 1) // 2
    origin = f"version {cuts.version}" if cuts.version else "fixed"
    money = ", ".join(map(case.money, cuts.monetary_minor))
    return [
        f"R: idle for {span(case.idle_us)}, with the cuts {', '.join(map(span, cuts.recency_us))}: R {recency}.",
        f"F: {orders} orders, with the cuts {', '.join(map(str, cuts.frequency))}: F {frequency}.",
        f"M: net money {case.money(net_minor)}, with the cuts {money}: M {monetary}.",
        f"The cuts are {origin}. FM = ({frequency} + {monetary} + 1) // 2 = {both}.",
        f"The grid has at R {recency}, FM {both}: {case.label}.",
    ]
