"""Fitting the purchase models: known answers, another implementation, and the command."""

import gzip
import json
import warnings
from dataclasses import asdict, replace
from datetime import UTC, datetime
from decimal import Decimal
from math import log10
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from segflow.fitting import gamma_gamma, mbg_nbd
from segflow.fitting.calibration import calibration
from segflow.fitting.held_out import HELD_OUT_DAYS, held_out
from segflow.fitting.maximum import Sought, maximum
from segflow.fitting.purchase_log import Population, PurchaseLog
from segflow.fitting.sample import FitError, Sample
from segflow.schemas.settings_file import parse
from segflow.segments.facts import Facts
from segflow.segments.gamma_gamma import expected_money
from segflow.segments.instant import DAY_US, to_us
from segflow.segments.mbg_nbd import WEEK_US, History, Values, expected_purchases, p_alive
from segflow.segments.parameters import CDNOW, MbgNbd
from segflow.segments.purchase_days import DAY_MASK, LATEST_DAY, PURCHASE_DAYS, with_purchase
from segflow.segments.slots import NO_SLOT
from tests.support.cdnow import CALIBRATION_END_US, END_US, EVENTS, published_sample, purchases
from tests.support.command import segflow, settings_file
from tests.support.numeric_reference import purchases_if_alive
from tests.support.trials import trials


@pytest.fixture(scope="module")
def sample_log() -> PurchaseLog:
    """The purchases of CDNOW's published sample."""
    return purchases(published_sample())


@pytest.fixture(scope="module")
def cdnow(sample_log: PurchaseLog) -> Population:
    """The sample on 30 September 1997."""
    return sample_log.at(CALIBRATION_END_US)


@pytest.mark.slow
def test_the_fits_are_the_published_ones(cdnow: Population) -> None:
    """The parameters for the 2,357 customers; for Gamma-Gamma, those of them with money of repeat days."""
    assert len(cdnow.sample) == 2357
    found = mbg_nbd.fit(cdnow.sample)
    assert [round(each, 3) for each in (found.r, found.alpha_weeks, found.a, found.b)] == [0.525, 6.183, 0.891, 1.614]
    assert mbg_nbd.log_likelihood(found, cdnow.sample) == pytest.approx(-9582.136, abs=0.001)
    money = gamma_gamma.fit(cdnow.sample)
    assert [round(each, 2) for each in (money.p, money.q)] == [6.25, 3.74]
    assert money.gamma == pytest.approx(15.45, abs=0.01)


