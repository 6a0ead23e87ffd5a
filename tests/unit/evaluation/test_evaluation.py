"""The evaluation of alarms: its measures, its figures again, and the documents that show them."""

from io import StringIO
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from evaluation import report
from evaluation.__main__ import table
from evaluation.cdnow import evaluate
from evaluation.measures import Estimate, auc, roc
from evaluation.picture import draw

RANDOM = np.random.default_rng(4)


def test_the_evaluation_page_and_picture_show_the_result_file() -> None:
    """`python -m evaluation.report` has been run since the results changed."""
    content = report.read()
    text = report.PAGE.read_text(encoding="utf-8")
    assert report.page(text, content) == text
    assert report.PICTURE.read_text(encoding="utf-8") == draw(content)


def test_the_table_of_make_evaluate_fits_a_terminal() -> None:
    """80 characters, and nothing of it cut off."""
    said = StringIO()
    console = Console(file=said, width=80)
    for population in report.read()["populations"]:
        console.print(table(population))
    text = said.getvalue()
    assert "as precise" in text
    assert "…" not in text


@pytest.mark.slow
def test_the_figures_of_the_evaluation_come_out_again() -> None:
    """The engine over CDNOW gives what the result file says, but for the sweeps, which take longer."""
    told = report.read()
    del told["sweeps"]
    same(evaluate(sweeps=False), told, "")


def same(found: Any, told: Any, path: str) -> None:
    """Counts exactly; floats as far as another processor's arithmetic may move them."""
    if isinstance(told, dict):
        assert found.keys() == told.keys(), path
        for name in told:
            same(found[name], told[name], f"{path}.{name}")
    elif isinstance(told, list):
        assert len(found) == len(told), path
        for number, (ours, theirs) in enumerate(zip(found, told, strict=True)):
            same(ours, theirs, f"{path}[{number}]")
    elif isinstance(told, float):
        assert found == pytest.approx(told, rel=1e-3, abs=1e-4), path
    else:
        assert found == told, path


def test_what_the_evaluation_page_says_in_words_is_what_was_found() -> None:
    """Earlier for as many false alarms; no better ranking; the same model asked for the 39 weeks is the best one."""
    content = report.read()
    same_price = content["sweeps"]["for_as_many_false"]
    assert same_price["rhythm_warning_days"] > 1.09 * same_price["fixed_warning_days"]
    for population in content["populations"]:
        areas = population["areas"]
        assert areas["P(alive)"]["more_than_idle"]["high"] < 0
        assert areas["expected purchases"]["more_than_idle"]["low"] > 0
        assert max(areas, key=lambda name: float(areas[name]["auc"]["value"])) == "expected purchases"
    rhythm, patient = content["populations"][1]["rules"][1], content["populations"][1]["as_precise"]
    assert patient["precision"]["value"] >= rhythm["precision"]["value"]
    assert rhythm["lead_days"]["median"] > patient["lead_days"]["median"] + 30
    assert rhythm["recall"]["value"] < patient["recall"]["value"]


def test_an_area_is_the_chance_that_the_score_orders_a_pair() -> None:
    """Counted pair by pair, ties by half; the same as below the curve's straight lines."""
    score, lost = RANDOM.integers(0, 6, 80).astype(float), RANDOM.random(80) < 0.4
    pairs = score[lost][:, None] - score[~lost][None, :]
    counted = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert auc(score, lost).value == pytest.approx(counted)
    others, gone = roc(score, lost)
    assert np.trapezoid(gone, others) == pytest.approx(counted)


def test_delong_s_interval_covers_what_bootstrapped_areas_do() -> None:
    """For one score, and for the difference of two of the same customers."""
    lost = RANDOM.random(600) < 0.5
    first = lost + RANDOM.normal(size=600)
    second = first + RANDOM.normal(size=600)
    drawn = []
    for _ in range(400):
        rows = RANDOM.integers(0, 600, 600)
        drawn.append((auc(first[rows], lost[rows]).value, auc(second[rows], lost[rows]).value))
    areas = np.array(drawn)
    for estimate, values in (
        (auc(first, lost).estimate, areas[:, 0]),
        (auc(first, lost).less(auc(second, lost)), areas[:, 0] - areas[:, 1]),
    ):
        assert [estimate.low, estimate.high] == pytest.approx(np.percentile(values, (2.5, 97.5)).tolist(), abs=0.015)


def test_wilson_s_interval_of_a_share() -> None:
    """The known answer for 81 of 263 (Newcombe 1998, Statistics in Medicine 17, table I)."""
    share = Estimate.of_share(81, 263)
    assert (share.low, share.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
