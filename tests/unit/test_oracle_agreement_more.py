"""I1 and I2 for all dimensions the settings allow, in any order and number: the engine gives the oracle's changes."""

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.settings import Settings
from tests.histories import histories, varied_moments
from tests.lockstep import Engine, Oracle, at_every_prefix, in_batches, under_sweeps
from tests.oracle.engagement import crossing_s, meets, touches_of
from tests.oracle.facts import Facts
from tests.oracle.models import MODELS
from tests.oracle.rules import OracleRules

# "One number in log space" is a float: some 1500 half-lives since the epoch, to 0.3 microseconds, and a rounding for
# each of up to 40 events. Closer to a whole second, without being on it, a crossing has no second to be rounded to.
ENGAGEMENT_RESOLUTION_S = Fraction(20, 1_000_000)
DIGITS = 60


def settings_with(dimensions: tuple[str, ...]) -> Settings:
    """Settings of the product with these dimensions; ValidationError where it does not have one."""
    return Settings.model_validate({"dimensions": dimensions})


def is_allowed(dimension: str) -> bool:
    """Whether the product's settings know this dimension."""
    try:
        settings_with((dimension,))
    except ValidationError:
        return False
    return True


ALLOWED = tuple(dimension for dimension in MODELS if is_allowed(dimension))
# Undecidable examples are left out; a microsecond from the thresholds, with engagement, most would be.
FINE, COARSE = varied_moments(timedelta(microseconds=1)), varied_moments(timedelta(milliseconds=1))

Case = tuple[tuple[str, ...], list[dict[str, Any]]]


@st.composite
def cases(draw: st.DrawFn, most: int = 40) -> Case:
    """Dimensions of any number in any order, and a log."""
    dimensions = tuple(draw(st.lists(st.sampled_from(ALLOWED), min_size=1, unique=True)))
    return dimensions, draw(histories(most, COARSE if "engagement" in dimensions else FINE, varied=True))


def is_undecidable(facts: Facts, rules: OracleRules) -> bool:
    """Whether a crossing of engagement lies so close to a whole second that a float cannot tell its side.

    On a whole second is decidable: after one, two, three half-lives much falls to its thresholds exactly.
    """
    touches, half_life_us = touches_of(facts, rules)
    if not touches or "engagement" not in rules.dimensions:
        return False
    for threshold in rules.engagement_thresholds:
        crossing = crossing_s(touches, half_life_us, threshold, DIGITS)
        second = int(crossing.to_integral_value())
        near = abs(Fraction(crossing) - second) < ENGAGEMENT_RESOLUTION_S
        if near and not meets(touches, half_life_us, threshold, second):
            return True
    return False


class Decidable(Oracle):
    """An oracle of the given dimensions that leaves out examples floats cannot decide."""

    def __init__(self, dimensions: tuple[str, ...]) -> None:
        super().__init__(OracleRules(dimensions=dimensions))

    def take(self, event: dict[str, Any]) -> None:
        """See Oracle."""
        super().take(event)
        assume(not is_undecidable(self.shard.customers[event["customer_id"]].facts, self.shard.rules))


def test_the_dimensions_drawn_from_are_in_the_settings() -> None:
    """The two of the design's section 3 at least; others as the settings come to know them."""
    assert {"lifecycle", "rfm"} <= set(ALLOWED)


@given(
    case=cases(),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    until=st.none() | FINE,
)
@settings(max_examples=200, deadline=None)
def test_any_dimensions_in_any_order_give_the_oracles_changes(
    case: Case, sizes: list[int], until: datetime | None
) -> None:
    """Discounts, scores, kinds, ties, repeats, late events and silence, in any batches: the same changes."""
    dimensions, log = case
    changes, expected = in_batches(Engine(settings_with(dimensions)), Decidable(dimensions), log, sizes, until)
    assert changes == expected


@given(case=cases(most=12))
@settings(max_examples=100, deadline=None)
def test_any_dimensions_agree_at_every_prefix(case: Case) -> None:
    """After each event, swept to the clock, nothing is missing and nothing is ahead."""
    dimensions, log = case
    for changes, expected in at_every_prefix(Engine(settings_with(dimensions)), Decidable(dimensions), log):
        assert changes == expected


@given(
    case=cases(),
    sweeps=st.lists(st.tuples(st.integers(0, 40), FINE), max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_any_dimensions_agree_when_sweeps_run_ahead_of_the_clock(
    case: Case, sweeps: list[tuple[int, datetime]]
) -> None:
    """Events behind a sweep are late, and what they bring is effective where the customer was concluded."""
    dimensions, log = case
    changes, expected = under_sweeps(Engine(settings_with(dimensions)), Decidable(dimensions), log, sweeps)
    assert changes == expected
