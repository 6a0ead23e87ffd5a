"""The oracle's clv dimension, held to published formulas and to examples worked out by hand from the contract."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.churn import SECOND_US, WEEK_US, alive, mp, number
from tests.oracle.clv import Prospects, expected_money, expected_purchases, first_second_below, prospects_of
from tests.oracle.rules import DEFAULT_GAMMA_GAMMA, DEFAULT_MBG_NBD, OracleRules
from tests.oracle.simulation import Shard, Sweep, simulate
from tests.support.by_hand import Item, day, moves, only, purchase, refund, segment
from tests.support.trials import trials

CLV = only("clv")
LIFE_US = st.integers(0, 10**14)


def prospects(log: list[Item]) -> Prospects:
    """Return what c1 promises after the log."""
    shard = Shard(CLV)
    for item in log:
        shard.step(item)
    return prospects_of(shard.customers["c1"].facts, CLV)


@given(x=st.integers(0, 40), t_x=st.integers(0, 200), silence=st.integers(0, 500), horizon=st.integers(1, 200))
@trials(50)
def test_expected_purchases_are_the_published_formulas(x: int, t_x: int, silence: int, horizon: int) -> None:
    """Wagner and Hoppe's, with Gauss's function in its first form."""
    r, alpha, a, b = map(number, DEFAULT_MBG_NBD)
    t = t_x + silence
    z = mp.mpf(horizon) / (alpha + t + horizon)
    conditional = (a + b + x) / (a - 1) * (1 - (1 - z) ** (r + x) * mp.hyp2f1(r + x, b + x + 1, a + b + x, z))
    published = conditional * alive(x, number(t_x), number(t), DEFAULT_MBG_NBD)
    mine = expected_purchases(x, number(t_x), number(t), number(horizon), DEFAULT_MBG_NBD)
    assert mp.fabs(mine - published) <= mp.fabs(published) * mp.mpf(10) ** -40


def test_expected_purchases_are_what_the_process_gives() -> None:
    """For a customer of nothing but one purchase, by the model's own definition.

    Lambda ~ Gamma(r, alpha), p ~ Beta(a, b), alive after the first purchase with 1 - p: what is expected in h weeks is
    E[(1 - p) (1 - exp(-lambda p h)) / p]. For fixed p the Gamma's transform gives 1 - (alpha / (alpha + p h))^r.
    """
    r, alpha, a, b = map(number, DEFAULT_MBG_NBD)
    horizon = 26

    def density_times_purchases(p: Any) -> Any:
        return p ** (a - 2) * (1 - p) ** b * (1 - (alpha / (alpha + p * horizon)) ** r) / mp.beta(a, b)

    with mp.workdps(20):
        by_definition = mp.quad(density_times_purchases, [0, mp.mpf("0.01"), mp.mpf("0.5"), 1])
    mine = expected_purchases(0, number(0), number(0), number(horizon), DEFAULT_MBG_NBD)
    assert mp.fabs(mine - by_definition) < mp.mpf(10) ** -8


@pytest.mark.parametrize(
    "parameters",
    [DEFAULT_MBG_NBD, ("2", "4.3", "1", "1.7"), ("30", "75", "4000", "90000"), ("3.1", "11.7", "0.21", "0.37")],
)
@given(x=st.integers(0, 12), t_x=st.integers(0, 100), silence=st.integers(0, 100), horizon=st.integers(1, 60))
@trials(8)
def test_expected_purchases_are_those_that_come_before_the_customer_is_lost(
    parameters: tuple[Any, Any, Any, Any], x: int, t_x: int, silence: int, horizon: int
) -> None:
    """Counted one by one, as all terms are above zero: also where functions of large parameters lose their digits.

    Whoever is never lost buys n times in the horizon, a negative binomial number (r + x, z). The k-th of these comes
    where each one before it left the customer: E[(1 - p)^(k - 1)], p ~ Beta(a, b + x + 1).
    """
    mbg_nbd = tuple(map(Fraction, parameters))
    r, alpha, a, b = map(number, mbg_nbd)
    t = t_x + silence
    z = mp.mpf(horizon) / (alpha + t + horizon)
    chance, rest = (1 - z) ** (r + x), mp.mpf(1)  # of n purchases, of more than those counted
    stays, counted, n = mp.mpf(1), mp.mpf(0), 0
    while rest > mp.mpf(10) ** -45:
        rest -= chance
        counted += stays * rest
        stays *= (b + x + 1 + n) / (a + b + x + 1 + n)
        chance *= z * (r + x + n) / (n + 1)
        n += 1
    mine = expected_purchases(x, number(t_x), number(t), number(horizon), mbg_nbd)  # type: ignore[arg-type]
    by_counting = counted * alive(x, number(t_x), number(t), mbg_nbd)  # type: ignore[arg-type]
    assert mp.fabs(mine - by_counting) <= by_counting * mp.mpf(10) ** -35


def test_an_a_of_one_is_no_special_case() -> None:
    """The published formula divides by a - 1; the limit is between its neighbours."""
    below, at, above = (
        expected_purchases(2, number(5), number(9), number(26), (*DEFAULT_MBG_NBD[:2], Fraction(a), DEFAULT_MBG_NBD[3]))
        for a in ("0.99", "1", "1.01")
    )
    assert above < at < below


@pytest.mark.parametrize(
    ("x", "repeat_money", "money"),
    [
        (0, 0, "35.24"),  # the population's: 6.25 * 15.45 / 2.74
        (3, 0, "35.24"),
        (3, -5, "35.24"),
        (1, 10, "17.69"),  # 6.25 * (15.45 + 10) / (6.25 + 2.74)
        (4, 400, "93.60"),  # 6.25 * (15.45 + 400) / (25 + 2.74): nearly the customer's own mean
    ],
)
def test_expected_money_leans_on_the_customers_own_mean_the_more_the_more_they_bought(
    x: int, repeat_money: int, money: str
) -> None:
    """Gamma-Gamma says p (gamma + x m) / (p x + q - 1)."""
    assert f"{float(expected_money(x, Fraction(repeat_money), DEFAULT_GAMMA_GAMMA)):.2f}" == money


def test_the_first_days_money_is_left_out_wherever_the_first_day_turns_out_to_be() -> None:
    """Two purchases on the first day; then an earlier day comes late, and those two become a repeat day's."""
    log = [purchase("a", 5, "100"), purchase("b", 5.5, "50"), purchase("c", 9, "30")]
    assert prospects(log).repeat_money == 30
    assert prospects([*log, purchase("d", 2, "7")]).repeat_money == 180
    assert prospects([*log, purchase("d", 2, "7"), refund("r", 9, "20.50")]).repeat_money == Fraction("159.5")
    assert prospects(log[::-1]) == prospects(log)


