"""What is not a number is an error that says what and under what, never a label; and nothing beyond 64 bits wraps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.schemas.rule_dimensions import RuleDimension
from segflow.schemas.settings import Settings
from segflow.segments import histogram, window
from segflow.segments.attributes import ENTRY, Attributes, kind_and_bits
from segflow.segments.instant import DAY_US, LATEST_US, NEVER, second_after
from segflow.segments.models import clv
from segflow.segments.models.engagement import LEVEL_LOG2, NOTHING, with_event
from segflow.segments.not_computable import NotComputableError
from segflow.segments.parameters import CDNOW, GammaGamma, MbgNbd, Parameters
from segflow.segments.purchase_days import FIRST_DAY_MINOR, first_day_of_both, with_first_day
from segflow.segments.recut import PopulationHistograms
from segflow.segments.rules import from_settings, recut_policy_of
from segflow.segments.window import ENTRY as SLOT
from tests.support.command import segflow, settings_file
from tests.support.random_facts import CUSTOMERS, some_facts
from tests.support.trials import trials

MOST = 2**63 - 1
BROKEN = Parameters(mbg_nbd=MbgNbd(r=float("nan")))


@pytest.mark.parametrize("dimension", ["churn", "clv", "engagement"])
def test_a_value_that_is_no_number_gives_neither_label_nor_deadline(dimension: str) -> None:
    """Whatever is damaged, the parameters or what is remembered: an error by name, for both questions."""
    rules = from_settings(Settings.model_validate({"dimensions": [dimension]}))
    rules = rules.with_cuts(replace(rules.cuts, parameters=BROKEN))
    facts = some_facts(np.random.default_rng(1), [DAY_US])
    level = np.where(np.arange(CUSTOMERS) == 7, np.nan, facts[LEVEL_LOG2])
    facts = replace(facts, own={**facts.own, LEVEL_LOG2.name: level}, _computed={})
    at_us = np.full(CUSTOMERS, 10**15)
    codes = np.ones((CUSTOMERS, 1), dtype=np.uint8)
    for ask in (lambda: rules.classify(facts, at_us), lambda: rules.deadlines(facts, at_us, codes)):
        with pytest.raises(NotComputableError):
            ask()


def test_the_message_says_of_whom_under_what_and_what_to_do() -> None:
    """The dimension, every parameter, and both ways out."""
    rules = from_settings(Settings.model_validate({"dimensions": ["clv"]}))
    rules = rules.with_cuts(replace(rules.cuts, parameters=BROKEN))
    facts = some_facts(np.random.default_rng(1), [DAY_US])
    with pytest.raises(NotComputableError) as told:
        rules.classify(facts, np.full(CUSTOMERS, 10**15))
    message = str(told.value)
    assert message.startswith(
        "clv cannot be computed for 150 of 150 customers under parameters.mbg_nbd r nan, alpha_we"
    )
    assert "parameters.gamma_gamma p 6.25, q 3.74, gamma 15.45" in message
    assert "`parameters` of the settings" in message
    assert "`segflow fit`" in message


def test_a_worth_that_is_no_number_is_counted_nowhere() -> None:
    """Neither in terciles, nor in what is at stake."""
    product = Settings.model_validate({"dimensions": ["clv"], "clv": {"cuts": "terciles"}})
    facts = some_facts(np.random.default_rng(1), [DAY_US])
    with pytest.raises(NotComputableError):
        PopulationHistograms.of(facts, 10**15, recut_policy_of(product), BROKEN)


def test_the_command_ends_with_the_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2 and one line; nothing is written."""
    monkeypatch.setattr(clv, "expected_falls_to_weeks", lambda *_: np.full((1, 2), np.nan))
    log = tmp_path / "log.jsonl"
    log.write_text(
        '{"type": "purchase", "event_id": "e", "customer_id": "c", "order_id": "o", "amount": 1, '
        '"occurred_at": "2025-01-01T00:00:00Z"}\n',
        encoding="utf-8",
    )
    result = segflow("run", log, "--settings", settings_file(tmp_path, dimensions=["clv"]))
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith(
        "segflow: clv cannot be computed for 1 of 1 customers under parameters.mbg_nbd r 0.525"
    )
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("seconds", [np.inf, -np.inf, 1e300, -1e300, 2.0**63, float(LATEST_US)])
def test_a_crossing_beyond_all_times_is_never_or_long_ago(seconds: float) -> None:
    """Whichever way it is beyond them; what is no number is neither."""
    (end_us,) = second_after(np.array([seconds]))
    assert end_us == NEVER if seconds > 0 else end_us < -LATEST_US
    with pytest.raises(NotComputableError):
        second_after(np.array([1.0, np.nan]))


@given(
    weights=st.lists(st.sampled_from([NOTHING, -1e3, 0.0, 2.5e11, 3e11]), min_size=1, max_size=6),
)
@trials(100)
def test_an_engagement_is_a_number_or_nothing(weights: list[float]) -> None:
    """Events of no weight, and of any time under the shortest half-life: nothing plus nothing is nothing."""
    level = np.array([NOTHING])
    for weight in weights:
        level = with_event(level, np.array([weight]))
    assert level[0] == NOTHING or np.isfinite(level[0])


