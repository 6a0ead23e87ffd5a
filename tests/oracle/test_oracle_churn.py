"""The oracle's churn dimension, held to the contract's known answers and to examples worked out by hand."""

from dataclasses import replace
from datetime import datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.churn import WEEK_US, alive, crossing_s, first_second_after, number
from tests.oracle.rules import DEFAULT_MBG_NBD, OracleRules
from tests.oracle.simulation import Shard, Sweep, simulate
from tests.support.by_hand import MICROSECOND, Item, day, event, moves, only, purchase, refund, segment
from tests.support.trials import trials

CHURN = only("churn")
# P = 1 / (1 + (4 + T) / 4): 1/2 at the first purchase, 1/3 after 4 weeks, 1/6 after 16.
BY_HAND = OracleRules(
    dimensions=("churn",),
    mbg_nbd=(Fraction(1), Fraction(4), Fraction(1), Fraction(1)),
    churn_thresholds=(Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)),
)


@pytest.mark.parametrize(("x", "t_x", "p"), [(0, 0, "0.389"), (1, 10, "0.380"), (2, 20, "0.506"), (5, 30, "0.685")])
def test_the_chance_to_be_alive_is_the_contracts(x: int, t_x: int, p: str) -> None:
    """Known answers at T = 39 weeks, to the three digits given."""
    assert f"{float(alive(x, number(t_x), number(39), DEFAULT_MBG_NBD)):.3f}" == p


def test_a_brand_new_buyer_starts_at_medium() -> None:
    """With CDNOW's parameters P is 0.64 at the first purchase: the threshold of low has been passed already."""
    assert f"{float(alive(0, number(0), number(0), DEFAULT_MBG_NBD)):.2f}" == "0.64"
    assert segment([purchase("p", 0)], "churn", CHURN) == "medium"


def test_crossings_on_whole_seconds_take_effect_a_second_later() -> None:
    """P is at the threshold at 0, 4 and 16 weeks and below it from the next second on."""
    log: list[Item] = [purchase("p", 0)]
    assert segment(log, "churn", BY_HAND) == "low"
    assert [(c["effective_at"], c["current"]) for c in simulate([*log, Sweep(day(1000))], BY_HAND)] == [
        ("2026-01-01T00:00:00Z", "low"),
        ("2026-01-01T00:00:01Z", "medium"),
        ("2026-01-29T00:00:01Z", "high"),
        ("2026-04-23T00:00:01Z", "lost"),
    ]


def test_a_crossing_between_seconds_takes_effect_at_the_next_one() -> None:
    """Bought a microsecond after midnight: the crossings are that much after a second, so the next one counts."""
    log = [event("purchase", "p", day(0) + MICROSECOND, amount=1), Sweep(day(1000))]
    assert [c["effective_at"][10:] for c in simulate(log, BY_HAND)[1:]] == ["T00:00:01Z"] * 3


def test_every_buyer_has_a_rhythm_of_their_own() -> None:
    """A weekly buyer of half a year is at high risk after some weeks of silence, a quarterly one much later."""
    weekly: list[Item] = [purchase(f"w{week}", 7 * week, customer="weekly") for week in range(26)]
    quarterly: list[Item] = [purchase(f"q{quarter}", 91 * quarter, customer="quarterly") for quarter in range(9)]
    for log, latest, customer, least, most in (
        (weekly, 175, "weekly", 14, 60),
        (quarterly, 728, "quarterly", 120, 400),
    ):
        changes = simulate([*log, Sweep(day(5000))], CHURN)
        (high,) = [c for c in changes if c["customer_id"] == customer and c["current"] == "high" and "time" in str(c)][
            -1:
        ]
        idle = (datetime.fromisoformat(high["effective_at"]) - day(latest)).days
        assert least < idle < most


