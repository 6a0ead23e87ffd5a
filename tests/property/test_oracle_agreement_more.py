"""I1 and I2 of docs/architecture.md for all dimensions, in any order and number: the engine agrees with the oracle."""

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from segflow.schemas.settings import Settings
from tests.oracle import churn, clv
from tests.oracle.churn import rhythm_of, thresholds_of
from tests.oracle.engagement import crossing_s, meets, touches_of
from tests.oracle.facts import Facts
from tests.oracle.models import MODELS
from tests.oracle.rule_dimension import seen_by
from tests.oracle.rules import OracleRules
from tests.support.histories import debts, histories, varied_moments
from tests.support.lockstep import Engine, Oracle, at_every_prefix, in_batches, under_sweeps
from tests.support.translation import rules_of, settings_of
from tests.support.trials import trials

# "One number in log space" is a float: some 1500 half-lives since the epoch, to 0.3 microseconds, and a rounding for
# each of up to 40 events. Closer to a whole second, without being on it, a crossing has no second to be rounded to.
ENGAGEMENT_RESOLUTION_S = Fraction(20, 1_000_000)
DIGITS = 60
# A crossing of churn is a power of floats: an error of some roundings of the time since the first purchase, and of the
# conversions of that to a time since the epoch.
CHURN_RESOLUTION, CHURN_RESOLUTION_S = 1e-13, 2e-5
# Clv is a hypergeometric function of floats, and its crossing is searched for: to a part of the time since the first
# purchase, and to a millisecond.
CLV_RESOLUTION, CLV_RESOLUTION_US = 1e-11, 1000

# What rules compute of times is a float of microseconds since 1970.
RULE_RESOLUTION_US = 20


def is_allowed(dimension: str) -> bool:
    """Whether the product's settings know this dimension."""
    try:
        Settings.model_validate({"dimensions": (dimension,)})
    except ValidationError:
        return False
    return True


ALLOWED = tuple(dimension for dimension in MODELS if is_allowed(dimension))
KNOWS_ERASE = "erase" in Settings.model_fields
# Undecidable examples are left out; a microsecond from the thresholds, with engagement, most would be.
FINE, COARSE = varied_moments(timedelta(microseconds=1)), varied_moments(timedelta(milliseconds=1))

Case = tuple[Settings, list[dict[str, Any]]]


@st.composite
def cases(draw: st.DrawFn, most: int = 40) -> Case:
    """Dimensions of any number in any order with any thresholds, and a log."""
    dimensions = tuple(draw(st.lists(st.sampled_from(ALLOWED), min_size=1, unique=True)))
    times = COARSE if "engagement" in dimensions else FINE
    erasing, merging = KNOWS_ERASE and draw(st.booleans()), draw(st.booleans())
    log = draw(histories(most, times, varied=True, erasing=erasing, merging=merging))
    return draw(settings_of(dimensions)), log


def is_undecidable(facts: Facts, rules: OracleRules) -> bool:
    """Whether a crossing lies so close to a whole second that a float cannot tell its side."""
    return (
        ("engagement" in rules.dimensions and is_engagement_undecidable(facts, rules))
        or ("churn" in rules.dimensions and is_churn_undecidable(facts, rules))
        or ("clv" in rules.dimensions and is_clv_undecidable(facts, rules))
        or any(is_rule_undecidable(each, facts, rules) for each in rules.rule_dimensions)
    )


def is_engagement_undecidable(facts: Facts, rules: OracleRules) -> bool:
    """On a whole second is decidable: after one, two, three half-lives much falls to its thresholds exactly."""
    touches, half_life_us = touches_of(facts, rules)
    if not touches:
        return False
    for threshold in rules.engagement_thresholds:
        crossing = crossing_s(touches, half_life_us, threshold, DIGITS)
        second = int(crossing.to_integral_value())
        near = abs(Fraction(crossing) - second) < ENGAGEMENT_RESOLUTION_S
        if near and not meets(touches, half_life_us, threshold, second):
            return True
    return False


