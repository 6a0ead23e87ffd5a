"""The models: what a customer is at a moment, and at which instants silence could make it something else."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.oracle.cadence import cadence_instants, cadence_label
from tests.oracle.churn import churn_instants, churn_label
from tests.oracle.clv import clv_instants, clv_label
from tests.oracle.engagement import engagement_instants, engagement_label
from tests.oracle.facts import Facts
from tests.oracle.payment import payment_instants, payment_label
from tests.oracle.price import price_label
from tests.oracle.rfm import rfm_instants, rfm_label
from tests.oracle.rule_dimension import rule_instants, rule_label
from tests.oracle.rules import OracleRules
from tests.oracle.satisfaction import satisfaction_instants, satisfaction_label
from tests.oracle.times import moments_after
from tests.oracle.value import value_label


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


def since_latest_purchase(facts: Facts, limits: Iterable[timedelta]) -> Iterator[datetime]:
    """Yield when the time since the latest purchase reaches each limit."""
    if facts.last_purchase_at is not None:
        yield from moments_after(facts.last_purchase_at, limits)


@dataclass(frozen=True, kw_only=True)
class Model:
    """One dimension: its label at a moment, and the instants at which silence may change it.

    Instants may be given that change nothing, and that are past; none at which the label changes may be missing.
    """

    neutral: str | None
    label: Callable[[Facts, datetime, OracleRules], str]
    instants: Callable[[Facts, OracleRules], Iterable[datetime]]


MODELS = {
    "lifecycle": Model(
        neutral=None,
        label=lifecycle_label,
        instants=lambda facts, rules: since_latest_purchase(
            facts, (rules.at_risk_after, rules.churned_after, rules.reactivated_for)
        ),
    ),
    "rfm": Model(neutral="none", label=rfm_label, instants=rfm_instants),
    "price": Model(
        neutral="unknown",
        label=lambda facts, _at, rules: price_label(facts, rules),
        instants=lambda _facts, _rules: (),
    ),
    "cadence": Model(neutral="none", label=cadence_label, instants=cadence_instants),
    "satisfaction": Model(neutral="unknown", label=satisfaction_label, instants=satisfaction_instants),
    "value": Model(neutral="none", label=value_label, instants=lambda _facts, _rules: ()),
    "churn": Model(neutral="none", label=churn_label, instants=churn_instants),
    "clv": Model(neutral="none", label=clv_label, instants=clv_instants),
    "payment": Model(
        neutral="unknown",
        label=lambda facts, at, rules: payment_label(facts.invoices, at, rules),
        instants=lambda facts, _rules: payment_instants(facts.invoices),
    ),
    "engagement": Model(neutral="dormant", label=engagement_label, instants=engagement_instants),
}


def neutral_of(dimension: str, rules: OracleRules) -> str | None:
    """Return where every customer starts in a dimension."""
    return MODELS[dimension].neutral if dimension in MODELS else rules.rule_dimensions[dimension].otherwise


def labels_at(facts: Facts, at: datetime, rules: OracleRules) -> dict[str, str]:
    """Return the label of every configured dimension, in the settings' order; each may look at those before it."""
    labels: dict[str, str] = {}
    for dimension in rules.dimensions:
        if dimension in MODELS:
            labels[dimension] = MODELS[dimension].label(facts, at, rules)
        else:
            labels[dimension] = rule_label(dimension, facts, at, rules, labels)
    return labels


def instants_of_silence(facts: Facts, rules: OracleRules) -> list[datetime]:
    """Return, in order, every instant at which any label could change if nothing more happens."""
    instants: set[datetime] = set()
    for dimension in rules.dimensions:
        if dimension in MODELS:
            instants.update(MODELS[dimension].instants(facts, rules))
        else:
            instants.update(rule_instants(dimension, facts, rules))
    return sorted(instants)