def test_churn_is_none_without_an_order_that_counts_and_days_outlive_refunds() -> None:
    """A full refund of the only order makes none; the next purchase on another day is the second day."""
    log: list[Item] = [purchase("p", 0), refund("r", 1, full=True)]
    assert [label for *_, label, _ in moves(simulate(log, CHURN))] == ["medium", "none"]
    shard = Shard(CHURN)
    for item in [*log, purchase("q", 5)]:
        shard.step(item)
    assert shard.customers["c1"].facts.days.count == 2


def test_one_time_buyers_may_have_thresholds_of_their_own() -> None:
    """They hold for one day of purchases, and no longer from the second day on."""
    rules = OracleRules(
        dimensions=("churn",),
        churn_thresholds=(Fraction(8, 10), Fraction(4, 10), Fraction(1, 10)),
        churn_one_time_thresholds=(Fraction(6, 10), Fraction(4, 10), Fraction(1, 10)),
    )
    assert segment([purchase("p", 0), purchase("q", 0.5)], "churn", rules) == "low"
    assert segment([purchase("p", 0), purchase("q", 100)], "churn", rules) == "medium"


@pytest.mark.parametrize(
    ("days", "count"),
    [
        ([0, 0.5, 0.99], 1),
        ([0, 1, 2], 3),
        ([2, 1, 0, 1, 2], 3),
        ([0, 63, 0.5], 2),  # 63 days before the latest: the last one remembered
        ([0, 64, 0.5], 3),  # forgotten, so it counts again
        ([0, 64, 0.5, 0.5], 4),
        ([0, 10, 70, 10], 3),
    ],
)
def test_distinct_days_are_remembered_for_64_days(days: list[float], count: int) -> None:
    """An older late purchase counts as a new day."""
    shard = Shard(CHURN)
    for number_, when in enumerate(days):
        shard.step(purchase(str(number_), when))
    assert shard.customers["c1"].facts.days.count == count


def test_a_day_is_one_of_utc() -> None:
    """23:30 and 00:30 at +01:00 are one day of UTC."""
    shard = Shard(CHURN)
    for name, written in (("a", "2026-01-01T23:30:00+01:00"), ("b", "2026-01-02T00:30:00+01:00")):
        shard.step(event("purchase", name, datetime.fromisoformat(written), amount=1))
    assert shard.customers["c1"].facts.days.count == 1


def test_a_crossing_beyond_the_calendar_never_comes() -> None:
    """With an r of a thousandth P of a one-time buyer falls to a half in more years than there are."""
    rules = replace(BY_HAND, mbg_nbd=(Fraction("0.001"), *DEFAULT_MBG_NBD[1:]))
    (change,) = simulate([purchase("p", 0), Sweep(day(500_000))], rules)
    assert (change["current"], change["next"]) == ("low", None)


@given(
    x=st.integers(0, 50),
    first_us=st.integers(10**15, 2 * 10**15),
    life_us=st.integers(0, 10**14),
    p=st.fractions(Fraction(1, 100), Fraction(99, 100)),
)
@trials(50)
def test_the_closed_crossing_is_where_the_curve_crosses(x: int, first_us: int, life_us: int, p: Fraction) -> None:
    """The label's second is the first at which P is below p, by the formula of P itself."""
    crossing = crossing_s((x, first_us, first_us + life_us), p, DEFAULT_MBG_NBD)
    second = first_second_after(crossing)
    if second is None:
        return

    def chance(at_s: int) -> Fraction:
        weeks = number(Fraction(at_s * 10**6 - first_us, WEEK_US))
        p_then = alive(x, number(Fraction(life_us, WEEK_US)), weeks, DEFAULT_MBG_NBD)
        return Fraction(int(p_then * 10**50), 10**50)

    if Fraction(second * 10**6 - first_us, WEEK_US) > -DEFAULT_MBG_NBD[1]:  # before it there is no curve
        assert chance(second) < p
        assert chance(second - 1) >= p - Fraction(1, 10**49)
