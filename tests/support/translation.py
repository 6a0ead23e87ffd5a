"""The product's settings as the oracle takes them, and settings to draw from for the property tests."""

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from segflow.schemas.settings import Settings
from tests.oracle.rules import OracleRules, RuleDimension

# By section, what may be set beside the defaults. Sections the product's settings do not have are passed over. No
# parameters of purchase models are whole numbers: their crossings lie on whole seconds, where floats cannot decide.
OPTIONS: dict[str, list[Any]] = {
    "lifecycle": [{"at_risk_after": "30d", "churned_after": "61d", "loyal_orders": 3, "reactivated_for": "14d"}],
    "rfm": [
        {"fixed": {"recency": ["1d", "14d", "60d", "120d"], "monetary": [-5, 0, 50, 100]}},
        {"window": "365d"},
        {"window": "56d", "fixed": {"frequency": [1, 2, 3, 4], "monetary": [-5, 0, 50, 100]}},
    ],
    "price": [{"min_purchases": 1, "sensitive_from": "0.5", "full_price_up_to": "0.3333"}],
    "cadence": [{"regular_slots": 2, "of_slots": 3}, {"regular_slots": 3, "of_slots": 64}],
    "satisfaction": [{"promoter_from": 10, "passive_from": 5, "unknown_after": "31d"}],
    "engagement": [
        {"core_from": 10.0, "active_from": 3.0, "visitor_from": 0.25, "weights": {"visit": 0.0, "purchase": 8.0}}
    ],
    "value": [{"fixed": {"a_from": 250, "b_from": "49.99"}}, {"fixed": {"a_from": 0, "b_from": "-0.01"}}],
    "churn": [
        {"low_from": "0.8", "medium_from": "0.55", "high_from": "0.3"},
        {"one_time": {"low_from": "0.6", "medium_from": "0.35", "high_from": "0.3333"}},
    ],
    "parameters": [
        {"mbg_nbd": {"r": 0.27, "alpha_weeks": 4.5, "a": 0.79, "b": 2.43}},
        {"mbg_nbd": {"r": 3.1, "alpha_weeks": 11.7, "a": 0.21, "b": 0.37}},
        {"mbg_nbd": {"r": 2.4, "alpha_weeks": 4.3, "a": 1.000001, "b": 1.7}},
        {
            "mbg_nbd": {"r": 30.0, "alpha_weeks": 75.0, "a": 4000.0, "b": 90000.0},
            "gamma_gamma": {"p": 0.8, "q": 1.01, "gamma": 2.5e6},
        },
    ],
    "slot": ["20d"],
    "payment": [{"slow_above": "0"}, {"slow_above": "0.5"}],
    "erase": [{"remembered_for": "30d"}],
}

# What rules may say, of the attributes that random profiles tell. Numbers are such as floats hold exactly, or the
# nearest to them on both sides of a comparison.
CONDITIONS = (
    "attributes.risk_score >= 70 and attributes.age < 60",
    "attributes.risk_score >= 40",
    "attributes.risk_score / 2 + 0.25 > attributes.age - 10 * 2.5",
    "attributes.age != 18",
    "not (attributes.age == 17 or attributes.risk_score <= 39.75)",
    "attributes.age is not present",
    "attributes.country in ['DE', 'FR']",
    "attributes.country not in ['DE', 'Österreich']",
    "attributes.country == ''",
    "attributes.newsletter",
    "not attributes.newsletter and attributes.newsletter is present",
    "attributes.unheard_of != 5 or attributes.unheard_of is present",
    "idle >= 45d",
    "not idle <= 60d",
    "idle < 14d or tenure > 120d",
    "30d <= idle and idle < 60d",
    "tenure - idle >= 30d",
    "idle + 12h > 732h",
    "idle >= attributes.age * 1d",
    "idle / 2d > 15 and attributes.risk_score is present",
    "frequency >= 2 and monetary > 49.99",
    "monetary / frequency >= 100",
    "purchases > 3 * full_refunds and full_refunds > 0",
)
# The same of a dimension that comes before.
LABEL_CONDITIONS = {
    "lifecycle": ("lifecycle == 'at_risk' and idle >= 75d", "lifecycle != 'new'"),
    "value": ("value in ['a', 'b']",),
    "churn": ("churn not in ['low', 'medium']",),
    "payment": ("payment == 'overdue' or payment == 'slow'",),
    "engagement": ("engagement != 'dormant' and not idle < 1d",),
    "mine": ("mine == 'first'", "not mine == 'first' and tenure > 61d"),
}