def is_churn_undecidable(facts: Facts, rules: OracleRules) -> bool:
    """On a whole second is not decidable either: only parameters that nobody fits have such crossings."""
    if not facts.orders:
        return False
    first_us = rhythm_of(facts)[1]
    for p in thresholds_of(facts, rules):
        crossing = churn.crossing_s(rhythm_of(facts), p, rules.mbg_nbd)
        after_first_s = abs(crossing - Fraction(first_us, 1_000_000))
        resolution_s = CHURN_RESOLUTION_S + CHURN_RESOLUTION * float(after_first_s)
        if abs(crossing - churn.mp.nint(crossing)) < resolution_s:
            return True
    return False


def is_clv_undecidable(facts: Facts, rules: OracleRules) -> bool:
    """Whether clv meets a cut close to a whole second, or close to it at the latest purchase."""
    if not facts.orders:
        return False
    prospects = clv.prospects_of(facts, rules)
    first_us, latest_us = prospects.rhythm[1:]
    for cut in rules.clv_cuts:
        if abs(prospects.clv(latest_us) / Fraction(cut) - 1) < CLV_RESOLUTION:
            return True
        second = clv.first_second_below(Fraction(cut), prospects)
        if second is None or second * 1_000_000 <= latest_us:
            continue
        end_us = second * 1_000_000
        near_us = CLV_RESOLUTION_US + int(CLV_RESOLUTION * (end_us - first_us))
        begins_us = max(latest_us, end_us - 1_000_000 + near_us)
        if begins_us > end_us - near_us or prospects.clv(begins_us) < cut or prospects.clv(end_us - near_us) >= cut:
            return True
    return False


def is_rule_undecidable(dimension: str, facts: Facts, rules: OracleRules) -> bool:
    """On a whole second is decidable; sums and differences of times always are."""
    for crossing_us in seen_by(dimension, facts, rules).computed:
        off_us = abs(crossing_us - round(crossing_us / 1_000_000) * 1_000_000)
        if 0 < off_us < RULE_RESOLUTION_US:
            return True
    return False


class Decidable(Oracle):
    """An oracle that leaves out examples floats cannot decide."""

    def take(self, event: dict[str, Any]) -> None:
        """See Oracle."""
        super().take(event)
        customer = self.shard.customers.get(self.shard.redirects.customer_of(event["customer_id"]))
        assume(customer is None or not is_undecidable(customer.facts, self.shard.rules))


def test_the_dimensions_drawn_from_are_in_the_settings() -> None:
    """The two on by default at least; others as the settings come to know them."""
    assert {"lifecycle", "rfm"} <= set(ALLOWED)


@given(
    case=cases(),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    until=st.none() | FINE,
)
@trials(200)
def test_any_dimensions_in_any_order_give_the_oracles_changes(
    case: Case, sizes: list[int], until: datetime | None
) -> None:
    """Discounts, scores, kinds, ties, repeats, late events and silence, in any batches: the same changes."""
    chosen, log = case
    changes, expected = in_batches(Engine(chosen), Decidable(rules_of(chosen)), log, sizes, until)
    assert changes == expected


@given(case=cases(most=12))
@trials(100)
def test_any_dimensions_agree_at_every_prefix(case: Case) -> None:
    """After each event, swept to the clock, nothing is missing and nothing is ahead."""
    chosen, log = case
    for changes, expected in at_every_prefix(Engine(chosen), Decidable(rules_of(chosen)), log):
        assert changes == expected


@given(
    case=cases(),
    sweeps=st.lists(st.tuples(st.integers(0, 40), FINE), max_size=4),
)
@trials(100)
def test_any_dimensions_agree_when_sweeps_run_ahead_of_the_clock(
    case: Case, sweeps: list[tuple[int, datetime]]
) -> None:
    """Events behind a sweep are late, and what they bring is effective where the customer was concluded."""
    chosen, log = case
    changes, expected = under_sweeps(Engine(chosen), Decidable(rules_of(chosen)), log, sweeps)
    assert changes == expected


@given(log=debts(), sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4))
@trials(50)
def test_more_invoices_than_are_remembered_give_the_oracles_changes(
    log: list[dict[str, Any]], sizes: list[int]
) -> None:
    """Those without a place are dead letters, and move neither the customer nor the clock."""
    chosen = Settings(dimensions=("payment", "lifecycle"))
    changes, expected = in_batches(Engine(chosen), Oracle(rules_of(chosen)), log, sizes, None)
    assert changes == expected
