"""The two models: what a customer is at a moment, and at which instants silence could make it something else."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.oracle.facts import Facts, units_in_one
from tests.oracle.rules import OracleRules


def lifecycle_label(facts: Facts, at: datetime, rules: OracleRules) -> str:
    """Return the first row of the contract's table that holds."""
    n = facts.orders
    if n == 0:
        return "prospect"
    latest = facts.purchase_times[-1]
    idle = at - latest
    came_back = len(facts.purchase_times) > 1 and latest - facts.purchase_times[-2] >= rules.at_risk_after
    if idle >= rules.churned_after:
        label = "churned"
    elif idle >= rules.at_risk_after:
        label = "at_risk"
    elif idle < rules.reactivated_for and came_back:
        label = "reactivated"
    elif n >= rules.loyal_orders:
        label = "loyal"
    elif n >= 2:
        label = "active"
    else:
        label = "new"
    return label


def rfm_label(facts: Facts, at: datetime, rules: OracleRules) -> str:
    """Return the cell of the grid, or `none` without an order that counts."""
    if facts.orders == 0:
        return "none"
    idle = at - facts.purchase_times[-1]
    r = 5 - sum(idle >= cut for cut in rules.recency_cuts)
    f = 1 + sum(facts.orders >= cut for cut in rules.frequency_cuts)
    m = 1 + sum(facts.money_minor >= cut * units_in_one(rules.minor_digits) for cut in rules.monetary_cuts)
    return rules.grid[r, (f + m + 1) // 2]


@dataclass(frozen=True, kw_only=True)
class Model:
    """One dimension: its label at a moment, and the idle times at which that label may change."""

    neutral: str | None
    label: Callable[[Facts, datetime, OracleRules], str]
    idle_limits: Callable[[OracleRules], tuple[timedelta, ...]]


MODELS = {
    "lifecycle": Model(
        neutral=None,
        label=lifecycle_label,
        idle_limits=lambda rules: (rules.at_risk_after, rules.churned_after, rules.reactivated_for),
    ),
    "rfm": Model(neutral="none", label=rfm_label, idle_limits=lambda rules: rules.recency_cuts),
}


def labels_at(facts: Facts, at: datetime, rules: OracleRules) -> dict[str, str]:
    """Return the label of every configured dimension, in the settings' order."""
    return {dimension: MODELS[dimension].label(facts, at, rules) for dimension in rules.dimensions}


def instants_of_silence(facts: Facts, rules: OracleRules) -> list[datetime]:
    """Return, in order, every instant at which any label could change if nothing more happens.

    Both models look at the passing of time only through the time since the latest purchase. An instant beyond the
    calendar's end (the year 9999) never comes.
    """
    latest = facts.last_purchase_at
    if latest is None:
        return []
    room = datetime.max.replace(tzinfo=latest.tzinfo) - latest
    limits = {limit for dimension in rules.dimensions for limit in MODELS[dimension].idle_limits(rules)}
    return sorted(latest + limit for limit in limits if limit <= room)
