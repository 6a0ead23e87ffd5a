"""Words for lifecycle."""

from segflow.segments.explain.case import Case, explain, span
from segflow.segments.instant import UNKNOWN
from segflow.segments.models.lifecycle import Lifecycle


@explain.register
def _(model: Lifecycle, case: Case) -> list[str]:
    at_risk, churned = span(model.at_risk_after_us), span(model.churned_after_us)
    facts = [case.orders_said(), case.idle_said()]
    if case.label == "prospect":
        return [*facts, "Without an order that counts: prospect."]
    idle = span(case.idle_us)
    if case.label == "churned":
        return [*facts, f"{idle} is {churned} (churned_after) or more: churned."]
    if case.label == "at_risk":
        return [
            *facts,
            f"{idle} is {at_risk} (at_risk_after) or more, and less than {churned} (churned_after): at_risk.",
        ]
    facts.append(f"{idle} is less than {at_risk} (at_risk_after).")
    before_us = case.fact("before_last_us")
    if before_us != UNKNOWN:
        gap = span(case.fact("last_us") - before_us)
        back = case.fact("last_us") - before_us >= model.at_risk_after_us
        facts.append(
            f"The purchase before was {gap} earlier, which is {'' if back else 'less than '}{at_risk}"
            f"{' or more' if back else ''}."
        )
        if case.label == "reactivated":
            return [*facts, f"Idle for less than {span(model.reactivated_for_us)} (reactivated_for): reactivated."]
    orders, least = case.fact("orders"), model.loyal_orders
    reason = {
        "loyal": f"{orders} orders are {least} (loyal_orders) or more: loyal.",
        "active": f"{orders} orders are 2 or more, and less than {least} (loyal_orders): active.",
        "new": "One order: new.",
    }
    return [*facts, reason[str(case.label)]]
