"""Quantile cuts: a histogram's quintiles, and the guard that keeps them steady."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.schemas.settings import Settings
from segflow.segments import histogram
from segflow.segments.cuts import crossed
from segflow.segments.facts import Facts
from segflow.segments.instant import DAY_US, UNKNOWN
from segflow.segments.models.rfm import points_lost
from segflow.segments.recut import QUINTILES, STEADY, Four, PopulationHistograms, RecutPolicy, instants_of, next_cuts
from segflow.segments.rules import recut_policy_of
from segflow.segments.share import SHARES_PER_ONE
from tests.oracle.rules import OracleRules
from tests.oracle.value import population_cuts
from tests.support.trials import trials

AT_US = 20_000 * DAY_US
CHURNED_US = 180 * DAY_US
POLICY = recut_policy_of(
    Settings.model_validate({"rfm": {"cuts": "quantile"}, "recut": {"min_population": 50}, "dimensions": ["rfm"]})
)
FIXED = POLICY.fixed
ONE = replace(POLICY, min_population=1)
VALUE = replace(ONE, quintiles=False, value_shares=(7000, 9000))

numbers = st.one_of(
    st.integers(-20, 20),
    st.integers(-3000, 300_000),
    st.integers(0, 400 * DAY_US),
    st.integers(-(2**62), 2**62),
    st.integers(0, 900).map(lambda power: int(1.05**power) if power < 880 else power),
)
populations = st.lists(numbers, min_size=1, max_size=80).map(lambda some: np.array(some, dtype=np.int64))


@given(values=populations, shares=st.lists(st.floats(0.01, 1), min_size=1, max_size=5))
@trials(500)
def test_a_quantile_is_within_one_percent_of_the_exact_one(values: npt.NDArray[np.int64], shares: list[float]) -> None:
    """Never below the exact value in its direction, and small whole numbers are exact."""
    found = histogram.quantiles(histogram.count(values), tuple(shares))
    ordered = sorted(values.tolist())
    for share, value in zip(shares, found, strict=True):
        place = int(np.searchsorted(np.arange(1, len(ordered) + 1), share * len(ordered), side="left"))
        exact = ordered[place]
        assert exact <= value
        assert value - exact <= 0.01 * abs(exact)
        if abs(exact) < 100:
            assert value == exact


@given(values=populations)
@trials(200)
def test_quintiles_are_those_of_numpy(values: npt.NDArray[np.int64]) -> None:
    """`inverted_cdf`: the first value at which the share is reached, but for 1 %."""
    found = histogram.quantiles(histogram.count(values), QUINTILES)
    ranks = np.quantile(np.argsort(np.argsort(values, kind="stable"), kind="stable"), QUINTILES, method="inverted_cdf")
    for value, rank in zip(found, ranks.tolist(), strict=True):
        exact = sorted(values.tolist())[int(rank)]
        assert exact <= value <= exact + 0.01 * abs(exact)


@given(values=populations, cut=st.integers(0, 80))
@trials(200)
def test_parts_of_a_population_add_up_to_the_whole(values: npt.NDArray[np.int64], cut: int) -> None:
    """Shards count apart; the sum is what one would have counted."""
    assert histogram.count(values[:cut]) + histogram.count(values[cut:]) == histogram.count(values)


@given(one=numbers, other=numbers)
@trials(300)
def test_bins_keep_the_order_of_what_is_in_them(one: int, other: int) -> None:
    """A smaller value never lies in a later bin, and a bin's largest value lies in it."""
    (bin_one,), (bin_other,) = (histogram.count(np.array([value])) for value in (one, other))
    if one <= other:
        assert bin_one <= bin_other
    assert list(histogram.count(np.array([histogram.largest(bin_one)]))) == [bin_one]
    assert histogram.largest(bin_one) >= one


