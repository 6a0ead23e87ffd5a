"""The law of every model: a label is constant until its deadline, and a deadline is the future."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from math import exp, floor, log, log2
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.schemas.currency import minor_digits, to_minor
from segflow.schemas.parameters import Parameters
from segflow.schemas.settings import Settings
from segflow.segments.facts import COLUMNS
from segflow.segments.instant import DAY_US, LATEST_US, NEVER, SECOND_US, UNKNOWN, duration_us
from segflow.segments.mbg_nbd import WEEK_US, History, expected_purchases
from segflow.segments.models.engagement import NOTHING
from segflow.segments.rules import Rules, from_settings, parameters_of
from segflow.segments.window import KEY_OF_SLOT_0
from tests.support.random_facts import CUSTOMERS, moments_for, some_facts, thresholds_us
from tests.support.random_rules import (
    DIMENSIONS,
    MICROSECOND,
    RULED,
    any_parameters,
    ruled_settings,
    some_rules,
    some_settings,
)
from tests.support.trials import trials

PROBES = 12


@given(product=ruled_settings(), name=st.sampled_from(RULED), seed=st.integers(0, 2**32))
@trials(100)
def test_the_label_of_any_rules_holds_until_its_deadline(product: Settings, name: str, seed: int) -> None:
    """The same law for random rules: own crossings, and those of the dimensions whose labels they look at."""
    holds_until_its_deadline(name, from_settings(product), product, seed)


@pytest.mark.parametrize("name", DIMENSIONS)
@given(made=some_rules(), seed=st.integers(0, 2**32))
@trials(150)
def test_a_label_holds_until_its_deadline_and_is_another_or_looked_at_again_there(
    name: str, made: tuple[Rules, Settings], seed: int
) -> None:
    """For any settings, cuts, facts and moment: constant on [at, deadline), which is ahead; never is never."""
    rules, product = made
    holds_until_its_deadline(name, rules, product, seed)


@pytest.mark.parametrize("name", ["churn", "clv"])
@given(made=some_rules(), written=any_parameters(), seed=st.integers(0, 2**32))
@trials(100)
def test_the_law_holds_under_all_parameters_that_settings_accept(
    name: str, made: tuple[Rules, Settings], written: Parameters, seed: int
) -> None:
    """Also where formulas of the purchase models overflow, divide by zero or lose their digits."""
    rules, product = made
    rules = rules.with_cuts(replace(rules.cuts, parameters=parameters_of(written)))
    holds_until_its_deadline(name, rules, product, seed)


def holds_until_its_deadline(name: str, rules: Rules, product: Settings, seed: int) -> None:
    """The law, of one dimension, for random facts at random moments."""
    dice = np.random.default_rng(seed)
    near_us = thresholds_us(rules, product)
    facts = some_facts(dice, near_us, duration_us(product.engagement.half_life), duration_us(product.slot))
    at_us = moments_for(dice, facts, near_us)
    column = [model.name for model in rules.models].index(name)
    codes = rules.classify(facts, at_us)
    every_us = rules.deadlines(facts, at_us, codes)
    assert (rules.deadline(facts, at_us, codes) == every_us.min(axis=1)).all()
    due_us = every_us[:, column]
    label = codes[:, column]
    assert (due_us > at_us).all()
    assert ((due_us <= LATEST_US) | (due_us == NEVER)).all()
    last_us = np.minimum(due_us - 1, LATEST_US)  # of the interval on which it must hold

    # A model looks at no other's label, but for rules: what is asked most often is asked of it alone.
    seen, place = (rules, column) if name in RULED else (replace(rules, models=(rules.models[column],)), 0)

    def still(probe_us: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bool:
        return bool((seen.classify(facts, np.clip(probe_us, at_us, last_us))[:, place] == label).all())

    assert still(last_us)
    width = (last_us - at_us).astype(np.float64)
    for _ in range(PROBES):
        assert still(at_us + (width * dice.random(CUSTOMERS)).astype(np.int64))
    known = np.where(facts.last_us == UNKNOWN, at_us, facts.last_us)
    slot_us = duration_us(product.slot)
    for ahead_slots in range(14):
        assert still((np.minimum(at_us, LATEST_US - 14 * slot_us) // slot_us + ahead_slots) * slot_us - 1)
    for threshold_us in near_us:
        for nudge in (-1, 0, 1):
            assert still(np.minimum(known, LATEST_US - threshold_us) + threshold_us + nudge)
    ahead = due_us != NEVER
    then = rules.classify(facts, np.where(ahead, due_us, at_us))
    if name not in RULED and (name != "rfm" or len(set(rules.cuts.recency_us)) == 4):
        assert (then[ahead, column] != label[ahead]).all()
    for _ in range(200 if name in RULED else 20):  # what is looked at in vain comes to an end
        if not ahead.any():
            break
        at_us = np.where(ahead, due_us, at_us)
        due_us = seen.deadlines(facts, at_us, seen.classify(facts, at_us))[:, place]
        assert (due_us[ahead] > at_us[ahead]).all()
        ahead = due_us != NEVER
    assert not ahead.any()


def lifecycle_by_hand(product: Settings, rules: Rules, facts: dict[str, int], at_us: int) -> str:
    """The table of docs/contract.md#dimensions, row by row."""
    del rules
    table = product.lifecycle
    n = max(0, facts["purchases"] - facts["full_refunds"])
    if n == 0:
        return "prospect"
    idle = (at_us - facts["last_us"]) * MICROSECOND
    if idle >= table.churned_after:
        return "churned"
    if idle >= table.at_risk_after:
        return "at_risk"
    if facts["before_last_us"] != UNKNOWN and idle < table.reactivated_for:
        gap = (facts["last_us"] - facts["before_last_us"]) * MICROSECOND
        if gap >= table.at_risk_after:
            return "reactivated"
    if n >= table.loyal_orders:
        return "loyal"
    return "active" if n >= 2 else "new"