@pytest.mark.slow
def test_lifetimes_comes_to_the_same(cdnow: Population) -> None:
    """Fit, likelihood, chance to be alive and expected purchases, with that package's own search."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is written for an older numpy
        from lifetimes import GammaGammaFitter, ModifiedBetaGeoFitter  # noqa: PLC0415

        sample = cdnow.sample
        other = ModifiedBetaGeoFitter().fit(sample.repeats, sample.recency_weeks, sample.age_weeks)
        found = mbg_nbd.fit(sample)
        names = {"r": "r", "alpha": "alpha_weeks", "a": "a", "b": "b"}
        for theirs, ours in names.items():
            assert other.params_[theirs] == pytest.approx(getattr(found, ours), rel=1e-3)
        mine = MbgNbd(**{ours: float(other.params_[theirs]) for theirs, ours in names.items()})
        assert mbg_nbd.log_likelihood(found, sample) >= mbg_nbd.log_likelihood(mine, sample)
        alive = other.conditional_probability_alive(sample.repeats, sample.recency_weeks, sample.age_weeks)
        assert p_alive(mine, sample.history, sample.age_weeks) == pytest.approx(np.asarray(alive), rel=1e-12)
        expected = other.conditional_expected_number_of_purchases_up_to_time(
            26, sample.repeats, sample.recency_weeks, sample.age_weeks
        )
        assert expected_purchases(mine, sample.history, sample.age_weeks, 26) == pytest.approx(expected, rel=1e-9)
        paying = gamma_gamma.paid(sample)
        money = GammaGammaFitter().fit(paying.repeats, paying.repeat_money / paying.repeats)
        fitted = gamma_gamma.fit(sample)
        for theirs, ours in {"p": "p", "q": "q", "v": "gamma"}.items():
            assert money.params_[theirs] == pytest.approx(getattr(fitted, ours), rel=2e-3)


def test_purchases_are_expected_where_a_is_one_too() -> None:
    """The formula divides by a - 1; the expectation is as smooth there as anywhere."""
    one = History(repeats=np.array([3.0]), recency_weeks=np.array([20.0]))
    below, at, above = (
        expected_purchases(MbgNbd(r=0.5, alpha_weeks=6.0, a=a, b=1.6), one, np.array([30.0]), 26)[0]
        for a in (0.999, 1.0, 1.001)
    )
    assert below > at > above
    assert at == pytest.approx((below + above) / 2, rel=1e-5)


@pytest.mark.parametrize("a", [0.2, 0.891, 3.0, 17.9])
@pytest.mark.parametrize("x", [0, 3, 40, 300])
@pytest.mark.parametrize("age_weeks", [0.5, 20.0, 900.0])
def test_purchases_are_expected_to_ten_digits(a: float, x: int, age_weeks: float) -> None:
    """Against a series without a difference in it, in 40 digits; also of who comes daily, or is new."""
    model = MbgNbd(r=3.6, alpha_weeks=8.0, a=a, b=1.6)
    one = History(repeats=np.array([float(x)]), recency_weeks=np.array([age_weeks]))
    found = expected_purchases(model, one, np.array([age_weeks]), 26)[0] / p_alive(model, one, np.array([age_weeks]))[0]
    with mpmath.workdps(40):
        w = mpmath.mpf(26) / (mpmath.mpf(8) + age_weeks)
        exact = (model.r + x) * w * mpmath.hyp3f2(1, model.r + x + 1, a, 2, a + model.b + x + 1, -w)
    assert found == pytest.approx(float(exact), rel=1e-10)


def test_the_slopes_are_those_of_the_likelihoods(cdnow: Population) -> None:
    """Against differences."""
    some = cdnow.sample.take(np.arange(300))
    for likelihood, at, who in (
        (mbg_nbd.mean_log_likelihood, [0.7, 5.0, 0.8, 1.9], some),
        (gamma_gamma.mean_log_likelihood, [4.0, 3.0, 20.0], gamma_gamma.paid(some)),
    ):
        parameters = np.array(at)
        _, slopes = likelihood(parameters, who)
        for place in range(len(at)):
            nudge = np.eye(len(at))[place] * 1e-6
            ahead, behind = likelihood(parameters + nudge, who)[0], likelihood(parameters - nudge, who)[0]
            assert slopes[place] == pytest.approx((ahead - behind) / 2e-6, rel=1e-5, abs=1e-9)


def test_the_calibration_is_by_repeats_and_in_all(sample_log: PurchaseLog, cdnow: Population) -> None:
    """Every customer in one row; the means of the rows give those of all; fewer are predicted than came."""
    later = sample_log.days_between(CALIBRATION_END_US, END_US)[cdnow.rows]
    *rows, total = calibration(mbg_nbd.fit(cdnow.sample), cdnow.sample, later, 39)
    assert [row.repeats for row in rows] == ["0", "1", "2", "3", "4", "5", "6", "7+"]
    assert sum(row.customers for row in rows) == total.customers == 2357
    for name in ("predicted", "actual"):
        mean = sum(row.customers * getattr(row, name) for row in rows) / 2357
        assert getattr(total, name) == pytest.approx(mean)
    assert (round(total.predicted, 3), round(total.actual, 3)) == (0.669, 0.798)


def test_a_log_gives_the_population_of_any_moment() -> None:
    """By hand: days, not purchases; net money of the days after the first; nobody before the first purchase."""
    log = PurchaseLog.of(
        ["a", "b", "a", "a", "a", "a", "c"],
        np.array([0.0, 3.5, 0.5, 7, 8, 14, 20]).astype(np.float64).__mul__(DAY_US).astype(np.int64),
        np.array([10.0, 5.0, 1.0, 7.0, -2.0, 4.0, 9.0]),
        np.array([True, True, True, True, False, True, True]),
    )
    then = log.at(8 * DAY_US)
    assert [log.names[row] for row in then.rows] == ["a", "b"]
    assert then.sample.repeats.tolist() == [1, 0]
    assert then.sample.recency_weeks.tolist() == [1, 0]
    assert then.sample.age_weeks.tolist() == [8 / 7, 4.5 / 7]
    assert then.sample.repeat_money.tolist() == [5, 0]
    assert log.days_between(7 * DAY_US, 20 * DAY_US).tolist() == [1, 0, 1]


def facts_of(log: PurchaseLog, population: Population, at_us: int) -> Facts:
    """What the record would hold of them."""
    count = len(population.rows)
    latest, mask, days = np.full(count, NO_SLOT, dtype=np.int32), np.zeros(count, np.uint64), np.zeros(count, np.uint32)
    place = {number: row for row, number in enumerate(population.rows.tolist())}
    for number, time_us in zip(log.customers.tolist(), log.times_us.tolist(), strict=True):
        if time_us <= at_us:
            row = [place[number]]
            latest[row], mask[row], days[row] = with_purchase(latest[row], mask[row], days[row], np.array([time_us]))
    sample = population.sample
    nothing = np.zeros(count, dtype=np.int64)
    return Facts(
        first_us=at_us - np.round(sample.age_weeks * WEEK_US).astype(np.int64),
        last_us=population.last_us,
        before_last_us=nothing,
        purchases=nothing + 1,
        full_refunds=nothing,
        net_minor=nothing,
        own={LATEST_DAY.name: latest, DAY_MASK.name: mask, PURCHASE_DAYS.name: days},
    )


def test_eight_weeks_ago_is_known_from_the_facts_of_now(sample_log: PurchaseLog, cdnow: Population) -> None:
    """Who was there, how often they had come and came since: exactly; since when they were silent: but for a few."""
    past = held_out(facts_of(sample_log, cdnow, CALIBRATION_END_US), CALIBRATION_END_US)
    cut_us = CALIBRATION_END_US - HELD_OUT_DAYS * DAY_US
    then = sample_log.at(cut_us)
    assert past.before.repeats.tolist() == then.sample.repeats.tolist()
    assert past.before.age_weeks == pytest.approx(then.sample.age_weeks)
    assert past.later_days.tolist() == sample_log.days_between(cut_us, CALIBRATION_END_US)[then.rows].tolist()
    known = np.abs(past.before.recency_weeks - then.sample.recency_weeks) < 1e-9
    assert known.mean() > 0.94
    assert Sample.of(facts_of(sample_log, cdnow, CALIBRATION_END_US), CALIBRATION_END_US, 100).repeats.tolist() == (
        cdnow.sample.repeats.tolist()
    )


@given(power=st.floats(-3, 15))
@example(power=log10(15_000))
@trials(40)
def test_amounts_in_another_currency_fit_as_they_do_in_this_one(power: float, cdnow: Population) -> None:
    """In rupiah as in dollars: the same p and q, gamma and whatever is expected in proportion."""
    some, factor = cdnow.sample.take(np.arange(900)), 10**power
    here, there = (gamma_gamma.fit(each) for each in (some, replace(some, repeat_money=some.repeat_money * factor)))
    assert (there.p, there.q) == pytest.approx((here.p, here.q), rel=1e-5)
    assert there.gamma == pytest.approx(here.gamma * factor, rel=1e-5)
    x, money = some.repeats, some.repeat_money
    assert expected_money(there, x, money * factor) == pytest.approx(expected_money(here, x, money) * factor, rel=1e-5)


@given(power=st.floats(-3, 6))
@trials(20)
def test_a_slower_world_fits_as_a_quicker_one(power: float, cdnow: Population) -> None:
    """Whatever the unit of time is: the same shapes, alpha in proportion."""
    some, factor = cdnow.sample.take(np.arange(900)), 10**power
    slower = replace(some, recency_weeks=some.recency_weeks * factor, age_weeks=some.age_weeks * factor)
    here, there = mbg_nbd.fit(some), mbg_nbd.fit(slower)
    assert (there.r, there.a, there.b) == pytest.approx((here.r, here.a, here.b), rel=1e-5)
    assert there.alpha_weeks == pytest.approx(here.alpha_weeks * factor, rel=1e-5)


def test_what_a_fit_finds_the_settings_take(cdnow: Population) -> None:
    """Also amounts as large as a currency has them: gamma stood at the end of what settings took, a million."""
    found = gamma_gamma.fit(replace(cdnow.sample, repeat_money=cdnow.sample.repeat_money * 10**9))
    assert found.gamma > 10**10
    content = {"parameters": {"gamma_gamma": asdict(found)}}
    assert parse(content, name="fit", environment={}).parameters.gamma_gamma.gamma == found.gamma


def unlike_only_in_pace(seed: int) -> Sample:
    """600 customers who buy at their own rates, and are all lost with much the same chance after a purchase."""
    dice = np.random.default_rng(seed)
    rate, lost, age = dice.gamma(4, 1 / 6, 600), dice.beta(300, 9000, 600), dice.uniform(30, 104, 600)
    repeats, recency = np.zeros(600), np.zeros(600)
    for row in range(600):
        now = 0.0
        while dice.random() >= lost[row]:
            now += dice.exponential(1 / rate[row])
            if now > age[row]:
                break
            repeats[row] += 1
            recency[row] = now
    return Sample(repeats=repeats, recency_weeks=recency, age_weeks=age, repeat_money=repeats * 7)


@pytest.mark.slow
def test_a_fit_of_customers_who_are_all_lost_alike_tells_what_to_expect_of_each() -> None:
    """It is large a and b then, of which the closed form gave no number for any of the 600."""
    sample = unlike_only_in_pace(0)
    found = mbg_nbd.fit(sample)
    assert found.a > 1000
    expected = expected_purchases(found, sample.history, sample.age_weeks, 26)
    assert np.isfinite(expected).all()
    few = np.flatnonzero(sample.repeats < 40)[:12].tolist()
    alive = p_alive(found, sample.history, sample.age_weeks)
    for row in few:
        rate = found.r + float(sample.repeats[row])
        w = 26 / (found.alpha_weeks + float(sample.age_weeks[row]))
        exact = purchases_if_alive(rate, found.a, found.b + float(sample.repeats[row]) + 1, w)
        assert expected[row] / alive[row] == pytest.approx(float(exact), rel=1e-9)


def test_a_likelihood_that_is_no_number_is_no_fit() -> None:
    """Whatever the search would make of it."""
    with pytest.raises(FitError, match="cannot be computed"):
        maximum(lambda each: (float("nan"), each), [Sought.shape("r", 1.0)])


def test_money_that_has_hardly_a_mean_is_refused_where_six_digits_would_say_it_has_none(
    cdnow: Population, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A q of 1.000001 would be written as 1, which the settings refuse."""
    monkeypatch.setattr(gamma_gamma, "maximum", lambda *_: np.array([2.0, 1.000001, 3.0]))
    with pytest.raises(FitError, match="is not above 1"):
        gamma_gamma.fit(cdnow.sample)


