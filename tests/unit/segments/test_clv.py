"""The clv dimension: money by hand, ends against the curve, late and returned purchases, terciles."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.schemas.settings import Settings
from segflow.segments import histogram
from segflow.segments.gamma_gamma import expected_money
from segflow.segments.instant import DAY_US, NEVER, SECOND_US
from segflow.segments.mbg_nbd import FOR_EVER_WEEKS, History, expected_falls_to_weeks, expected_purchases
from segflow.segments.parameters import CDNOW, MbgNbd
from segflow.segments.purchase_days import FIRST_DAY_MINOR
from segflow.segments.recut import PopulationHistograms, next_cuts
from segflow.segments.rules import from_settings, recut_policy_of
from tests.support.one_customer import course, purchases
from tests.support.random_facts import moments_for, some_facts
from tests.support.trials import trials

SETTINGS = Settings(dimensions=("clv",))


def test_expected_money_lies_between_the_own_mean_and_everybodys() -> None:
    """CDNOW's mean is 35.24; with more repeat days the own counts more; without any, or below zero, not at all."""
    money = expected_money(CDNOW.gamma_gamma, np.array([0.0, 1, 10, 3, 3]), np.array([0.0, 80, 800, 0, -5]))
    assert money.round(2).tolist() == [35.24, 66.36, 78.12, 35.24, 35.24]


@given(
    numbers=st.lists(st.floats(0.05, 20), min_size=4, max_size=4),
    x=st.integers(0, 300),
    t_x=st.floats(0, 500),
    wanted=st.floats(0.001, 50),
)
def test_the_crossing_found_is_where_the_curve_falls_to_what_was_wanted(
    numbers: list[float], x: int, t_x: float, wanted: float
) -> None:
    """The expectation there is what was wanted, or it is below at the latest purchase, or above for ever."""
    model = MbgNbd(**dict(zip(("r", "alpha_weeks", "a", "b"), numbers, strict=True)))
    one = History(repeats=np.array([float(x)]), recency_weeks=np.array([t_x]))
    found = float(expected_falls_to_weeks(model, one, np.array([[wanted]]), 26)[0, 0])
    if found == -np.inf:
        assert expected_purchases(model, one, np.array([t_x]), 26)[0] < wanted
    elif found < FOR_EVER_WEEKS:
        assert found >= t_x * (1 - 1e-12)
        assert expected_purchases(model, one, np.array([found]), 26)[0] == pytest.approx(wanted, rel=1e-5)


def test_one_customer_is_cut_as_among_many() -> None:
    """Neighbours in the column change no digit."""
    dice = np.random.default_rng(3)
    many = History(repeats=dice.integers(0, 40, 200).astype(float), recency_weeks=dice.uniform(0, 80, 200))
    wanted = dice.uniform(0.01, 5, (200, 2))
    together = expected_falls_to_weeks(CDNOW.mbg_nbd, many, wanted, 26)
    for row in range(200):
        alone = History(repeats=many.repeats[row : row + 1], recency_weeks=many.recency_weeks[row : row + 1])
        assert (expected_falls_to_weeks(CDNOW.mbg_nbd, alone, wanted[row : row + 1], 26)[0] == together[row]).all()


def with_amounts(*amounts: float) -> list[dict[str, Any]]:
    """A purchase every two weeks, of these amounts."""
    log = purchases(*(14.0 * number for number in range(len(amounts))))
    return [event | {"amount": amount} for event, amount in zip(log, amounts, strict=True)]


def test_who_comes_often_and_pays_much_is_high_until_silence_says_otherwise() -> None:
    """Each class ends at its own moment; in whatever order purchases came, the end is the same."""
    log = with_amounts(20, 90, 90, 90, 90)
    way = course(log, "clv")
    assert [label for _, label, _ in way][-3:] == ["high", "medium", "low"]
    late = course([log[place] for place in (2, 4, 0, 3, 1)], "clv")
    assert late[-2:] == way[-2:]
    dearer_first_day = course(with_amounts(900, 90, 90, 90, 90), "clv")
    assert dearer_first_day[-2:] == way[-2:]  # what the first day brought says nothing


