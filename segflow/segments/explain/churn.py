"""Words for churn."""

import numpy as np

from segflow.segments.explain.case import Case, explain, span
from segflow.segments.mbg_nbd import WEEK_US, History, p_alive
from segflow.segments.models.churn import Churn


@explain.register
def _(model: Churn, case: Case) -> list[str]:
    lines = [case.orders_said()]
    if case.label == "none":
        return [*lines, "Without an order that counts: none."]
    history, parameters = History.of(case.facts), case.cuts.parameters.mbg_nbd
    age_us = max(case.at_us - case.fact("first_us"), 0)
    chance = float(p_alive(parameters, history, np.array([age_us / WEEK_US]))[0])
    days = int(history.repeats[0]) + 1
    low, medium, high = model.one_time if days == 1 else model.thresholds
    lasted = span(case.fact("last_us") - case.fact("first_us"))
    fitted = f"r {parameters.r:g}, alpha {parameters.alpha_weeks:g} weeks, a {parameters.a:g}, b {parameters.b:g}"
    return [
        *lines,
        f"{days} purchase day{'s' * (days != 1)}; the first to the latest {lasted}, the first to now {span(age_us)}.",
        f"MBG/NBD with {fitted} gives a chance of {chance:.3f} that this is still a customer.",
        f"low from {low:g}, medium from {medium:g}, high from {high:g}, held to the whole second after: {case.label}.",
    ]
