"""The oracle's rule dimensions and attributes, held to examples worked out by hand from the contract."""

from collections.abc import Mapping
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from tests.oracle.expression import Scope, holds
from tests.oracle.rules import OracleRules, RuleDimension
from tests.oracle.simulation import Sweep, simulate
from tests.support.by_hand import MICROSECOND, Item, day, event, moves, purchase, refund, segment

# The contract's two examples, all on defaults but for churn, which a second purchase day keeps low for long.
RISK = RuleDimension(
    rules=(
        ("aggressive", "attributes.risk_score >= 70 and attributes.age < 60"),
        ("balanced", "attributes.risk_score >= 40"),
    ),
    otherwise="conservative",
)
WIN_BACK = RuleDimension(
    rules=(
        ("call", "value == 'a' and churn in ['high', 'lost']"),
        ("email", "lifecycle == 'at_risk' and idle >= 75d"),
    ),
    otherwise="none",
)
RULES = OracleRules(
    dimensions=("lifecycle", "value", "churn", "risk_appetite", "win_back"),
    rule_dimensions={"risk_appetite": RISK, "win_back": WIN_BACK},
)


def profile(event_id: str, number: float, **attributes: Any) -> Item:
    """Return what is told of the customer on that day."""
    return event("profile", event_id, day(number), attributes=attributes)


def one(when: str) -> OracleRules:
    """Return rules with a single dimension `d` of a single rule."""
    return OracleRules(dimensions=("d",), rule_dimensions={"d": RuleDimension(rules=(("yes", when),), otherwise="no")})


def is_true(when: str, attributes: Mapping[str, Any]) -> bool:
    """Return whether an expression over attributes alone holds."""
    return holds(when, Scope(at=day(0), attributes=attributes, names={}))


@pytest.mark.parametrize(
    ("attributes", "label"),
    [
        ({"risk_score": 70, "age": 59}, "aggressive"),
        ({"risk_score": 70, "age": 60}, "balanced"),
        ({"risk_score": 70}, "balanced"),  # a comparison with an absent attribute is false
        ({"risk_score": 39, "age": 20}, "conservative"),
        ({"age": 20}, "conservative"),
    ],
)
def test_the_first_rule_that_holds_names_the_label(attributes: dict[str, Any], label: str) -> None:
    """The contract's example; without one that holds it is `otherwise`."""
    assert segment([profile("a", 0, **attributes)], "risk_appetite", RULES) == label


def test_a_rule_dimension_starts_at_otherwise_without_a_change() -> None:
    """Only lifecycle moves, from null."""
    (change,) = simulate([profile("a", 0)], RULES)
    assert (change["dimension"], change["segments"]["risk_appetite"]) == ("lifecycle", "conservative")


def test_rules_see_the_labels_of_the_dimensions_before_them_at_the_same_moment() -> None:
    """At risk from day 60, the e-mail is due from day 75 and ends with being churned; with value a they are called."""
    (*_, email, churned, _) = changes = simulate([purchase("p", 0, "10"), Sweep(day(180))], RULES)
    assert moves([c for c in changes if c["dimension"] == "win_back"]) == [
        ("2026-03-17", "win_back", "none", "email", "time"),
        ("2026-06-30", "win_back", "email", "none", "time"),
    ]
    assert churned["effective_at"] == changes[-1]["effective_at"]
    rich = simulate([purchase("p", 0, "1000"), Sweep(day(1000))], RULES)
    high = next(c for c in rich if c["current"] == "high")
    call = next(c for c in rich if c["current"] == "call")
    assert (high["effective_at"], high["segments"]["win_back"]) == (call["effective_at"], "call")
    assert email["current"] == "email"


