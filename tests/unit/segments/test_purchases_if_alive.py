"""What a customer who is alive buys: a number under all parameters that settings accept, and the right one."""

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from segflow.schemas.parameters import SHAPES, WEEKS
from segflow.segments.mbg_nbd import FOR_EVER_WEEKS, History, expected_falls_to_weeks, expected_purchases
from segflow.segments.parameters import CDNOW, MbgNbd
from segflow.segments.purchases_if_alive import _by_hyp2f1, _by_series, _by_summation, purchases_if_alive
from tests.support.numeric_reference import purchases_if_alive as by_quadrature
from tests.support.trials import trials

NINE_DIGITS = 1e-9
LEAST_GROWTH = 1e-15
"""Of the purchases: the slope of a root search, which needs no digits of less."""
HORIZON_WEEKS = 26.0
LONGEST_WEEKS = 521_722.0
"""The longest duration that settings accept."""

shapes = st.floats(np.log(SHAPES[0]), np.log(SHAPES[1])).map(lambda each: float(np.exp(each).clip(*SHAPES)))
shapes = st.sampled_from([*SHAPES, 1.0]) | shapes
likely = st.floats(0.05, 20)
repeats = st.sampled_from([0, 1, 2, 7, 40, 3000, 3_652_059])
ratios = st.floats(-10, 13).map(lambda power: 10.0**power) | st.floats(0.001, 20)


def one(parameters: MbgNbd, x: float, w: float) -> tuple[float, float]:
    """The expectation and its growth, of a single customer."""
    found = purchases_if_alive(parameters, np.array([float(x)]), np.array([w]))
    return float(found.purchases[0]), float(found.growth[0])


@pytest.mark.slow  # a grid of all that settings accept
@pytest.mark.parametrize("horizon_weeks", [1.7e-12, HORIZON_WEEKS, LONGEST_WEEKS])
def test_no_parameters_that_settings_accept_give_anything_but_a_number(horizon_weeks: float) -> None:
    """Over a grid of the whole range: not one of 10,584 expectations and 7,056 crossings.

    Of those within 26 weeks 3,631 were none before (34 %), and NaN compared as below: `low`.
    """
    some = list(product([0, 1, 5, 40, 300, 4000], [0.0, 1.0, 20.0, 500.0]))
    x, silence = np.array(some, dtype=np.float64).T
    history = History(repeats=x, recency_weeks=np.where(x > 0, 30.0, 0.0))
    grid = np.geomspace(*SHAPES, 7)
    wrong = 0
    for r, a, b in product(grid, grid[::3], grid):
        for alpha in (WEEKS[0], 6.183, WEEKS[1]):
            parameters = MbgNbd(r=float(r), alpha_weeks=alpha, a=float(a), b=float(b))
            expected = expected_purchases(parameters, history, history.recency_weeks + silence, horizon_weeks)
            wrong += int(np.count_nonzero(~np.isfinite(expected) | (expected < 0)))
        weeks = expected_falls_to_weeks(parameters, history, np.array([[0.7, 1e-30]] * len(x)), horizon_weeks)
        wrong += int(np.count_nonzero(np.isnan(weeks)))
    assert wrong == 0


@pytest.mark.slow
@given(r=shapes | likely, a=shapes | likely, b=shapes | likely, x=repeats, w=ratios)
@example(r=1.0, a=1.0, b=1.0, x=0, w=6.5)
@example(r=1.2637760260138018, a=0.26377602601378974, b=128.4, x=3, w=5420.0)  # r - a near a whole number
@example(r=1.0, a=4.0, b=164.2, x=0, w=9.45)
@example(r=0.5, a=0.5, b=28.57, x=3, w=4.27e4)
@example(r=3.6, a=1.00000001, b=1.6, x=2, w=0.3)
@example(r=5.78, a=0.697, b=161.0, x=0, w=8.57e5)
@trials(60)
def test_the_expectation_has_nine_digits(r: float, a: float, b: float, x: int, w: float) -> None:
    """Against quadrature in 30 digits, by each way there is: also where r - a is whole, and a is or is nearly 1."""
    exact = by_quadrature(r + x, a, b + x + 1, w)
    found, _ = one(MbgNbd(r=r, a=a, b=b), x, w)
    assert found == pytest.approx(float(exact), rel=NINE_DIGITS)