def test_nobody_has_no_quantiles() -> None:
    """An empty population is an error, not a zero."""
    with pytest.raises(ValueError, match="empty population"):
        histogram.quantiles(histogram.count(np.zeros(0, dtype=np.int64)), QUINTILES)


def population(idle_us: list[int], orders: list[int], net_minor: list[int], refunds: list[int] | None = None) -> Facts:
    """Customers at AT_US; an idle time below zero is one who never bought."""
    idle = np.array(idle_us, dtype=np.int64)
    last_us = np.where(idle < 0, UNKNOWN, AT_US - idle)
    return Facts(
        first_us=last_us,
        last_us=last_us,
        before_last_us=np.full(len(idle), UNKNOWN),
        purchases=np.where(idle < 0, 0, np.array(orders, dtype=np.int64)),
        full_refunds=np.array(refunds or [0] * len(idle), dtype=np.int64),
        net_minor=np.array(net_minor, dtype=np.int64),
    )


@st.composite
def many_facts(draw: st.DrawFn) -> Facts:
    """Buyers, those who only look, churned ones, and such as sent everything back."""
    count = draw(st.integers(1, 60))

    def column(some: st.SearchStrategy[int]) -> list[int]:
        return draw(st.lists(some, min_size=count, max_size=count))

    return population(
        column(st.integers(0, 179 * DAY_US) | st.sampled_from([-1, 0, CHURNED_US - 1, CHURNED_US, 300 * DAY_US])),
        column(st.integers(1, 30)),
        column(st.integers(-5000, 500_000)),
        column(st.sampled_from([0, 0, 0, 1, 40])),
    )