def test_refunds_come_off_the_repeat_days_and_returning_everything_is_none() -> None:
    """Less money is worth less; no order that counts is none."""
    log = with_amounts(20, 90, 90, 90, 90)
    money = {
        "type": "refund",
        "event_id": "r",
        "customer_id": "c",
        "order_id": "o",
        "occurred_at": log[-1]["occurred_at"],
    }
    assert course([*log, money | {"amount": 300}], "clv")[-1][0] < course(log, "clv")[-1][0]
    all_back = [
        money | {"event_id": f"r{number}", "order_id": f"o{number}", "amount": 1, "full": True} for number in range(5)
    ]
    assert course([*log, *all_back], "clv")[-1][1] == "none"


def test_terciles_are_thirds_of_what_the_living_are_worth() -> None:
    """With enough of them; fixed below."""
    product = Settings.model_validate(
        {"dimensions": ["clv"], "clv": {"cuts": "terciles"}, "recut": {"min_population": 30}}
    )
    policy, held = recut_policy_of(product), from_settings(product).cuts
    assert policy.wanted
    scan = PopulationHistograms(living=30, worth=histogram.count(np.arange(100, 3100, 100), histogram.FINE_RATIO))
    new = next_cuts(scan, 7, held, policy)
    assert new is not None
    assert new.clv_minor == pytest.approx((1000, 2000), rel=0.002)
    assert new.clv_at_us == 7
    assert next_cuts(PopulationHistograms(living=29, worth=scan.worth), 7, held, policy) is None


def test_each_recut_of_clv_is_a_version_though_no_cut_moved() -> None:
    """Everybody is worth less than at the one before, and is compared as of the new moment."""
    product = Settings.model_validate(
        {"dimensions": ["clv"], "clv": {"cuts": "terciles"}, "recut": {"min_population": 30}}
    )
    policy, fixed = recut_policy_of(product), from_settings(product).cuts
    scan = PopulationHistograms(living=30, worth=histogram.count(np.arange(100, 3100, 100), histogram.FINE_RATIO))
    held = next_cuts(scan, 7, fixed, policy)
    assert held is not None
    assert next_cuts(scan, 8, held, policy) == replace(held, clv_at_us=8)
    nearly = PopulationHistograms(living=30, worth=histogram.count(np.arange(98, 3038, 98), histogram.FINE_RATIO))
    lower = next_cuts(nearly, 8, held, policy)
    assert lower is not None
    assert lower.clv_minor == pytest.approx((980, 1960), rel=0.002)  # also where it is by less than 5 %
    assert not recut_policy_of(SETTINGS).wanted


@given(seed=st.integers(0, 2**32), factor=st.sampled_from([15_000, 16_384, 7, 10**6]))
@trials(60)
def test_cuts_in_proportion_give_the_same_labels_in_another_currency(seed: int, factor: int) -> None:
    """Amounts, gamma and cuts times 15,000, as rupiah are to dollars: the same classes, ending at the same second."""
    dice = np.random.default_rng(seed)
    facts = some_facts(dice, [DAY_US])
    first_day = {FIRST_DAY_MINOR.name: facts[FIRST_DAY_MINOR] * factor}
    dearer = replace(facts, net_minor=facts.net_minor * factor, own={**facts.own, **first_day}, _computed={})
    here = from_settings(SETTINGS)
    money = replace(CDNOW.gamma_gamma, gamma=CDNOW.gamma_gamma.gamma * factor)
    cuts = replace(
        here.cuts,
        clv_minor=(here.cuts.clv_minor[0] * factor, here.cuts.clv_minor[1] * factor),
        parameters=replace(CDNOW, gamma_gamma=money),
    )
    at_us = moments_for(dice, facts, [DAY_US, 60 * DAY_US])
    there = here.with_cuts(cuts)
    codes = here.classify(facts, at_us)
    assert (there.classify(dearer, at_us) == codes).all()
    ends, other_ends = (each.deadlines(who, at_us, codes) for each, who in ((here, facts), (there, dearer)))
    assert ((ends == NEVER) == (other_ends == NEVER)).all()
    assert (np.abs(ends - other_ends) <= SECOND_US).all()


def test_of_no_time_nothing_is_expected() -> None:
    """As where `segflow fit --held-out 0d` holds nothing out; and without a warning."""
    some = History(repeats=np.array([0.0, 3.0]), recency_weeks=np.array([0.0, 9.0]))
    assert expected_purchases(CDNOW.mbg_nbd, some, np.array([5.0, 12.0]), 0.0).tolist() == [0, 0]
