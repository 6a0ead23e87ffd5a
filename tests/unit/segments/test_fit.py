"""Fitting the purchase models: known answers, another implementation, and the command."""

import gzip
import json
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import yaml

from segflow.fitting import gamma_gamma, mbg_nbd
from segflow.fitting.calibration import calibration
from segflow.fitting.held_out import HELD_OUT_DAYS, held_out
from segflow.fitting.purchase_log import Population, PurchaseLog
from segflow.fitting.sample import FitError, Sample
from segflow.schemas.settings_file import parse
from segflow.segments.facts import Facts
from segflow.segments.instant import DAY_US, to_us
from segflow.segments.mbg_nbd import WEEK_US, History, Values, expected_purchases, p_alive
from segflow.segments.parameters import CDNOW, MbgNbd
from segflow.segments.purchase_days import DAY_MASK, LATEST_DAY, PURCHASE_DAYS, with_purchase
from segflow.segments.slots import NO_SLOT
from tests.support.cdnow import CALIBRATION_END_US, END_US, EVENTS, published_sample, purchases
from tests.support.command import segflow, settings_file


@pytest.fixture(scope="module")
def sample_log() -> PurchaseLog:
    """The purchases of CDNOW's published sample."""
    return purchases(published_sample())


@pytest.fixture(scope="module")
def cdnow(sample_log: PurchaseLog) -> Population:
    """The sample on 30 September 1997."""
    return sample_log.at(CALIBRATION_END_US)


def test_the_fits_are_the_published_ones(cdnow: Population) -> None:
    """The parameters for the 2,357 customers; for Gamma-Gamma, those of them with money of repeat days."""
    assert len(cdnow.sample) == 2357
    found = mbg_nbd.fit(cdnow.sample)
    assert [round(each, 3) for each in (found.r, found.alpha_weeks, found.a, found.b)] == [0.525, 6.183, 0.891, 1.614]
    assert mbg_nbd.log_likelihood(found, cdnow.sample) == pytest.approx(-9582.136, abs=0.001)
    money = gamma_gamma.fit(cdnow.sample)
    assert [round(each, 2) for each in (money.p, money.q)] == [6.25, 3.74]
    assert money.gamma == pytest.approx(15.45, abs=0.01)


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
    text = shown.out[shown.out.index("parameters:") :]
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