@given(r=likely, a=likely, b=likely, x=repeats, w=st.floats(1e-4, 8))
@example(r=1.0, a=15.0, b=1.0, x=3_652_059, w=5.0)  # what grows is 1e-10 of what there is
@trials(200)
def test_the_ways_meet_where_one_takes_over_from_another(r: float, a: float, b: float, x: int, w: float) -> None:
    """The sum is as good as the closed form wherever that is trusted, and as the series for who is far."""
    parameters, repeats_of, ratio = MbgNbd(r=r, a=a, b=b), np.array([float(x)]), np.array([w])
    summed = _by_summation(parameters, repeats_of, ratio)
    closed, trusted = _by_hyp2f1(parameters, repeats_of, ratio)
    if trusted.all():
        assert closed.purchases == pytest.approx(summed.purchases, rel=NINE_DIGITS)
        least = LEAST_GROWTH * float(closed.purchases[0])
        assert closed.growth == pytest.approx(summed.growth, rel=NINE_DIGITS, abs=least)
    far = np.array([1e-3 * (a + b + x + 1) / ((r + x + 1) * (a + 1))])
    few, all_of_it = _by_series(parameters, repeats_of, far), _by_summation(parameters, repeats_of, far)
    assert few.purchases == pytest.approx(all_of_it.purchases, rel=1e-12)
    assert few.growth == pytest.approx(all_of_it.growth, rel=1e-12)


@given(r=shapes | likely, a=shapes | likely, b=shapes | likely, x=repeats, w=st.floats(1e-6, 1e6))
@trials(100)
def test_the_growth_is_the_derivative_by_the_logarithm_of_w(r: float, a: float, b: float, x: int, w: float) -> None:
    """Against differences."""
    parameters, step = MbgNbd(r=r, a=a, b=b), 1e-4
    (ahead, _), (behind, _) = one(parameters, x, w * np.exp(step)), one(parameters, x, w * np.exp(-step))
    found, growth = one(parameters, x, w)
    assert growth == pytest.approx((ahead - behind) / (2 * step), rel=1e-4, abs=1e-4 * found)


def test_a_of_one_is_the_limit_from_either_side() -> None:
    """The closed form divides by a - 1, and at 1 there is nothing special about the expectation."""
    below, at, above = (one(MbgNbd(a=a), 3, 0.8)[0] for a in (1 - 1e-4, 1.0, 1 + 1e-4))
    assert below > at > above
    assert at == pytest.approx((below + above) / 2, rel=1e-8)


@pytest.mark.slow
def test_a_customer_alone_gets_what_he_gets_among_many() -> None:
    """Each way there is sums up with nodes of the customer's own: neighbours change no digit."""
    dice = np.random.default_rng(4)
    x, w = dice.integers(0, 40, 150).astype(np.float64), 10 ** dice.uniform(-5, 5, 150)
    for parameters in (CDNOW.mbg_nbd, MbgNbd(r=1.0, a=1.0, b=1.0), MbgNbd(r=40.0, a=3e5, b=9e5)):
        together = purchases_if_alive(parameters, x, w)
        for row in range(len(x)):
            alone = purchases_if_alive(parameters, x[row : row + 1], w[row : row + 1])
            assert (alone.purchases[0], alone.growth[0]) == (together.purchases[row], together.growth[row])


@given(
    r=shapes,
    a=shapes,
    b=shapes,
    alpha=st.floats(-6, 9),
    horizon=st.floats(-6, 5),
    seed=st.integers(0, 2**32),
)
@trials(60)
def test_the_crossing_is_found_under_any_parameters(
    r: float, a: float, b: float, alpha: float, horizon: float, seed: int
) -> None:
    """A part in a million of the silence before it the expectation is not below, and as much after it not above."""
    dice = np.random.default_rng(seed)
    parameters, weeks = MbgNbd(r=r, alpha_weeks=10.0**alpha, a=a, b=b), 10.0**horizon
    x = np.floor(10 ** dice.uniform(0, 6, 20)) * (dice.random(20) < 0.7)
    last = np.where(x > 0, 10 ** dice.uniform(-4, 5, 20), 0)
    history = History(repeats=x, recency_weeks=last)
    highest = expected_purchases(parameters, history, last, weeks)
    wanted = np.maximum(highest * 10 ** -dice.choice([1e-6, 0.1, 3, 100], 20), 1e-290)
    found = expected_falls_to_weeks(parameters, history, wanted[:, None], weeks)[:, 0]
    assert not np.isnan(found).any()
    assert ((found > -np.inf) == (highest >= wanted)).all()
    ahead = (found > -np.inf) & (found < FOR_EVER_WEEKS)
    ages = np.where(ahead, found, last)
    for nudge in (-1e-6, 1e-6):
        near = expected_purchases(parameters, history, np.maximum(ages + nudge * (ages - last), last), weeks)
        ratio = np.where(ahead, near / wanted, 1)
        assert ((ratio >= 1 - 1e-9) if nudge < 0 else (ratio <= 1 + 1e-9)).all()