def test_one_who_bought_and_returned_a_fortune_wraps_nowhere() -> None:
    """Money of the first day is refused beyond 64 bits; what is left of the rest is counted in doubles."""
    once = np.array([10 * DAY_US])
    with pytest.raises(OverflowError, match="on the first purchase day no longer fits 64 bits"):
        with_first_day(np.array([MOST]), once, once + 1, np.array([1]))
    with pytest.raises(OverflowError, match="on the first purchase day no longer fits 64 bits"):
        first_day_of_both(np.array([MOST]), once, np.array([1]), once)
    some = some_facts(np.random.default_rng(1), [DAY_US])
    facts = replace(
        some, net_minor=np.full(CUSTOMERS, -MOST), own={**some.own, FIRST_DAY_MINOR.name: np.full(CUSTOMERS, MOST)}
    )
    model = clv.ClvModel(horizon_weeks=26, minor_per_major=100)
    known = facts.purchases > 0
    worth = model.worth_minor(facts.take(np.flatnonzero(known)), 10**17, CDNOW)
    everybodys = model.worth_minor(
        replace(
            facts,
            net_minor=facts.net_minor * 0,
            own={**facts.own, FIRST_DAY_MINOR.name: facts.net_minor * 0},
            _computed={},
        ).take(np.flatnonzero(known)),
        10**17,
        CDNOW,
    )
    assert (worth == everybodys).all()  # less than nothing is left of the repeat days: the population's mean


def test_slots_that_do_not_fit_together_are_refused() -> None:
    """Each fits 64 bits, and two of them do not."""
    held = np.zeros((1, 3), dtype=SLOT)
    held["key"], held["orders"], held["net_minor"] = [[1, 2, 3]], 1, [[-MOST, MOST, MOST]]
    with pytest.raises(OverflowError, match="in several slots no longer fits 64 bits"):
        window.left(held)
    held["net_minor"] = [[MOST, -MOST, MOST]]
    assert window.left(held)[1].tolist() == [[MOST, 0, MOST, 0]]


@given(values=st.lists(st.sampled_from([-(2**63), -MOST, -1, 0, 1, 2**62, MOST - 1, MOST]), min_size=1, max_size=9))
@trials(100)
def test_quantiles_of_any_whole_numbers_are_whole_numbers_in_their_order(values: list[int]) -> None:
    """At the ends of 64 bits, too; with one bin or with many; and a threshold above one is still one."""
    low, high = histogram.quantiles(histogram.count(np.array(values)), (0.3, 0.9))
    assert -MOST <= low <= high <= MOST - 1
    if len(set(values)) == 1:
        assert low == high == pytest.approx(values[0], rel=0.011)


NUMBERS = st.sampled_from([0.0, 1.0, -1.0, 5e-324, 1e-300, 1e300, -1e300, float("inf"), float("-inf")])
COMPARISONS: tuple[str, ...] = (
    "attributes.a - attributes.b {sign} 0",
    "attributes.a / attributes.b {sign} 1",
    "attributes.a * attributes.b {sign} 1",
    "monetary / attributes.b {sign} attributes.a",
)
MOVING: tuple[str, ...] = (
    "idle / attributes.a {sign} 1d",
    "idle * attributes.a {sign} tenure * attributes.b",
    "tenure / attributes.a - idle * attributes.b {sign} 0s",
)


@given(one=NUMBERS, other=NUMBERS, seed=st.integers(0, 2**32))
@pytest.mark.parametrize("condition", [*COMPARISONS, *MOVING])
@trials(60)
def test_a_rule_that_has_no_number_to_stand_on_holds_for_nobody(
    condition: str, one: float, other: float, seed: int
) -> None:
    """What is divided by zero, and infinity less infinity, is absent: no sign of a comparison holds then.

    Else one of <, >= holds, whatever overflows; and a deadline lies ahead, or never.
    """
    facts = some_facts(np.random.default_rng(seed), [DAY_US])
    keys, entries = facts.attributes.keys, np.zeros((CUSTOMERS, len(facts.attributes.keys)), dtype=ENTRY)
    at_us = np.full(CUSTOMERS, 10**15)
    attributes = Attributes(keys, entries)
    for name, value in (("a", one), ("b", other)):
        column = attributes.column(name)
        column["key"], (column["kind"], column["value"]) = 1, kind_and_bits(value)
    facts = replace(facts, attributes=attributes)

    def held(sign: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        text = condition.format(sign=sign)
        spec = RuleDimension.model_validate({"rules": [{"label": "yes", "when": text}], "otherwise": "no"})
        rules = from_settings(Settings(dimensions=("mine",), rule_dimensions={"mine": spec}))
        codes = rules.classify(facts, at_us)
        due_us = rules.deadlines(facts, at_us, codes)
        assert (due_us > at_us[:, None]).all()
        return np.asarray(codes[:, 0] == 1)

    below, reached = held("<"), held(">=")
    assert not (below & reached).any()
    if condition in COMPARISONS:
        differs, equal = held("!="), held("==")
        assert ((below | reached) == (differs | equal)).all()


def test_parameters_of_money_stay_finite_next_to_where_there_is_no_mean() -> None:
    """At q just above 1 the population's mean is huge, and a number: the worth ends at the most there is."""
    facts = some_facts(np.random.default_rng(1), [DAY_US])
    facts = facts.take(np.flatnonzero(facts.purchases > 0))
    edge = replace(CDNOW, gamma_gamma=GammaGamma(p=1e6, q=float(np.nextafter(1, 2)), gamma=1e18))
    worth = clv.ClvModel(horizon_weeks=26, minor_per_major=10_000).worth_minor(facts, 10**17, edge)
    assert (worth >= 0).all()
    assert worth.max() <= 2**62