def alike(count: int, repeats: int) -> Sample:
    """Customers who all do the same."""
    column: Values = np.ones(count)
    return Sample(
        repeats=column * repeats,
        recency_weeks=column * repeats,
        age_weeks=column * 30,
        repeat_money=column * repeats * 7,
    )


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (alike(40, 0), "of whom 0 bought on more than one day"),
        (alike(29, 2), "30 of those at least"),
        (alike(500, 4), "has no maximum"),
    ],
)
def test_a_population_that_gives_no_parameters_is_refused(sample: Sample, why: str) -> None:
    """Too few who came again, or all alike: said, not made up."""
    with pytest.raises(FitError, match=why):
        mbg_nbd.fit(sample)


@pytest.mark.slow
def test_the_command_fits_files_and_gives_settings(tmp_path: Path) -> None:
    """YAML that the settings take, on standard output or in a file; the same with an event twice; JSON on request."""
    with gzip.open(EVENTS, "rb") as file:
        lines = file.readlines()
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"".join([*lines[:20_000], lines[5]]))
    dollars = settings_file(tmp_path, currency="USD")
    shown = segflow("fit", log, "--settings", dollars)
    assert shown.code == 0
    assert "customers up to" in shown.err, "standard output is YAML alone"
    text = shown.out
    content = yaml.safe_load(text)
    assert parse(content, name="fit", environment={}).parameters.mbg_nbd.r == content["parameters"]["mbg_nbd"]["r"]
    output = tmp_path / "parameters.yaml"
    quiet = segflow("fit", log, "--settings", dollars, "--output", output)
    assert output.read_text(encoding="utf-8") == text
    assert "parameters:" not in quiet.out
    log.write_bytes(b"".join(lines[:20_000]))
    told = json.loads(segflow("fit", log, "--settings", dollars, "--json", "--held-out", "14d").out)
    assert told["parameters"] == content["parameters"]
    assert told["version"] is None
    assert told["calibration"][-1]["repeats"] == "all"
    assert told["held_out_weeks"] == 2


