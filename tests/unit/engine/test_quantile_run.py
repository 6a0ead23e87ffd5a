"""Quantile cuts in a run over a file: made at a stated event time, adopted as the oracle says, however it is cut."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from segflow.engine.file_run import FileRun
from segflow.schemas.settings import Settings
from segflow.segments.instant import MICROSECOND, to_us
from tests.oracle.simulation import Adopt, Event, OracleRules, Shard, Sweep
from tests.oracle.value import population_cuts
from tests.support.agreement import by_customer
from tests.support.histories import START, written
from tests.support.population_cuts import under_held
from tests.support.quantile_run import EVERY, RECUT, SETTINGS, run
from tests.support.translation import rules_of


def population(customers: int, events: int, seed: int = 7) -> list[dict[str, Any]]:
    """Purchases over a year in time order, amounts and rhythms spread widely."""
    rng = np.random.default_rng(seed)
    seconds = np.sort(rng.integers(0, 365 * 86_400, events))
    return [
        {
            "type": "purchase",
            "event_id": f"e{number}",
            "customer_id": f"c{int(customers * rng.power(2))}",
            "occurred_at": written(START + timedelta(seconds=int(second))),
            "order_id": "o",
            "amount": f"{rng.lognormal(3.5, 1.2):.2f}",
        }
        for number, second in enumerate(seconds)
    ]


def oracle_of(log: list[dict[str, Any]], file_run: FileRun, settings: Settings = SETTINGS) -> list[dict[str, Any]]:
    """The oracle over the same log, given the cuts that the run made, adopted where the boundary was passed."""
    versions = iter(range(1, file_run.rule_versions.latest.version + 1))
    oracle = Shard(rules_of(settings))
    changes: list[dict[str, Any]] = []
    latest: int | None = None
    for event in log:
        period = to_us(datetime.fromisoformat(event["occurred_at"])) // (EVERY // MICROSECOND)
        if latest is not None and period > latest:  # with this log, cuts move at every boundary
            cuts = file_run.rule_versions.rules(next(versions)).cuts
            changes += oracle.step(Adopt(under_held(rules_of(settings), cuts), "recut"))
        latest = period
        changes += oracle.step(Event(event))
    assert next(versions, None) is None
    return changes + oracle.step(Sweep(None))


@pytest.fixture(scope="module")
def log() -> list[dict[str, Any]]:
    """Three hundred customers, large enough for quantiles from the first month on."""
    return population(300, 3000)


@pytest.mark.parametrize(
    ("dimensions", "window"),
    [
        pytest.param(("lifecycle", "rfm"), None, marks=pytest.mark.slow),
        pytest.param(("value", "rfm"), None, marks=pytest.mark.slow),
        (("rfm",), "84d"),
    ],
)
def test_recut_changes_are_the_oracles_under_the_cuts_that_were_made(
    log: list[dict[str, Any]], dimensions: tuple[str, ...], window: str | None
) -> None:
    """Every month new cuts; each customer goes up to the adoption under the old ones, then under the new."""
    rfm = {"cuts": "quantile", "window": window}
    settings = Settings.model_validate({"rfm": rfm, "recut": RECUT, "dimensions": dimensions})
    file_run, changes = run(log, batch=500, settings=settings)
    for name in set(dimensions) - {"lifecycle"}:
        assert sum((each["dimension"], each["cause"]["kind"]) == (name, "recut") for each in changes) > 150
    assert by_customer(changes) == by_customer(oracle_of(log, file_run, settings))


@pytest.mark.slow
def test_batches_do_not_show_in_quantile_cuts(log: list[dict[str, Any]]) -> None:
    """The cut is made at an event time of the log, wherever the batches end."""
    expected = by_customer(run(log, batch=3000)[1])
    for batch in (1, 37, 1000):
        assert by_customer(run(log[:600], batch)[1]) == by_customer(run(log[:600], 600)[1])
    assert by_customer(run(log, batch=501)[1]) == expected


def test_below_the_least_population_the_fixed_cuts_hold() -> None:
    """Forty customers are too few for quantiles: version 0 throughout."""
    changes = run(population(40, 600), batch=100)[1]
    assert {change["cuts"] for change in changes} == {0}


VALUE = Settings(dimensions=("value",), recut=RECUT)


def test_classes_of_value_are_those_of_the_population_at_each_boundary(log: list[dict[str, Any]]) -> None:
    """Though RFM is not listed: cuts each month, to 1 % where 70 % and 90 % of the money are, or 5 % from it."""
    file_run, changes = run(log, batch=400, settings=VALUE)
    last = max(happened(event) for event in log)
    boundary = datetime.fromtimestamp(last.timestamp() // EVERY.total_seconds() * EVERY.total_seconds(), tz=UTC)
    money, total, latest = Counter[str](), Counter[str](), {}
    for event in log:
        if happened(event) < boundary:  # the log is in time order
            money[event["customer_id"]] += round(100 * float(event["amount"]))
            latest[event["customer_id"]] = happened(event)
    living = [money[each] for each, at in latest.items() if boundary - at < timedelta(days=180)]
    cuts = file_run.rule_versions.latest.cuts
    for start, exact in zip(reversed(cuts.value_minor), population_cuts(living, OracleRules()), strict=True):
        assert 0.94 * exact <= start <= 1.05 * exact
    assert {change["cuts"] for change in changes} > {0, cuts.version}
    held = {change["customer_id"]: change["current"] for change in changes}
    for event in log:
        total[event["customer_id"]] += round(100 * float(event["amount"]))
    b_from, a_from = cuts.value_minor
    assert held == {each: "a" if net >= a_from else "b" if net >= b_from else "c" for each, net in total.items()}


@pytest.mark.slow
def test_shards_and_batches_do_not_show_in_classes_of_value(log: list[dict[str, Any]]) -> None:
    """Three shards, which count apart, make the same cuts, and the same of everybody; each adopts at its own clock."""

    def moves(changes: list[dict[str, Any]]) -> dict[str, list[tuple[str, str, int]]]:
        mine = by_customer(changes)
        return {each: [(c["current"], c["cause"]["kind"], c["cuts"]) for c in some] for each, some in mine.items()}

    whole = run(log, batch=3000, settings=VALUE)[1]
    assert by_customer(run(log, batch=333, settings=VALUE)[1]) == by_customer(whole)
    assert moves(run(log, batch=333, shards=3, settings=VALUE)[1]) == moves(whole)


def happened(event: dict[str, Any]) -> datetime:
    """When it happened."""
    return datetime.fromisoformat(event["occurred_at"])