def rfm_by_hand(product: Settings, rules: Rules, facts: dict[str, Any], at_us: int) -> str:
    """As docs/contract.md#dimensions: scores, then the grid; with a window, of the slots in it."""
    n, net_minor = max(0, facts["purchases"] - facts["full_refunds"]), facts["net_minor"]
    if product.rfm.window is not None:
        moment_us = at_us
        if rules.cuts.window_at_us is not None:  # never before the latest slot, which a refund may have begun
            latest = max((key for key, _, _ in facts["window"] if key), default=KEY_OF_SLOT_0)
            begun_us = (latest - KEY_OF_SLOT_0) * duration_us(product.slot)
            moment_us = max(rules.cuts.window_at_us, facts["last_us"], begun_us)
        first = moment_us // duration_us(product.slot) - product.rfm.window // product.slot + 1 + KEY_OF_SLOT_0
        inside = [(orders, money) for key, orders, money in facts["window"] if key >= first]
        n, net_minor = max(0, sum(orders for orders, _ in inside)), sum(money for _, money in inside)
    if n == 0:
        return "none"
    idle_us, instants = at_us - facts["last_us"], rules.cuts.recency_from_us
    recency = 5 - sum(idle_us >= cut for cut in rules.cuts.recency_us)
    if instants is not None:
        recency = 1 + sum(facts["last_us"] >= instant for instant in instants)
    frequency = 1 + sum(n >= cut for cut in rules.cuts.frequency)
    money = 1 + sum(net_minor >= cut for cut in rules.cuts.monetary_minor)
    return product.rfm.grid[5 - recency][(frequency + money + 1) // 2 - 1]


def price_by_hand(product: Settings, rules: Rules, facts: dict[str, Any], at_us: int) -> str:
    """The rule of the contract, with exact fractions."""
    del rules, at_us
    table = product.price
    if facts["purchases"] < table.min_purchases:
        return "unknown"
    share = Fraction(facts["discounted"], facts["purchases"])
    if share >= Fraction(table.sensitive_from):
        return "sensitive"
    return "full_price" if share <= Fraction(table.full_price_up_to) else "mixed"


def cadence_by_hand(product: Settings, rules: Rules, facts: dict[str, Any], at_us: int) -> str:
    """The rule of the contract, slot by slot."""
    del rules
    orders = max(0, facts["purchases"] - facts["full_refunds"])
    if orders == 0:
        return "none"
    bought = {facts["latest_slot"] - age for age in range(64) if facts["slot_mask"] >> age & 1}
    now = max(at_us // duration_us(product.slot), facts["latest_slot"])
    if sum(now - age in bought for age in range(product.cadence.of_slots)) >= product.cadence.regular_slots:
        return "regular"
    return "one_off" if orders == 1 else "occasional"


def satisfaction_by_hand(product: Settings, rules: Rules, facts: dict[str, Any], at_us: int) -> str:
    """The rule of the contract."""
    del rules
    table = product.satisfaction
    if facts["feedback_us"] == UNKNOWN or at_us - facts["feedback_us"] >= duration_us(table.unknown_after):
        return "unknown"
    if facts["score"] >= table.promoter_from:
        return "promoter"
    return "passive" if facts["score"] >= table.passive_from else "detractor"


def payment_by_hand(product: Settings, rules: Rules, facts: dict[str, Any], at_us: int) -> str:
    """The rule of the contract, with exact fractions."""
    del rules
    if facts["next_due_us"] <= at_us:
        return "overdue"
    settled = facts["settled_invoices"]
    if settled and Fraction(facts["late_invoices"], settled) > Fraction(product.payment.slow_above):
        return "slow"
    return "good" if settled or facts["next_due_us"] != NEVER else "unknown"


def engagement_by_hand(product: Settings, rules: Rules, facts: dict[str, Any], at_us: int) -> str:
    """The rule of the contract: which thresholds' crossings, each up to the whole second after it, are ahead."""
    del rules
    table = product.engagement
    for label in ("core", "active", "visitor"):
        threshold = getattr(table, f"{label}_from")
        if facts["level_log2"] != NOTHING:
            end_s = (facts["level_log2"] - log2(threshold)) * table.half_life.total_seconds()
            if at_us < (floor(end_s + 1e-5) + 1) * 1_000_000 or end_s * 1e6 > LATEST_US:
                return label
    return "dormant"


def value_by_hand(product: Settings, rules: Rules, facts: dict[str, Any], at_us: int) -> str:
    """The rule of the contract: by the two cuts of net money."""
    del product, at_us
    if facts["purchases"] <= facts["full_refunds"]:
        return "none"
    b_from, a_from = rules.cuts.value_minor
    if facts["net_minor"] >= a_from:
        return "a"
    return "b" if facts["net_minor"] >= b_from else "c"


def churn_by_hand(product: Settings, rules: Rules, facts: dict[str, Any], at_us: int) -> str:
    """The rule of the contract: which thresholds' crossings, each up to the whole second after it, are ahead."""
    if facts["purchases"] <= facts["full_refunds"]:
        return "none"
    model, table = rules.cuts.parameters.mbg_nbd, product.churn
    week_us = 7 * DAY_US
    x, t_x = facts["purchase_days"] - 1, (facts["last_us"] - facts["first_us"]) / week_us
    for label in ("low", "medium", "high"):
        p = float(getattr(table if x or not table.one_time else table.one_time, f"{label}_from"))
        power = log((1 / p - 1) * (model.b + x) / model.a) / (model.r + x)
        weeks = (model.alpha_weeks + t_x) * exp(power) - model.alpha_weeks if power < 100 else 1e9
        end_s = facts["first_us"] / 1e6 + weeks * week_us / 1e6
        if at_us < (floor(end_s + 1e-5) + 1) * 1_000_000 or (floor(end_s + 1e-5) + 1) * 1_000_000 > LATEST_US:
            return label
    return "lost"


def clv_by_hand(product: Settings, rules: Rules, facts: dict[str, Any], at_us: int) -> str:
    """By the worth at the moment, but where it crosses a cut within the second before, or before a purchase."""
    if facts["purchases"] <= facts["full_refunds"]:
        return "none"
    model, money = rules.cuts.parameters.mbg_nbd, rules.cuts.parameters.gamma_gamma
    one = History(
        repeats=np.array([max(facts["purchase_days"] - 1.0, 0)]),
        recency_weeks=np.array([(facts["last_us"] - facts["first_us"]) / WEEK_US]),
    )
    x = float(one.repeats[0])
    total = (facts["net_minor"] - facts["first_day_minor"]) / 10 ** minor_digits(product.currency)
    expected = money.p * money.gamma / (money.q - 1)
    if x > 0 and total > 0:
        weight = money.p * x / (money.p * x + money.q - 1)
        expected = (1 - weight) * expected + weight * total / x
    labels = set()
    if rules.cuts.clv_at_us is not None:
        at_us = max(rules.cuts.clv_at_us, facts["last_us"])
    for moment_us in (at_us, at_us - SECOND_US):
        age_weeks = np.array([max((moment_us - facts["first_us"]) / WEEK_US, float(one.recency_weeks[0]))])
        worth = expected * expected_purchases(model, one, age_weeks, product.clv.horizon / timedelta(weeks=1))[0]
        medium_from, high_from = (cut / 10 ** minor_digits(product.currency) for cut in rules.cuts.clv_minor)
        label = "medium" if worth >= medium_from else "low"
        labels.add("high" if worth >= high_from else label)
    return "any" if at_us < facts["last_us"] or len(labels) > 1 else labels.pop()


BY_HAND: dict[str, Callable[[Settings, Rules, dict[str, Any], int], str]] = {
    "lifecycle": lifecycle_by_hand,
    "rfm": rfm_by_hand,
    "price": price_by_hand,
    "cadence": cadence_by_hand,
    "satisfaction": satisfaction_by_hand,
    "engagement": engagement_by_hand,
    "value": value_by_hand,
    "churn": churn_by_hand,
    "clv": clv_by_hand,
    "payment": payment_by_hand,
}


@pytest.mark.parametrize("name", DIMENSIONS)
@given(made=some_rules(), seed=st.integers(0, 2**32))
@trials(60)
def test_every_row_of_the_table_is_read_as_it_is_written(name: str, made: tuple[Rules, Settings], seed: int) -> None:
    """Whole columns give what plain Python gives one customer at a time."""
    rules, product = made
    dice = np.random.default_rng(seed)
    near_us = thresholds_us(rules, product)
    facts = some_facts(dice, near_us, duration_us(product.engagement.half_life), duration_us(product.slot))
    at_us = moments_for(dice, facts, near_us)
    column = [model.name for model in rules.models].index(name)
    codes = rules.classify(facts, at_us)[:, column].tolist()
    for row, code in enumerate(codes):
        columns = {name: getattr(facts, name) for name in (*COLUMNS, "window")} | dict(facts.own)
        one = {name: column[row].tolist() for name, column in columns.items()}
        assert BY_HAND[name](product, rules, one, int(at_us[row])) in {rules.models[column].labels[code], "any"}


@given(product=some_settings())
@trials(50)
def test_fixed_cuts_are_the_settings_thresholds_in_whole_numbers(product: Settings) -> None:
    """Microseconds, orders, and minor units of the settings' currency."""
    cuts, fixed = from_settings(product).cuts, product.rfm.fixed
    assert cuts.version == 0
    assert cuts.recency_us == tuple(map(duration_us, fixed.recency))
    assert cuts.frequency == fixed.frequency
    digits = minor_digits(product.currency)
    assert cuts.monetary_minor == tuple(to_minor(money, digits) for money in fixed.monetary)
    classes = product.value.fixed
    assert cuts.value_minor == (to_minor(classes.b_from, digits), to_minor(classes.a_from, digits))


def test_a_customer_starts_without_a_lifecycle_and_neutral_in_all_else() -> None:
    """Null, and `none`, `unknown` or `dormant`, in the settings' order; the labels of sections start at the code 0."""
    order = ("rfm", "lifecycle", "price", "cadence", "satisfaction", "engagement", "value", "churn", "clv", "payment")
    rules = from_settings(Settings.model_validate({"dimensions": order}))
    assert rules.names == order
    assert rules.start.tolist() == [0, 255, 0, 0, 0, 0, 0, 0, 0, 0]
    neutral = [model.labels[0] for model in rules.models if model.start != 255]
    assert neutral == ["none", "unknown", "none", "unknown", "dormant", "none", "none", "none", "unknown"]
