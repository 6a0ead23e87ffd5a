"""The churn dimension: known answers, the closed crossing against the curve, distinct days, examples by hand."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.schemas.settings import Settings
from segflow.segments.instant import DAY_US
from segflow.segments.mbg_nbd import History, falls_to_weeks, p_alive
from segflow.segments.parameters import CDNOW, MbgNbd, Parameters
from segflow.segments.purchase_days import with_purchase
from segflow.segments.recut import PopulationHistograms, next_cuts
from segflow.segments.rules import fixed_cuts, recut_policy_of
from segflow.segments.slots import NO_SLOT
from tests.support.histories import written
from tests.support.one_customer import FIRST, course, purchases

SETTINGS = Settings(dimensions=("churn",))


def histories(*pairs: tuple[float, float]) -> History:
    """Customers of (x, t_x)."""
    repeats, recency_weeks = np.array(pairs, dtype=np.float64).T
    return History(repeats=repeats, recency_weeks=recency_weeks)


def test_the_chance_to_be_alive_is_that_of_the_published_tables() -> None:
    """CDNOW's parameters at T = 39 weeks."""
    some = histories((0, 0), (1, 10), (2, 20), (5, 30))
    assert p_alive(CDNOW.mbg_nbd, some, np.full(4, 39.0)).round(3).tolist() == [0.389, 0.380, 0.506, 0.685]
    assert p_alive(CDNOW.mbg_nbd, histories((0, 0)), np.zeros(1)).round(2).tolist() == [0.64]


@given(
    numbers=st.lists(st.floats(0.05, 20), min_size=4, max_size=4),
    x=st.integers(0, 300),
    t_x=st.floats(0, 500),
    chance=st.floats(0.01, 0.99),
)
def test_the_closed_crossing_is_where_the_curve_falls_to_the_threshold(
    numbers: list[float], x: int, t_x: float, chance: float
) -> None:
    """P(T*) = p, no lower a second before, no higher a second after. Before the latest purchase: passed already."""
    model = MbgNbd(**dict(zip(("r", "alpha_weeks", "a", "b"), numbers, strict=True)))
    one = histories((x, t_x))
    crossing = float(falls_to_weeks(model, one, np.array([chance]))[0, 0])
    if crossing < t_x:
        assert p_alive(model, one, np.array([t_x]))[0] <= chance + 1e-9  # passed by less than a float can tell
    elif crossing < 10_000:  # 190 years
        second = 1 / (7 * 86_400)
        before, at, after = p_alive(model, one, crossing + np.array([-second, 0, second]))
        assert at == pytest.approx(chance, abs=1e-9)
        assert before >= at >= after


days = st.lists(st.integers(0, 200), min_size=1, max_size=20)


@given(bought=days, latest_first=st.booleans())
def test_distinct_days_are_counted_whatever_the_order_within_the_mask(bought: list[int], latest_first: bool) -> None:
    """In time order exactly; out of it, whatever is no more than 63 days late; what is later counts as a new day."""
    bought = sorted(bought) if not latest_first else bought
    latest, mask, count = (
        np.array([NO_SLOT], dtype=np.int32),
        np.zeros(1, dtype=np.uint64),
        np.zeros(1, dtype=np.uint32),
    )
    known: set[int] = set()
    expected = 0
    for number, day in enumerate(bought):
        expected += day not in known
        known = {each for each in {*known, day} if each > max(*bought[: number + 1], day) - 64}
        time = np.array([day * DAY_US + number])
        latest, mask, count = with_purchase(latest, mask, count, time)
    assert (latest[0], count[0]) == (max(bought), expected)
    if not latest_first:
        assert count[0] == len(set(bought))


def crossing(x: int, t_x_days: float, chance: float) -> str:
    """The second after P falls to `chance`, by bisection of the curve itself."""
    model = CDNOW.mbg_nbd
    low, high = t_x_days / 7, 1e5
    for _ in range(200):
        middle = (low + high) / 2
        age = (model.alpha_weeks + middle) / (model.alpha_weeks + t_x_days / 7)
        alive = 1 / (1 + model.a / (model.b + x) * age ** (model.r + x))
        low, high = (middle, high) if alive > chance else (low, middle)
    return written((FIRST + timedelta(weeks=low)).replace(microsecond=0) + timedelta(seconds=1))