@pytest.mark.parametrize(
    ("when", "begins_us", "ends_us"),
    [
        ("idle >= 45d", 0, None),
        ("idle > 45d", 1, None),
        ("45d <= recency", 0, None),
        ("idle == 45d", 0, 1),
        ("45d < idle <= 1080.5h", 1, 1_800_000_000 + 1),
        ("idle - 15d > 30d - 1ms + 1us", -998, None),
        ("90d - idle <= tenure - 0d", 0, None),
        ("not idle < 45d", 0, None),
    ],
)
def test_a_comparison_of_times_changes_at_its_crossing(when: str, begins_us: int, ends_us: int | None) -> None:
    """Silence moves the label at the exact microsecond, 45 days after the only purchase and some microseconds."""
    changes = simulate([purchase("p", 0), Sweep(day(200))], one(when))
    expected = [("no", "yes", begins_us)] + ([] if ends_us is None else [("yes", "no", ends_us)])
    assert [(c["previous"], c["current"], c["effective_at"]) for c in changes] == [
        (before, after, (day(45) + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z"))
        for before, after, us in expected
    ]


@pytest.mark.parametrize(
    ("when", "after_s"),
    [
        ("idle / 3 > 15d", 0),
        ("idle / 9d >= 5", 0),
        ("3 * idle >= 135d + 1s", 1),
        ("not 2 * idle <= 90d + 1us", 1),
        ("idle >= 3888000.000001 * 1s", 1),
        ("idle >= attributes.days * 1d", 0),
    ],
)
@pytest.mark.parametrize("nudge", [0, 0.5])
def test_a_computed_crossing_changes_the_label_at_a_whole_second(when: str, after_s: int, nudge: float) -> None:
    """At or after the crossing, 45 days and some time after the purchase; half a second later, that is the next one."""
    bought_at = day(0) + timedelta(seconds=nudge)
    log = [event("purchase", "p", bought_at, amount=1), profile("a", 0.00001, days=45), Sweep(day(200))]
    (change,) = simulate(log, one(when))
    expected = day(45) + timedelta(seconds=max(after_s, 1 if nudge else 0))
    assert (change["current"], change["effective_at"]) == ("yes", expected.isoformat().replace("+00:00", "Z"))


@pytest.mark.parametrize("when", ["idle >= 0d", "tenure >= 0d", "not idle is present", "idle / idle == 1"])
def test_times_since_a_purchase_are_absent_without_one(when: str) -> None:
    """And comparisons with them false."""
    log: list[Item] = [event("interaction", "v", day(0), kind="visit")]
    if "/" not in when:
        assert segment(log, "d", one(when)) == ("yes" if "not" in when else "no")
    else:
        with pytest.raises(ValueError, match="divided by time"):
            segment([purchase("p", 0)], "d", one(when))


def test_facts_are_orders_that_count_and_money_in_major_units() -> None:
    """Three purchases, one returned."""
    log: list[Item] = [purchase(str(n), n, "10.05") for n in range(3)]
    log.append(refund("r", 4, "10.05", full=True))
    for when in (
        "frequency == 2",
        "purchases == 3 and full_refunds == 1",
        "monetary == 20.10",
        "monetary / frequency == 10.05",
        "tenure - idle == 2d",
    ):
        assert segment(log, "d", one(when)) == "yes"


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("attributes.country == 'DE'", True),
        ("attributes['country'] == 'DE'", True),
        ('attributes.country == "DE"', True),
        ("attributes.country != 'FR'", True),
        ("attributes.country in ['FR', 'DE']", True),
        ("attributes.country not in ['FR', 'DE']", False),
        ("attributes.country not in ['FR']", True),
        ("attributes.age * 2 - 1 == 59", True),
        ("attributes.age + 0.1 + 0.2 == 30.3", True),  # exactly
        ("-attributes.age < -29.5", True),
        ("18 <= attributes.age < 30", False),
        ("attributes.newsletter", True),
        ("not attributes.newsletter", False),
        ("attributes.newsletter == true", True),
        ("attributes.newsletter == false", False),
        ("attributes.age in [29, 30]", True),
        ("attributes.age is present", True),
        ("attributes.age is not present", False),
        ("attributes.x is present", False),
        ("not attributes.x is present", True),
        ("attributes.x == 1", False),
        ("attributes.x != 1", False),
        ("not attributes.x == 1", True),
        ("not (attributes.x >= 1 or attributes.age < 0)", True),
        ("attributes.x in [1]", False),
        ("attributes.x not in [1]", False),
        ("attributes.x", False),
        ("not attributes.x", True),
        ("attributes.x + 1 > 0", False),
        ("attributes.age / 0 > 0", False),
        ("attributes.country > 5", False),  # another kind is as good as absent
        ("attributes.country != 5", False),
        ("attributes.age == '30'", False),
        ("attributes.newsletter == 1", False),
        ("attributes.country + 1 == 1", False),
        ("attributes.country not in [5]", False),
        ("attributes.age", False),
        ("attributes.country < 'DF'", True),
        ("attributes.note == '45d and not x'", True),
        ("attributes.age == 30 and attributes.country == 'DE' or attributes.x == 1", True),
        ("attributes.x == 1 and attributes.x == 1 or attributes.age == 30", True),
        ("not attributes.age == 30 or attributes.newsletter", True),
    ],
)
def test_expressions_say_of_attributes_what_the_contract_says(when: str, expected: bool) -> None:
    """Texts, numbers, yes and no, and what is absent or of another kind."""
    known = {"country": "DE", "age": 30, "newsletter": True, "note": "45d and not x"}
    assert is_true(when, known) is expected


@pytest.mark.parametrize(
    "when", ["__import__('os')", "attributes.x.y == 1", "unknown == 1", "lambda: 1", "idle ** 2 > 1", "churn == 'low'"]
)
def test_what_is_no_rule_is_refused(when: str) -> None:
    """Nothing of Python but comparison, logic and arithmetic; no dimension that does not come before."""
    with pytest.raises(ValueError, match=r"no part of a rule|no arithmetic of a rule"):
        segment([purchase("p", 0)], "d", one(when))


def test_the_latest_value_of_an_attribute_wins_in_any_order() -> None:
    """A removal is a value of its time; at one moment a value beats a removal, and the greater value the other."""
    log = [
        profile("a", 0, x=1, y=1, z=1),
        profile("b", 2, x=2, y=None),
        profile("c", 1, x=3, y=3),
        profile("d", 2, x=1, y=None, z=None),
        profile("e", 2, z=5),
    ]
    for order in permutations(log):
        assert segment(list(order), "d", one("attributes.x == 2 and not attributes.y is present")) == "yes"
        assert segment(list(order), "d", one("attributes.z == 5")) == "yes"


def test_an_old_profile_moves_nobody() -> None:
    """The newer one holds; the change came with it."""
    log = [purchase("p", 0), profile("new", 5, age=40), profile("old", 4, age=20), Sweep(day(5) + MICROSECOND)]
    assert moves(simulate(log, one("attributes.age < 30"))) == []
    assert moves(simulate(log[:1] + log[2:], one("attributes.age < 30"))) == [("2026-01-05", "d", "no", "yes", "event")]