@given(facts=many_facts(), cut=st.integers(0, 60))
@trials(200)
def test_cuts_are_the_quintiles_of_the_living(facts: Facts, cut: int) -> None:
    """Those with an order that counts, not churned; scanned in slices; a score counts the cuts strictly below."""
    rows = np.arange(len(facts.last_us))
    scan = PopulationHistograms.of(facts.take(rows[:cut]), AT_US, POLICY) + PopulationHistograms.of(
        facts.take(rows[cut:]), AT_US, POLICY
    )
    living = [
        row
        for row in rows.tolist()
        if facts.purchases[row] > facts.full_refunds[row] and AT_US - int(facts.last_us[row]) < CHURNED_US
    ]
    assert scan.population == len(living)
    if not living:
        return
    far = replace(FIXED, version=4, recency_from_us=(0,) * 4, frequency=(99,) * 4, monetary_minor=(-(10**9),) * 4)
    new = next_cuts(scan, AT_US, far, ONE)
    assert new is not None
    assert new.version == 4  # for the caller to set
    assert new.recency_from_us is not None
    ages_us = four(AT_US - instant + 1 for instant in reversed(new.recency_from_us))
    columns = (
        (ages_us, (AT_US - facts.last_us[living]).tolist()),
        (new.frequency, facts.orders[living].tolist()),
        (new.monetary_minor, facts.net_minor[living].tolist()),
    )
    for thresholds, values in columns:
        exact = [sorted(values)[-(-len(living) * fifth // 5) - 1] for fifth in (1, 2, 3, 4)]
        for threshold, value in zip(thresholds, exact, strict=True):
            assert value <= threshold - 1 <= value + 0.01 * abs(value) or threshold == 1  # 1: steady at `far`
        scores = crossed(np.array(values), thresholds)
        for score, value in zip(scores.tolist(), values, strict=True):
            assert score == sum(threshold - 1 < value for threshold in thresholds)
    lost = points_lost(facts.take(np.array(living)), np.full(len(living), AT_US + DAY_US), new).tolist()
    assert lost == crossed(AT_US - facts.last_us[living], ages_us).tolist()


@given(values=populations)
@trials(200)
def test_equal_values_get_equal_scores_and_larger_ones_no_smaller(values: npt.NDArray[np.int64]) -> None:
    """Ties stay together, at whatever quantile the population is cut."""
    quantiles = histogram.quantiles(histogram.count(values), QUINTILES)
    scores = crossed(values, tuple(cut + 1 for cut in quantiles)).tolist()
    for (value, score), (larger, higher) in pairwise(sorted(zip(values.tolist(), scores, strict=True))):
        assert score <= higher
        assert value != larger or score == higher


@pytest.mark.parametrize(
    ("held", "value", "new"),
    [
        (60, 61, None),  # the cut would be 62
        (60, 57, None),
        (60, 62, 63),  # exactly 5 %
        (60, 56, 57),
        (60, 59, None),  # the same
        (0, -1, None),  # the same
        (0, 0, 1),
        (-60, -59, None),
        (-60, -58, -57),
    ],
)
def test_a_cut_that_would_move_by_less_than_five_percent_stays(held: int, value: int, new: int | None) -> None:
    """The guard against flapping, at its very edge."""
    one, everybody = histogram.count(np.array([0])), histogram.count(np.array([value] * 5))
    scan = PopulationHistograms(recency=one, frequency=everybody, monetary=everybody)
    orders, money = (value + 1,) * 4, (held,) * 4
    before = replace(FIXED, version=3, recency_from_us=(AT_US,) * 4, frequency=orders, monetary_minor=money)
    after = None if new is None else replace(before, monetary_minor=(new,) * 4)
    assert next_cuts(scan, AT_US, before, ONE) == after


@pytest.mark.parametrize(
    ("held_days", "age_days", "moves"), [(100, 104, False), (100, 96, False), (100, 106, True), (100, 94, True)]
)
def test_an_instant_stays_where_its_age_would_move_by_less_than_five_percent(
    held_days: int, age_days: int, moves: bool
) -> None:
    """Of the age that the cut has come to; the instant stays, not the age, so that silence is no step back."""
    everybody = histogram.count(np.array([age_days * DAY_US] * 5))
    age_us = histogram.quantiles(everybody, QUINTILES)[0]
    one = histogram.count(np.array([1] * 5))
    scan = PopulationHistograms(recency=everybody, frequency=one, monetary=one)
    twos, instants = (2,) * 4, (AT_US - held_days * DAY_US,) * 4
    before = replace(FIXED, version=3, recency_from_us=instants, frequency=twos, monetary_minor=twos)
    after = replace(before, recency_from_us=(AT_US - age_us,) * 4) if moves else None
    assert next_cuts(scan, AT_US, before, ONE) == after


def test_the_first_instants_are_those_of_the_fixed_ages_where_these_are_near() -> None:
    """A population whose quintiles happen to be the fixed cuts keeps them, as of now."""
    days = np.array([29.9, 59.9, 119.9, 239.9, 300])
    scan = PopulationHistograms(
        recency=histogram.count((days * DAY_US).astype(np.int64)),
        frequency=histogram.count(np.array([1] * 5)),
        monetary=histogram.count(np.array([1] * 5)),
    )
    new = next_cuts(scan, AT_US, FIXED, ONE)
    assert new is not None
    assert new.recency_from_us == tuple(AT_US - age_us + 1 for age_us in reversed(FIXED.recency_us))


def four(values: Iterable[int]) -> Four:
    """Four numbers as cuts keep them."""
    first, second, third, fourth = values
    return first, second, third, fourth


def test_each_cut_is_guarded_by_itself() -> None:
    """Those that hardly move stay where others move, and all stay ascending."""
    values = np.repeat([100, 200, 300, 400, 500], 10)
    scan = PopulationHistograms(
        recency=histogram.count(values), frequency=histogram.count(values), monetary=histogram.count(values)
    )
    exact = four(value + 1 for value in histogram.quantiles(scan.monetary, QUINTILES))
    held = replace(
        FIXED,
        version=1,
        recency_from_us=instants_of(exact, AT_US),
        frequency=exact,
        monetary_minor=(exact[0] + 3, 150, exact[2], exact[3] - 9),
    )
    new = next_cuts(scan, AT_US, held, POLICY)
    assert new is not None
    assert new == replace(held, monetary_minor=(exact[0] + 3, exact[1], exact[2], exact[3] - 9))


def test_a_cut_that_stays_and_one_that_passes_it_are_put_in_order() -> None:
    """Cuts are ascending, also where a kept one stands beyond a neighbour that moved."""
    values = np.repeat([199, 204, 300, 400, 500], 10)
    scan = PopulationHistograms(
        recency=histogram.count(values), frequency=histogram.count(values), monetary=histogram.count(values)
    )
    exact = four(value + 1 for value in histogram.quantiles(scan.monetary, QUINTILES))
    instants, money = instants_of(exact, AT_US), (100, 198, exact[2], exact[3])
    held = replace(FIXED, version=1, recency_from_us=instants, frequency=exact, monetary_minor=money)
    new = next_cuts(scan, AT_US, held, POLICY)
    assert new == replace(held, monetary_minor=(198, exact[0], exact[2], exact[3]))


def test_below_the_least_population_the_fixed_cuts_hold() -> None:
    """One customer fewer than the setting, and the fixed cuts come back; they are no news where they hold."""
    scan = PopulationHistograms.of(population([DAY_US] * 49, [1] * 49, [100] * 49), AT_US, POLICY)
    held = replace(FIXED, version=7, frequency=(3, 4, 5, 6))
    assert next_cuts(scan, AT_US, held, POLICY) == replace(FIXED, version=7)
    assert next_cuts(scan, AT_US, replace(held, recency_from_us=(1, 2, 3, 4)), POLICY) == replace(FIXED, version=7)
    assert next_cuts(scan, AT_US, replace(FIXED, version=7), POLICY) is None
    assert next_cuts(scan, AT_US, held, replace(POLICY, min_population=49)) not in (FIXED, None)
    assert next_cuts(PopulationHistograms(), AT_US, held, ONE) == replace(FIXED, version=7)


def test_cuts_that_stay_are_no_new_version() -> None:
    """The same population scanned again moves nothing."""
    scan = PopulationHistograms.of(
        population([DAY_US * day for day in range(100)], [1] * 100, [100] * 100), AT_US, POLICY
    )
    first = next_cuts(scan, AT_US, FIXED, POLICY)
    assert first is not None
    assert next_cuts(scan, AT_US, replace(first, version=9), POLICY) is None


money = st.lists(st.integers(-(10**6), 10**6) | st.integers(1, 2**62), min_size=1, max_size=60)


@given(values=money, a=st.integers(1, SHARES_PER_ONE - 1), more=st.integers(1, SHARES_PER_ONE))
@trials(300)
def test_a_running_share_begins_with_the_bin_that_reaches_it(values: list[int], a: int, more: int) -> None:
    """From the most valuable down, naively, over whole bins: with it the share is reached, without it not yet."""
    shares = (a, min(a + more, SHARES_PER_ONE))
    sums = histogram.sums(np.array(values, dtype=np.int64))
    above = [value for value in values if value > 0]
    assert sums.total() == sum(above)  # exactly, however large
    if not above:
        with pytest.raises(ValueError, match="no shares"):
            histogram.share_starts(sums, shares)
        return
    starts = histogram.share_starts(sums, shares)
    assert starts == tuple(sorted(starts, reverse=True))
    for share, start in zip(shares, starts, strict=True):
        (own,) = histogram.count(np.array([start]))
        assert list(histogram.count(np.array([start - 1]))) != [own]  # the smallest of its bin
        with_it = sum(value for value in above if value >= start)
        before = sum(value for value in above if value > histogram.largest(own))
        assert with_it * SHARES_PER_ONE >= share * sum(above) > before * SHARES_PER_ONE


@given(facts=many_facts(), cut=st.integers(0, 60))
@trials(200)
def test_classes_of_value_are_those_of_the_money_of_the_living(facts: Facts, cut: int) -> None:
    """A until 70 % of their money above zero, B until 90 %; scanned in slices; the cuts of RFM are left alone."""
    rows = np.arange(len(facts.last_us))
    scan = PopulationHistograms.of(facts.take(rows[:cut]), AT_US, VALUE) + PopulationHistograms.of(
        facts.take(rows[cut:]), AT_US, VALUE
    )
    living = np.flatnonzero((facts.orders > 0) & (AT_US - facts.last_us < CHURNED_US))
    mine = facts.net_minor[living]
    total = int(mine[mine > 0].sum())
    counted = mine[mine > 0].tolist()
    assert scan.money.total() == total
    held = replace(FIXED, value_minor=(-9, -8))
    new = next_cuts(scan, AT_US, held, VALUE)
    if not total:
        assert new == FIXED  # nobody brings anything, so there are no shares
        return
    assert new is not None
    assert replace(new, value_minor=held.value_minor) == held
    for start, exact in zip(reversed(new.value_minor), population_cuts(counted, OracleRules()), strict=True):
        assert start <= exact <= 1.01 * start


def test_one_customer_who_brings_everything_is_a_and_nobody_is_b() -> None:
    """A bin that straddles a share goes to the higher class, also where it straddles both."""
    scan = PopulationHistograms.of(population([DAY_US] * 3, [1] * 3, [10_000, 100, -5]), AT_US, VALUE)
    new = next_cuts(scan, AT_US, FIXED, VALUE)
    assert new is not None
    b_from, a_from = new.value_minor
    assert b_from == a_from
    assert crossed(np.array([10_000, 100, -5]), new.value_minor).tolist() == [2, 0, 0]


def test_cuts_of_value_are_guarded_and_fall_back_as_those_of_rfm() -> None:
    """Each that would move by less than 5 % stays; with too few customers the fixed ones hold."""
    scan = PopulationHistograms.of(population([DAY_US] * 10, [1] * 10, [500] * 7 + [100] * 3), AT_US, VALUE)
    first = next_cuts(scan, AT_US, FIXED, VALUE)
    assert first is not None
    b_from, a_from = first.value_minor
    assert b_from == a_from  # 3500 of 3800 is more than 90 %
    near = replace(first, version=5, value_minor=(b_from - 1, a_from + int(STEADY * a_from)))
    assert next_cuts(scan, AT_US, near, VALUE) is None
    far = replace(first, version=5, value_minor=(b_from - 1, 2 * a_from))
    assert next_cuts(scan, AT_US, far, VALUE) == replace(far, value_minor=(b_from - 1, a_from))
    assert next_cuts(scan, AT_US, near, replace(VALUE, min_population=11)) == replace(FIXED, version=5)


@pytest.mark.parametrize(
    ("wanted", "quintiles", "shares"),
    [
        ({"dimensions": ["rfm"]}, False, None),
        ({"dimensions": ["value"]}, False, (7000, 9000)),
        ({"dimensions": ["value"], "value": {"cuts": "fixed"}, "rfm": {"cuts": "quantile"}}, False, None),
        ({"dimensions": ["rfm", "value"], "value": {"a_up_to": 0.5}}, False, (5000, 9000)),
        ({"dimensions": ["rfm", "value"], "rfm": {"cuts": "quantile"}}, True, (7000, 9000)),
    ],
)
def test_cuts_are_made_for_the_dimensions_that_are_listed_and_ask_for_them(
    wanted: dict[str, Any], quintiles: bool, shares: tuple[int, int] | None
) -> None:
    """RFM's with cuts quantile, value's unless its cuts are fixed; each without the other."""
    policy: RecutPolicy = recut_policy_of(Settings.model_validate(wanted))
    assert (policy.quintiles, policy.value_shares) == (quintiles, shares)
    assert policy.wanted == (quintiles or shares is not None)