def test_churn_by_hand() -> None:
    """A new buyer starts at 0.64: medium. Silence ends each label the second after the curve falls to its threshold."""
    assert course(purchases(0), "churn") == [
        ("2024-01-04T00:00:00Z", "medium", "event"),
        (crossing(0, 0, 0.4), "high", "time"),
        (crossing(0, 0, 0.1), "lost", "time"),
    ]
    weekly = [7 * week for week in range(10)]
    monthly = [28 * month for month in range(10)]
    for on in (weekly, monthly):
        way = course(purchases(*on), "churn")
        assert [at for at, _, cause in way if cause == "time"][-3:] == [crossing(9, on[-1], p) for p in (0.7, 0.4, 0.1)]
        assert [label for _, label, _ in way[-4:]] == ["low", "medium", "high", "lost"]
    silence = [
        datetime.fromisoformat(crossing(9, on[-1], 0.4)) - FIRST - timedelta(days=on[-1]) for on in (weekly, monthly)
    ]
    assert silence[0] * 2 < silence[1]  # each by the customer's own rhythm


def test_a_second_purchase_on_one_day_is_no_repeat() -> None:
    """The repeats stay 0; only t_x grows, by hours."""
    assert [label for _, label, _ in course(purchases(0, 0.3, 0.9), "churn")] == ["medium", "high", "lost"]
    assert course(purchases(0, 0.5), "churn")[1][0] == crossing(0, 0.5, 0.4)
    assert course(purchases(0, 1), "churn")[2][0] == crossing(1, 1, 0.7)


def test_one_time_buyers_can_have_thresholds_of_their_own() -> None:
    """Only with a single purchase day."""
    own = {"one_time": {"low_from": 0.6, "medium_from": 0.3, "high_from": 0.2}}
    assert course(purchases(0), "churn", churn=own) == [
        ("2024-01-04T00:00:00Z", "low", "event"),
        (crossing(0, 0, 0.6), "medium", "time"),
        (crossing(0, 0, 0.3), "high", "time"),
        (crossing(0, 0, 0.2), "lost", "time"),
    ]
    assert course(purchases(0, 30), "churn", churn=own)[-3:] == course(purchases(0, 30), "churn")[-3:]


def test_returning_everything_is_none_and_late_purchases_count() -> None:
    """No order that counts: none. A purchase before the first one moves the whole curve."""
    back = {"event_id": "r", "customer_id": "c", "type": "refund", "order_id": "o", "amount": 10, "full": True}
    assert [label for _, label, _ in course([*purchases(0), back | {"occurred_at": written(FIRST)}], "churn")] == [
        "medium",
        "none",
    ]
    bought = purchases(0, 40, 100)
    in_order, late = course(bought, "churn"), course([bought[place] for place in (1, 2, 0)], "churn")
    assert [each for each in late if each[2] == "time"][-2:] == [each for each in in_order if each[2] == "time"][-2:]


def test_a_chance_that_stays_above_until_the_year_9999_never_falls() -> None:
    """No deadline, also with parameters whose crossing no double holds."""
    slow = {"mbg_nbd": {"r": 0.001, "a": 0.001, "b": 1000.0}}
    assert course(purchases(0), "churn", parameters=slow) == [("2024-01-04T00:00:00Z", "low", "event")]


def test_parameters_come_from_the_settings_and_outlive_a_recut() -> None:
    """New cuts of the population keep the parameters that hold, also below the smallest population."""
    product = Settings.model_validate({"parameters": {"mbg_nbd": {"r": 0.25}}})
    assert fixed_cuts(product).parameters == Parameters(mbg_nbd=MbgNbd(r=0.25))
    assert fixed_cuts(Settings()).parameters == CDNOW
    fitted = Parameters(mbg_nbd=MbgNbd(r=2.0))
    held = replace(fixed_cuts(product), version=5, frequency=(1, 2, 3, 4), parameters=fitted)
    new = next_cuts(PopulationHistograms(), 0, held, recut_policy_of(product))
    assert new is not None
    assert new.parameters == fitted


def test_crossings_come_in_the_thresholds_order() -> None:
    """Lower chances later, for the busiest customers too, whose exponents are tiny."""
    chances = np.array([0.9, 0.7, 0.4, 0.1])
    weeks = falls_to_weeks(CDNOW.mbg_nbd, histories((0, 0), (3, 8), (10**9, 5000)), chances)
    assert all(one <= other for row in weeks.tolist() for one, other in pairwise(row))
    assert log(weeks[0, 3]) > log(weeks[0, 2])
