"""The law of population cuts: they compare everybody at their own moment, so silence moves nobody until the next."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from segflow.schemas.settings import Settings
from segflow.segments.cuts import Cuts
from segflow.segments.instant import DAY_US, LATEST_US, NEVER, duration_us, to_us
from segflow.segments.models.rfm import Rfm
from segflow.segments.rules import Rules, fixed_cuts
from tests.oracle.simulation import Adopt
from tests.support.agreement import by_customer
from tests.support.events import event
from tests.support.histories import START, histories, moments
from tests.support.lockstep import Engine, Oracle, cut
from tests.support.population_cuts import under_held
from tests.support.quantile_run import run
from tests.support.random_facts import CUSTOMERS, some_facts
from tests.support.random_rules import of_population, some_rules
from tests.support.translation import rules_of
from tests.support.trials import trials

OF_POPULATION = ("rfm", "value", "clv")
AHEAD = timedelta(days=1000)


@given(made=some_rules(), data=st.data(), seed=st.integers(0, 2**32))
@trials(150)
def test_under_cuts_of_a_population_time_changes_no_label(
    made: tuple[Rules, Settings], data: st.DataObject, seed: int
) -> None:
    """For any settings (with a window and without), facts and moments: the same label, and no deadline ever."""
    rules, product = made
    rules = rules.with_cuts(data.draw(of_population(rules.cuts)))
    dice = np.random.default_rng(seed)
    facts = some_facts(dice, [DAY_US], duration_us(product.engagement.half_life), duration_us(product.slot))
    columns = [rules.names.index(name) for name in OF_POPULATION]
    spread = [dice.integers(-2000 * DAY_US, LATEST_US, CUSTOMERS) for _ in range(4)]
    near = [np.clip(facts.last_us, 0, LATEST_US - DAY_US) + nudge for nudge in (-1, 0, 1, DAY_US)]
    seen = [rules.classify(facts, at_us) for at_us in (*spread, *near)]
    for one, other in pairwise(seen):
        assert (one[:, columns] == other[:, columns]).all()
    for at_us, codes in zip((*spread, *near), seen, strict=True):
        assert (rules.deadlines(facts, at_us, codes)[:, columns] == NEVER).all()


PURCHASES = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 8), st.sampled_from(["5", "49.99", "120", "0"])),
    min_size=5,
    max_size=60,
)


def log_of(purchases: list[tuple[int, int, str]]) -> list[dict[str, Any]]:
    """A year of customers who bought on these days for so much; somebody else only looks, every day."""
    log = [
        event(number, day + number / 24, customer=f"c{customer}", amount=amount)
        for number, (day, customer, amount) in enumerate(purchases)
    ]
    log += [event(1000 + day, day, "interaction", "z") | {"kind": "visit"} for day in range(330)]
    return sorted(log, key=lambda each: datetime.fromisoformat(each["occurred_at"]))


@pytest.mark.slow
@given(purchases=PURCHASES, window=st.sampled_from([None, "56d", "365d"]), every=st.sampled_from(["1d", "20d"]))
@trials(30)
def test_silence_moves_nobody_in_a_dimension_that_is_cut_by_population(
    purchases: list[tuple[int, int, str]], window: str | None, every: str
) -> None:
    """In a run with re-cuts: what changes with cause `time` does so under fixed cuts, and nothing else is foretold."""
    product = Settings.model_validate(
        {
            "dimensions": ["lifecycle", *OF_POPULATION],
            "rfm": {"cuts": "quantile", "window": window},
            "clv": {"cuts": "terciles"},
            "recut": {"min_population": 3, "every": every},
        }
    )
    file_run, changes = run(log_of(purchases), batch=50, settings=product)
    for change in changes:
        cuts = file_run.rule_versions.rules(change["cuts"]).cuts
        fixed = ["lifecycle"] + ["rfm"] * (cuts.recency_from_us is None) + ["clv"] * (cuts.clv_at_us is None)
        assert change["cause"]["kind"] != "time" or change["dimension"] in fixed
        assert change["next"] is None or change["next"]["dimension"] in fixed


@st.composite
def some_cuts(draw: st.DrawFn) -> Cuts:
    """Cuts of a population at a moment of random histories; the version is for the caller to set."""
    instants = [to_us(draw(moments)) for _ in range(4)]
    orders = draw(st.lists(st.integers(1, 6), min_size=4, max_size=4, unique=True))
    money = draw(st.lists(st.integers(-10, 2000), min_size=4, max_size=4, unique=True))
    one, two, three, four = sorted(orders)
    low, mid, high, top = (100 * each for each in sorted(money))
    r2, r3, r4, r5 = sorted(instants)
    at_us = to_us(draw(moments))
    return Cuts(
        version=0,
        recency_us=fixed_cuts(Settings()).recency_us,
        recency_from_us=(r2, r3, r4, r5),
        frequency=(one, two, three, four),
        monetary_minor=(low, mid, high, top),
        value_minor=(mid, high),
        clv_minor=(abs(low) + 1, abs(low) + abs(top) + 2),
        window_at_us=at_us,
        clv_at_us=at_us,
    )


def at(instant: str, **more: Any) -> dict[str, Any]:
    """An event of one customer."""
    return {"event_id": "e0", "customer_id": "c1", "occurred_at": instant, **more}


FIRST_PURCHASE_US = to_us(datetime.fromisoformat("2024-02-19T23:59:59.999999Z"))
REFUND_A_WINDOW_LATER = {
    "log": [
        at("2024-02-19T23:59:59.999999Z", type="purchase", order_id="o", amount="0"),
        at("2024-04-11T00:00:00Z", type="refund", order_id="another", amount="5", full=False),
    ],
    "sizes": [1],
    "recuts": [
        (
            0,
            replace(
                fixed_cuts(Settings()),
                recency_from_us=(FIRST_PURCHASE_US,) * 4,
                window_at_us=FIRST_PURCHASE_US,
                clv_at_us=FIRST_PURCHASE_US,
            ),
        )
    ],
    "dimensions": ("lifecycle", "rfm"),
    "window": timedelta(days=56),
}


@example(**REFUND_A_WINDOW_LATER)
@given(
    log=histories(),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    recuts=st.lists(st.tuples(st.integers(0, 5), some_cuts()), min_size=1, max_size=3),
    dimensions=st.sampled_from([("lifecycle", "rfm"), ("value", "rfm"), ("rfm", "clv")]),
    window=st.sampled_from([None, timedelta(days=56), timedelta(days=365)]),
)
@trials(150)
def test_cuts_of_a_population_are_adopted_as_the_oracle_says(
    log: list[dict[str, Any]],
    sizes: list[int],
    recuts: list[tuple[int, Cuts]],
    dimensions: tuple[str, ...],
    window: timedelta | None,
) -> None:
    """Late events, refunds and silence between them: each customer as of the cut or the latest purchase."""
    product = Settings(dimensions=dimensions, rfm=Rfm(window=window))
    engine, oracle = Engine(product), Oracle(rules_of(product))
    version = 0
    for number, batch in enumerate(cut(log, sizes)):
        for drawn in (cuts for at, cuts in recuts if at == number):
            version += 10
            cuts = replace(drawn, version=version, window_at_us=drawn.window_at_us if window else None)
            oracle.changes += oracle.shard.step(Adopt(under_held(rules_of(product), cuts), "recut"))
            engine.sweep()  # the next version waits until all customers are done with the one before
            engine.rule_versions.add_cuts(cuts)
        for each in batch:
            oracle.take(each)
        engine.feed(batch)
    oracle.sweep(START + AHEAD)
    engine.sweep(START + AHEAD)
    assert by_customer(engine.changes) == by_customer(oracle.changes)