@given(x=st.integers(0, 40), life_us=LIFE_US, repeat=st.integers(0, 10**4), cut=st.integers(1, 500))
@trials(30)
def test_clv_is_below_its_cut_from_the_crossing_on_and_not_before(x: int, life_us: int, repeat: int, cut: int) -> None:
    """The whole second, where there is one ahead."""
    some = prospects_like(x, life_us, repeat)
    second = first_second_below(Fraction(cut), some)
    latest_us = some.rhythm[2]
    if second is not None and second * SECOND_US > latest_us:
        assert some.clv(second * SECOND_US) < cut
        assert some.clv(max((second - 1) * SECOND_US, latest_us)) >= cut
    elif second is not None:
        assert some.clv(latest_us) < cut


@given(x=st.integers(0, 40), life_us=LIFE_US, silence=st.integers(0, 10**15), more=st.integers(1, 10**14))
@trials(50)
def test_clv_only_falls_with_silence(x: int, life_us: int, silence: int, more: int) -> None:
    """What bisection stands on."""
    some = prospects_like(x, life_us, 0)
    latest_us = some.rhythm[2]
    assert some.clv(latest_us + silence) > some.clv(latest_us + silence + more)


def prospects_like(x: int, life_us: int, repeat_money: int) -> Prospects:
    """Return a customer of so many repeat days, so long between the first and the latest."""
    first_us = 1_700_000_000_123_456
    return Prospects(
        (x, first_us, first_us + life_us), Fraction(repeat_money), CLV.clv_horizon, CLV.mbg_nbd, CLV.gamma_gamma
    )


def test_silence_walks_a_customer_down_and_a_purchase_brings_them_back() -> None:
    """One purchase is worth some 32 now (0.9 purchases of 35), which falls below 25 within weeks."""
    log: list[Item] = [purchase("a", 0, "500"), Sweep(day(200))]
    changes = simulate(log, CLV)
    assert [(c["previous"], c["current"]) for c in changes] == [("none", "medium"), ("medium", "low")]
    fall = first_second_below(Fraction(25), prospects(log))
    assert fall is not None
    assert fall * SECOND_US - prospects(log).rhythm[1] < 10 * WEEK_US
    assert changes[0]["next"]["at"] == changes[1]["effective_at"]
    assert segment([*log, purchase("b", 201, "500")], "clv", CLV) == "high"


def test_clv_is_none_without_an_order_that_counts() -> None:
    """A full refund of the only order; a later purchase is one again."""
    log: list[Item] = [purchase("a", 0, "500"), refund("r", 1, "1", full=True)]
    assert [label for *_, label, _ in moves(simulate(log, CLV))] == ["medium", "none"]


def test_a_cut_that_is_never_reached_has_no_deadline() -> None:
    """Whatever is left is above a tiny part of a cent for all of the calendar."""
    rules = OracleRules(dimensions=("clv",), clv_cuts=(Fraction(1, 10**9), Fraction(1, 10**10)))  # type: ignore[arg-type]
    (change,) = simulate([purchase("a", 0), Sweep(day(500_000))], replace(rules, clv_horizon=CLV.clv_horizon))
    assert (change["current"], change["next"]) == ("high", None)