@st.composite
def rule_dimensions(draw: st.DrawFn, built_in: tuple[str, ...]) -> dict[str, Any]:
    """None, one or two rule dimensions, which look at what is built in and at each other."""
    drawn: dict[str, Any] = {}
    for name in ("mine", "yours")[: draw(st.sampled_from([0, 1, 2]))]:
        conditions = [*CONDITIONS]
        for before in (*built_in, *drawn):
            conditions += LABEL_CONDITIONS.get(before, ())
        rules = draw(st.lists(st.sampled_from(conditions), min_size=1, max_size=3, unique=True))
        labels = ("first", "second", "third")
        drawn[name] = {
            "rules": [{"label": label, "when": when} for label, when in zip(labels, rules, strict=False)],
            "otherwise": draw(st.sampled_from(["none", "first"])),
        }
    return drawn


@st.composite
def settings_of(draw: st.DrawFn, dimensions: tuple[str, ...]) -> Settings:
    """Settings with these dimensions: all defaults for the most part, some with other thresholds, or with rules."""
    chosen: dict[str, Any] = {"dimensions": dimensions}
    rules = draw(rule_dimensions(dimensions)) if "rule_dimensions" in Settings.model_fields else {}
    if rules:
        chosen = {"dimensions": (*dimensions, *rules), "rule_dimensions": rules}
    if draw(st.booleans()):
        for section, options in OPTIONS.items():
            if section in Settings.model_fields:
                option = draw(st.sampled_from([{}, *options]))
                chosen |= {section: option} if option and knows(section, option) else {}
    return Settings.model_validate(chosen)


def knows(section: str, option: dict[str, Any]) -> bool:
    """Whether the product's settings have all that an option sets."""
    model = Settings.model_fields[section].annotation
    return set(option) <= set(getattr(model, "model_fields", ()))


def rules_of(settings: Settings) -> OracleRules:
    """The oracle's rules of the product's settings; what they do not have yet keeps the oracle's defaults."""
    section: dict[str, Any] = dict(settings)
    lifecycle, rfm, engagement = settings.lifecycle, settings.rfm, settings.engagement
    more: dict[str, Any] = {}
    if "value" in section:
        more["value_cuts"] = (section["value"].fixed.a_from, section["value"].fixed.b_from)
    if "churn" in section:
        one_time = section["churn"].one_time
        more["churn_thresholds"] = chances(section["churn"])
        more["churn_one_time_thresholds"] = None if one_time is None else chances(one_time)
    if "parameters" in section:
        mbg_nbd = section["parameters"].mbg_nbd
        more["mbg_nbd"] = tuple(as_written(each) for each in (mbg_nbd.r, mbg_nbd.alpha_weeks, mbg_nbd.a, mbg_nbd.b))
        if "gamma_gamma" in dict(section["parameters"]):
            spent = dict(section["parameters"])["gamma_gamma"]
            more["gamma_gamma"] = tuple(as_written(each) for each in (spent.p, spent.q, spent.gamma))
    if "payment" in section:
        more["slow_share"] = Fraction(section["payment"].slow_above)
    if "rule_dimensions" in section:
        more["rule_dimensions"] = {
            name: RuleDimension(rules=tuple((each.label, each.when) for each in some.rules), otherwise=some.otherwise)
            for name, some in section["rule_dimensions"].items()
        }
    if "erase" in section:
        more["erase_remembered_for"] = section["erase"].remembered_for
    if "window" in rfm.__class__.model_fields:
        more["rfm_window"] = dict(rfm)["window"]
    return OracleRules(
        dimensions=settings.dimensions,
        currency=settings.currency,
        at_risk_after=lifecycle.at_risk_after,
        churned_after=lifecycle.churned_after,
        loyal_orders=lifecycle.loyal_orders,
        reactivated_for=lifecycle.reactivated_for,
        recency_cuts=rfm.fixed.recency,
        frequency_cuts=rfm.fixed.frequency,
        monetary_cuts=rfm.fixed.monetary,
        grid={(5 - row, 1 + fm): label for row, cells in enumerate(rfm.grid) for fm, label in enumerate(cells)},
        price_purchases=settings.price.min_purchases,
        sensitive_share=Fraction(settings.price.sensitive_from),
        full_price_share=Fraction(settings.price.full_price_up_to),
        regular_slots=settings.cadence.regular_slots,
        regular_window=settings.cadence.of_slots,
        slot=settings.slot,
        promoter_from=settings.satisfaction.promoter_from,
        passive_from=settings.satisfaction.passive_from,
        feedback_lasts=settings.satisfaction.unknown_after,
        kind_weights={kind: Fraction(weight) for kind, weight in engagement.weights.items()},
        other_weight=Fraction(engagement.other_weight),
        half_life=engagement.half_life,
        engagement_thresholds=(
            Fraction(engagement.core_from),
            Fraction(engagement.active_from),
            Fraction(engagement.visitor_from),
        ),
        **more,
    )


def chances(thresholds: Any) -> tuple[Fraction, ...]:
    """Thresholds of churn, from the highest down."""
    return tuple(Fraction(each) for each in (thresholds.low_from, thresholds.medium_from, thresholds.high_from))


def as_written(number: float) -> Fraction:
    """What was written in the settings, before it became a float."""
    return Fraction(repr(number))