@pytest.mark.slow
def test_the_command_fits_rupiah_as_it_fits_dollars(tmp_path: Path) -> None:
    """The same purchases at 15,000 for one: the same shapes, gamma in proportion, and what the settings take."""
    with gzip.open(EVENTS, "rb") as file:
        events = [json.loads(line) for line in file.readlines()[:20_000]]
    fitted = []
    for currency, rate in (("USD", 1), ("IDR", 15_000)):
        log = tmp_path / f"{currency}.jsonl"
        more = [each | {"amount": f"{Decimal(each['amount']) * rate:f}", "currency": currency} for each in events]
        log.write_text("".join(json.dumps(each) + "\n" for each in more), encoding="utf-8")
        result = segflow("fit", log, "--settings", settings_file(tmp_path, currency=currency), "--json")
        assert result.code == 0
        told = json.loads(result.out)
        assert told["notes"] == []
        fitted.append(told["parameters"])
        parse({"parameters": told["parameters"]}, name="fit", environment={})
    dollars, rupiah = fitted
    assert rupiah["mbg_nbd"] == dollars["mbg_nbd"]
    assert rupiah["gamma_gamma"]["gamma"] == pytest.approx(15_000 * dollars["gamma_gamma"]["gamma"], rel=1e-4)
    for name in ("p", "q"):
        assert rupiah["gamma_gamma"][name] == pytest.approx(dollars["gamma_gamma"][name], rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        ([], 2, "days of purchases are kept only where the settings list"),
        (["--until", "2026-01-01T00:00:00Z"], 2, "--until and --held-out go with files"),
        (["LOG", "--held-out", "soon"], 2, "--held-out: "),
        (["LOG", "--held-out", "100d"], 2, "--held-out must be shorter than the log"),
        (["LOG"], 1, "no fit: 2 customers, of whom 1 bought on more than one day"),
        (["EMPTY"], 2, "there is no usable purchase in the files"),
        (["YEN"], 2, "line 1: currency JPY has no rate"),
        (["missing.jsonl"], 2, "missing.jsonl: there is no such file"),
    ],
)
def test_what_cannot_be_fitted_is_said(arguments: list[str], code: int, why: str, tmp_path: Path) -> None:
    """Each mistake in one line, with what to do."""
    some: list[dict[str, Any]] = [
        {"type": "purchase", "event_id": f"e{number}", "customer_id": who, "order_id": "o", "amount": 1}
        | {"occurred_at": datetime(2026, 1, 1 + number, tzinfo=UTC).isoformat()}
        for number, who in enumerate(["a", "b", "a"])
    ]
    files = {"LOG": some, "EMPTY": [], "YEN": [some[0] | {"currency": "JPY"}]}
    for name, events in files.items():
        (tmp_path / name).write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    result = segflow("fit", *(tmp_path / each if each in files else each for each in arguments))
    assert result.code == code
    assert why in result.err
    assert result.err.count("\n") == 1


def test_the_moments_of_cdnow_are_those_of_its_days() -> None:
    """Of the two constants."""
    assert to_us(datetime(1997, 9, 30, tzinfo=UTC)) == CALIBRATION_END_US
    assert to_us(datetime(1998, 6, 30, tzinfo=UTC)) == END_US
    assert CDNOW.mbg_nbd == MbgNbd()
