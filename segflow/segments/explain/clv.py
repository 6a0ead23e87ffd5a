"""Words for clv."""

import numpy as np

from segflow.segments.explain.case import Case, explain
from segflow.segments.mbg_nbd import WEEK_US, History, expected_purchases
from segflow.segments.models.clv import Clv


@explain.register
def _(model: Clv, case: Case) -> list[str]:
    lines = [case.orders_said()]
    if case.label == "none":
        return [*lines, "Without an order that counts: none."]
    history, parameters = History.of(case.facts), case.cuts.parameters
    age_weeks = np.maximum(np.array([(case.at_us - case.fact("first_us")) / WEEK_US]), history.recency_weeks)
    purchases = float(expected_purchases(parameters.mbg_nbd, history, age_weeks, model.horizon_weeks)[0])
    money = float(model.money(case.facts, history, parameters)[0])
    medium, high = map(case.money, case.cuts.clv_minor)
    worth = case.money(int(model.worth_minor(case.facts, case.at_us, parameters)[0]))
    return [
        *lines,
        f"Expected within {model.horizon_weeks:g} weeks: {purchases:.3f} purchases (MBG/NBD).",
        f"Expected a purchase: {money:,.2f} {case.currency} (Gamma-Gamma).",
        f"That is worth {worth}; medium from {medium}, high from {high}, held to the whole second after: {case.label}.",
    ]
