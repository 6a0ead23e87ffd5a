"""The oracle, held to examples worked out by hand from the contract."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.engagement import Touches, first_second_below
from tests.oracle.models import MODELS, labels_at
from tests.oracle.rules import OracleRules
from tests.oracle.simulation import Adopt, Change, Event, Shard, Sweep, final, simulate
from tests.support.by_hand import (
    DAY_0,
    MICROSECOND,
    RULES,
    Item,
    day,
    event,
    facts,
    feedback,
    moves,
    only,
    orders,
    purchase,
    refund,
    segment,
    visit,
)
from tests.support.histories import histories, varied_moments
from tests.support.trials import trials

# Shows the scores themselves: "52" is R 5, FM 2.
SCORES = OracleRules(dimensions=("rfm",), grid={(r, fm): f"{r}{fm}" for r in range(1, 6) for fm in range(1, 6)})


# --- lifecycle ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("purchases", "idle", "label"),
    [
        (1, timedelta(0), "new"),
        (2, timedelta(0), "active"),
        (4, timedelta(0), "active"),
        (5, timedelta(0), "loyal"),
        (1, timedelta(days=60) - MICROSECOND, "new"),
        (1, timedelta(days=60), "at_risk"),
        (5, timedelta(days=60) - MICROSECOND, "loyal"),
        (5, timedelta(days=60), "at_risk"),
        (5, timedelta(days=180) - MICROSECOND, "at_risk"),
        (5, timedelta(days=180), "churned"),
    ],
)
def test_lifecycle_follows_the_table_row_by_row(purchases: int, idle: timedelta, label: str) -> None:
    """Order counts and idle times, on both sides of each limit, give the table's labels."""
    assert segment([*orders(purchases), Sweep(DAY_0 + idle)], "lifecycle") == label


@pytest.mark.parametrize(
    ("gap", "idle", "label"),
    [
        (timedelta(days=60), timedelta(0), "reactivated"),
        (timedelta(days=60) - MICROSECOND, timedelta(0), "active"),
        (timedelta(days=60), timedelta(days=30) - MICROSECOND, "reactivated"),
        (timedelta(days=60), timedelta(days=30), "active"),
        (timedelta(days=400), timedelta(days=1), "reactivated"),
    ],
)
def test_a_customer_who_comes_back_is_reactivated_for_a_while(gap: timedelta, idle: timedelta, label: str) -> None:
    """A gap of at_risk_after or more gives `reactivated` while idle is below reactivated_for."""
    back = DAY_0 + gap
    log = [purchase("a", 0), event("purchase", "b", back, amount=1), Sweep(back + idle)]
    assert segment(log, "lifecycle") == label


def test_reactivated_comes_before_loyal_and_then_gives_way_to_it() -> None:
    """With five orders, the one after 100 days reactivates; 30 days later the customer is loyal."""
    log = [*orders(4), purchase("back", 100)]
    assert segment(log, "lifecycle") == "reactivated"
    assert segment([*log, Sweep(day(130))], "lifecycle") == "loyal"


def test_two_purchases_at_the_same_latest_moment_count_separately() -> None:
    """Coming back with two purchases at one moment leaves a gap of zero, so the customer is not reactivated."""
    log = [purchase("a", 0), purchase("b", 100), purchase("c", 100)]
    assert segment(log[:2], "lifecycle") == "reactivated"
    assert segment(log, "lifecycle") == "active"


def test_an_interaction_makes_a_prospect_and_no_rfm_change() -> None:
    """Who only browses moves from null to prospect; rfm stays at its neutral `none`, and silence changes nothing."""
    (change,) = simulate([visit("v", 0)], RULES)
    assert change["previous"] is None
    assert change["current"] == "prospect"
    assert change["segments"] == {"lifecycle": "prospect", "rfm": "none"}
    assert change["facts"] == {
        "first_purchase_at": None,
        "last_purchase_at": None,
        "frequency": 0,
        "monetary": "0.00",
    }
    assert change["next"] is None


@pytest.mark.parametrize("event_type", ["interaction", "feedback", "payment", "profile"])
def test_an_event_without_facts_still_goes_through_all_steps(event_type: str) -> None:
    """Each of the other types first concludes the silence before it."""
    changes = simulate([purchase("p", 0), event(event_type, "x", day(30), kind="visit", score=8)], RULES)
    assert moves(changes)[2:] == [("2026-01-31", "rfm", "new", "promising", "time")]


def test_a_prospect_who_buys_becomes_new() -> None:
    """The first purchase moves prospect to new, and says since when the customer was a prospect."""
    change = simulate([visit("v", 0), purchase("p", 1)], RULES)[1]
    assert (change["previous"], change["current"]) == ("prospect", "new")
    assert change["previous_since"] == "2026-01-01T00:00:00Z"
    assert change["version"] == 2


# --- rfm ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("idle_days", "row"),
    [
        (0, ["new", "potential_loyalist", "potential_loyalist", "champion", "champion"]),
        (30, ["promising", "potential_loyalist", "potential_loyalist", "loyal", "loyal"]),
        (60, ["about_to_sleep", "about_to_sleep", "need_attention", "loyal", "loyal"]),
        (120, ["hibernating", "hibernating", "at_risk", "at_risk", "cant_lose"]),
        (240, ["hibernating", "hibernating", "at_risk", "at_risk", "cant_lose"]),
    ],
)
def test_every_cell_of_the_grid_is_the_contracts(idle_days: int, row: list[str]) -> None:
    """(F, M) of (1, 1), (2, 2), (3, 3), (4, 4), (5, 5) are FM 1 to 5; each recency row reads as the contract's."""
    columns = [(1, "49.99"), (2, "50"), (3, "100"), (5, "250"), (10, "1000")]
    seen = [segment([*orders(n, total=money), Sweep(day(idle_days))], "rfm") for n, money in columns]
    assert seen == row


@pytest.mark.parametrize(("limit_days", "above", "below"), [(30, 5, 4), (60, 4, 3), (120, 3, 2), (240, 2, 1)])
def test_recency_falls_exactly_at_each_cut(limit_days: int, above: int, below: int) -> None:
    """One microsecond before a cut the higher score holds, at the cut the lower one."""
    log = orders(1)
    assert segment([*log, Sweep(day(limit_days) - MICROSECOND)], "rfm", SCORES) == f"{above}1"
    assert segment([*log, Sweep(day(limit_days))], "rfm", SCORES) == f"{below}1"


@pytest.mark.parametrize(
    ("count", "total", "fm"),
    [
        (1, "0", 1),  # F 1, M 1
        (2, "0", 2),  # F 2, M 1: 4 // 2
        (2, "50", 2),  # F 2, M 2: 5 // 2
        (3, "50", 3),  # F 3, M 2: 6 // 2
        (4, "0", 2),  # F 3, M 1: 5 // 2
        (5, "0", 3),  # F 4, M 1: 6 // 2
        (9, "50", 3),  # F 4, M 2: 7 // 2
        (10, "50", 4),  # F 5, M 2: 8 // 2
        (1, "49.99", 1),  # F 1, M 1
        (1, "50", 2),  # F 1, M 2: 4 // 2, halves go up
        (2, "99.99", 2),  # F 2, M 2: 5 // 2
        (2, "100", 3),  # F 2, M 3: 6 // 2
        (1, "249.99", 2),  # F 1, M 3: 5 // 2
        (1, "250", 3),  # F 1, M 4: 6 // 2
        (2, "999.99", 3),  # F 2, M 4: 7 // 2
        (2, "1000", 4),  # F 2, M 5: 8 // 2
        (1, "1000", 3),  # F 1, M 5: 7 // 2
        (10, "0", 3),  # F 5, M 1: 7 // 2
        (10, "1000", 5),  # F 5, M 5: 11 // 2
    ],
)
def test_frequency_and_money_cross_their_cuts_and_are_averaged_upwards(count: int, total: str, fm: int) -> None:
    """Each cut of F and of M is reached at its value, and FM = (F + M + 1) // 2."""
    assert segment([*orders(count, total=total)], "rfm", SCORES) == f"5{fm}"


def test_a_customer_whose_orders_were_all_returned_is_none_again() -> None:
    """A full refund of the only order moves lifecycle to prospect and rfm to none; the purchase time stays."""
    log = [purchase("p", 0), refund("r", 3, full=True)]
    assert moves(simulate(log, RULES))[2:] == [
        ("2026-01-04", "lifecycle", "new", "prospect", "event"),
        ("2026-01-04", "rfm", "new", "none", "event"),
    ]
    assert facts(log) == {
        "first_purchase_at": "2026-01-01T00:00:00Z",
        "last_purchase_at": "2026-01-01T00:00:00Z",
        "frequency": 0,
        "monetary": "0.00",
    }


# --- price --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("purchases", "discounted", "label"),
    [
        (2, 2, "unknown"),
        (3, 0, "full_price"),
        (3, 1, "mixed"),
        (3, 2, "sensitive"),
        (4, 1, "mixed"),  # 25 %
        (5, 1, "full_price"),  # exactly 20 %
        (5, 2, "mixed"),
        (5, 3, "sensitive"),  # exactly 60 %
        (7, 4, "mixed"),  # 57 %
        (9, 2, "mixed"),  # 22 %
    ],
)
def test_price_follows_the_share_of_discounted_purchases(purchases: int, discounted: int, label: str) -> None:
    """From three purchases on; both limits belong to the outer labels."""
    log = [purchase(f"p{i}", i, discount="1" if i < discounted else "0") for i in range(purchases)]
    assert segment(log, "price", only("price")) == label


@pytest.mark.parametrize(
    ("discount", "label"),
    [
        ("0.00", "full_price"),
        (0, "full_price"),
        ("0.004", "full_price"),
        ("0.005", "full_price"),  # half-even: no cent
        ("0.0051", "sensitive"),
        ("0.01", "sensitive"),
        (5, "sensitive"),
    ],
)
def test_a_discount_that_rounds_to_nothing_is_none(discount: str | int, label: str) -> None:
    """A discount is money like every amount, in minor units."""
    assert segment([purchase(f"p{i}", 0, discount=discount) for i in range(3)], "price", only("price")) == label


def test_a_discount_in_another_currency_is_money_of_that_currency() -> None:
    """Half a yen is none; a yen is one, also where it converts to no cent."""
    for discount, rate, label in (
        ("0.5", "5", "full_price"),
        ("1", "0.004", "sensitive"),
        ("1", "0.0065", "sensitive"),
    ):
        rules = OracleRules(dimensions=("price",), rates={"JPY": Decimal(rate)}, rate_digits={"JPY": 0})
        log = [purchase(f"p{i}", 0, "100", currency="JPY", discount=discount) for i in range(3)]
        assert segment(log, "price", rules) == label


def test_purchases_of_nothing_and_refunded_ones_count_towards_the_price_label() -> None:
    """Three purchases, one free of charge, two returned in full: still three, all discounted."""
    log = [purchase("a", 0, discount=1), purchase("b", 1, 0, discount=10), purchase("c", 2, discount=1)]
    log += [refund("r", 3, full=True), refund("s", 3, full=True)]
    assert segment(log, "price", only("price")) == "sensitive"


def test_price_starts_at_unknown_without_a_change_and_silence_leaves_it_alone() -> None:
    """The third purchase gives the first change; a thousand days later there is no other, and none ahead."""
    log = [purchase("a", 0), purchase("b", 1), purchase("c", 2), Sweep(day(1000))]
    (change,) = simulate(log, only("price"))
    assert moves([change]) == [("2026-01-03", "price", "unknown", "full_price", "event")]
    assert (change["previous_since"], change["next"]) == (None, None)


def test_a_late_discounted_purchase_counts_and_a_repeated_one_does_not() -> None:
    """A fourth purchase of day 1, told at c (day 5), makes a quarter; its repeat would have made two fifths."""
    log = [purchase("a", 0), purchase("b", 4), purchase("c", 5), purchase("d", 1, discount=2)]
    assert moves(simulate(log, only("price")))[1:] == [("2026-01-06", "price", "full_price", "mixed", "late")]
    assert simulate([*log, purchase("d", 1, discount=2)], only("price")) == simulate(log, only("price"))


# --- cadence ------------------------------------------------------------------------------------------------------
# Slots of 28 days from the epoch: 20454 days to 2026-01-01 are 730 slots and 14 days, so slots start on days
# -14, 14, 42, 70, 98, 126, 154, 182, 210.


def test_four_of_six_slots_make_a_regular_buyer_until_silence_empties_them() -> None:
    """Bought on days 0, 14, 42, 70: the first slot leaves the six at day 154, and three are too few."""
    log = [purchase("a", 0), purchase("b", 14), purchase("c", 42), purchase("d", 70), Sweep(day(1000))]
    changes = simulate(log, only("cadence"))
    assert moves(changes) == [
        ("2026-01-01", "cadence", "none", "one_off", "event"),
        ("2026-01-15", "cadence", "one_off", "occasional", "event"),
        ("2026-03-12", "cadence", "occasional", "regular", "event"),
        ("2026-06-04", "cadence", "regular", "occasional", "time"),
    ]
    assert changes[2]["next"] == {"dimension": "cadence", "label": "occasional", "at": "2026-06-04T00:00:00Z"}
    assert changes[3]["next"] is None


def test_slots_may_have_gaps_and_hold_several_purchases() -> None:
    """Slots 1, 2, 4 and 6 of six are enough; seven purchases in three slots are not."""
    assert segment([purchase(f"p{d}", d) for d in (0, 14, 70, 126)], "cadence", only("cadence")) == "regular"
    assert (
        segment([purchase(f"p{d}", d) for d in (0, 0.5, 1, 14, 41, 42, 69)], "cadence", only("cadence")) == "occasional"
    )


def test_a_slot_leaves_the_six_when_the_sixth_after_it_begins() -> None:
    """Slots 1, 3, 4 and 6, so that no other instant falls there: the first leaves at day 154, and three are too few."""
    log = [*(purchase(f"p{d}", d) for d in (0, 42, 70, 126)), Sweep(day(1000))]
    assert moves(simulate(log, only("cadence")))[2:] == [
        ("2026-05-07", "cadence", "occasional", "regular", "event"),
        ("2026-06-04", "cadence", "regular", "occasional", "time"),
    ]


def test_a_regular_buyer_of_six_slots_stays_one_for_three_slots_of_silence() -> None:
    """Bought in each of six slots; at day 210 the latest six hold three of them."""
    log = [purchase(f"p{d}", d) for d in (0, 14, 42, 70, 98, 126)]
    assert moves(simulate([*log, Sweep(day(400))], only("cadence")))[-1] == (
        "2026-07-30",
        "cadence",
        "regular",
        "occasional",
        "time",
    )


@pytest.mark.parametrize(("nudge", "label"), [(timedelta(0), "regular"), (-MICROSECOND, "occasional")])
def test_a_slots_start_belongs_to_it(nudge: timedelta, label: str) -> None:
    """A purchase at the start of slot 4 opens it, one a microsecond earlier is the second of slot 3."""
    log = [purchase("a", 0), purchase("b", 14), purchase("c", 42), event("purchase", "d", day(70) + nudge, amount=1)]
    assert segment(log, "cadence", only("cadence")) == label


def test_slots_before_the_epoch_are_counted_backwards() -> None:
    """The last microsecond of 1969 and the first of 1970 lie in two slots, and two more make four."""
    start = datetime(1970, 1, 1, tzinfo=UTC)
    times = [start - MICROSECOND, start, start + timedelta(days=28), start + timedelta(days=56)]
    log = [event("purchase", f"p{i}", moment, amount=1) for i, moment in enumerate(times)]
    assert segment(log, "cadence", only("cadence")) == "regular"
    log[1] = event("purchase", "p1", start - timedelta(days=28), amount=1)  # the slot of the first
    assert segment(log, "cadence", only("cadence")) == "occasional"


def test_cadence_counts_orders_that_count_and_slots_of_all_purchases() -> None:
    """Four slots, three orders returned: regular by its slots, then one_off; with all returned, none."""
    log = [purchase("a", 0), purchase("b", 14), purchase("c", 42), purchase("d", 70)]
    log += [refund(f"r{i}", 71, full=True) for i in range(3)]
    assert moves(simulate([*log, Sweep(day(400))], only("cadence")))[2:] == [
        ("2026-03-12", "cadence", "occasional", "regular", "event"),
        ("2026-06-04", "cadence", "regular", "one_off", "time"),
    ]
    assert moves(simulate([*log, refund("r", 72, full=True)], only("cadence")))[3:] == [
        ("2026-03-14", "cadence", "regular", "none", "event")
    ]


def test_a_late_purchase_fills_its_own_slot() -> None:
    """Days 0, 42 and 70, then one of day 14: regular at c, day 70."""
    log = [purchase("a", 0), purchase("c", 42), purchase("d", 70), purchase("b", 14)]
    assert moves(simulate(log, only("cadence")))[2:] == [("2026-03-12", "cadence", "occasional", "regular", "late")]


# --- satisfaction -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "label"),
    [(10, "promoter"), (9, "promoter"), (8, "passive"), (7, "passive"), (6, "detractor"), (0, "detractor")],
)
def test_satisfaction_is_what_the_score_says(score: int, label: str) -> None:
    """Nine and ten, seven and eight, and the rest."""
    assert segment([feedback("f", 0, score)], "satisfaction", only("satisfaction")) == label


def test_feedback_is_forgotten_after_180_days() -> None:
    """Known a microsecond before, unknown at 180 days, told as time."""
    changes = simulate([feedback("f", 0, 9), Sweep(day(180) - MICROSECOND)], only("satisfaction"))
    assert moves(changes) == [("2026-01-01", "satisfaction", "unknown", "promoter", "event")]
    assert changes[0]["next"] == {"dimension": "satisfaction", "label": "unknown", "at": "2026-06-30T00:00:00Z"}
    changes = simulate([feedback("f", 0, 9), Sweep(day(180))], only("satisfaction"))
    assert moves(changes)[1:] == [("2026-06-30", "satisfaction", "promoter", "unknown", "time")]


def test_the_most_recent_feedback_counts_however_it_came() -> None:
    """One of day 5 after one of day 10 says nothing; the 180 days are those of day 10."""
    log = [feedback("f", 10, 9), feedback("g", 5, 0), Sweep(day(400))]
    assert moves(simulate(log, only("satisfaction"))) == [
        ("2026-01-11", "satisfaction", "unknown", "promoter", "event"),
        ("2026-07-10", "satisfaction", "promoter", "unknown", "time"),
    ]


@pytest.mark.parametrize("scores", [(10, 3, 7), (3, 10, 7), (7, 10, 3)])
def test_of_feedback_at_one_moment_the_lowest_score_holds(scores: tuple[int, ...]) -> None:
    """In any order; an older lower score does not matter."""
    log = [feedback("old", -1, 0), *(feedback(f"f{score}", 0, score) for score in scores)]
    assert segment(log, "satisfaction", only("satisfaction")) == "detractor"
    log = [feedback("old", -1, 0), *(feedback(f"f{score}", 0, max(score, 8)) for score in scores)]
    assert segment(log, "satisfaction", only("satisfaction")) == "passive"


def test_late_feedback_is_looked_at_where_the_customer_was_concluded() -> None:
    """At c = day 200, one of day 20 is 180 days old and says nothing; one of day 30 holds till day 210."""
    log = [visit("v", 200), feedback("f", 20, 9)]
    assert simulate(log, only("satisfaction")) == []
    assert moves(simulate([*log, feedback("g", 30, 7), Sweep(day(300))], only("satisfaction"))) == [
        ("2026-07-20", "satisfaction", "unknown", "passive", "late"),
        ("2026-07-30", "satisfaction", "passive", "unknown", "time"),
    ]


def test_repeated_feedback_says_nothing() -> None:
    """The same event id with another score changes nothing."""
    assert segment([feedback("f", 0, 9), feedback("f", 1, 0)], "satisfaction", only("satisfaction")) == "promoter"


# --- engagement ---------------------------------------------------------------------------------------------------
# One touch of weight w at day 0 falls to s after 14 * log2(w / s) days.


@pytest.mark.parametrize(
    ("kind", "label", "dormant_at"),
    [
        ("visit", "visitor", "2026-01-15T00:00:01Z"),  # 1: exactly 14 days
        ("view", "visitor", "2026-01-15T00:00:01Z"),
        ("search", "visitor", "2026-01-15T00:00:01Z"),
        ("click", "visitor", "2026-01-15T00:00:01Z"),
        ("login", "visitor", "2026-01-15T00:00:01Z"),  # others: 1
        ("Cart", "visitor", "2026-01-15T00:00:01Z"),  # another kind than cart
        ("open", "visitor", "2026-01-01T00:00:01Z"),  # 0.5: at the threshold
        ("cart", "visitor", "2026-02-06T04:32:51Z"),  # 3: log2 6 = 2.58496250, 3126770.64 s
        ("wishlist", "visitor", "2026-02-06T04:32:51Z"),
        ("share", "visitor", "2026-02-12T00:00:01Z"),  # 4: exactly 42 days
        ("review", "active", "2026-02-16T12:10:05Z"),  # 5: log2 10 = 3.32192809, 4018204.22 s
    ],
)
def test_each_kind_weighs_what_the_contract_says(kind: str, label: str, dormant_at: str) -> None:
    """Its label at once, and the moment it is dormant again."""
    changes = simulate([visit("v", 0, kind=kind), Sweep(day(400))], only("engagement"))
    assert (changes[0]["previous"], changes[0]["current"]) == ("dormant", label)
    assert (changes[-1]["current"], changes[-1]["effective_at"]) == ("dormant", dormant_at)


def test_a_purchase_wanes_from_active_over_visitor_to_dormant() -> None:
    """10 falls to 5 in 14 days, to 0.5 in 5227804.22 s; its amount does not matter."""
    changes = simulate([purchase("p", 0, 0), Sweep(day(400))], only("engagement"))
    assert [(c["current"], c["effective_at"], c["cause"]["kind"]) for c in changes] == [
        ("active", "2026-01-01T00:00:00Z", "event"),
        ("visitor", "2026-01-15T00:00:01Z", "time"),
        ("dormant", "2026-03-02T12:10:05Z", "time"),
    ]
    assert changes[0]["next"] == {"dimension": "engagement", "label": "visitor", "at": "2026-01-15T00:00:01Z"}


def test_exactly_at_a_threshold_the_higher_label_holds_to_the_next_second() -> None:
    """Two purchases at one moment are 20: core, for a second; and 28 days and a second later no more than a visitor."""
    changes = simulate([purchase("a", 0), purchase("b", 0), Sweep(day(30))], only("engagement"))
    assert [(c["current"], c["effective_at"]) for c in changes] == [
        ("active", "2026-01-01T00:00:00Z"),
        ("core", "2026-01-01T00:00:00Z"),
        ("active", "2026-01-01T00:00:01Z"),
        ("visitor", "2026-01-29T00:00:01Z"),
    ]


@pytest.mark.parametrize(
    ("first_us", "second_us", "core_until"),
    [
        (250_000, 250_000, "2026-01-01T00:00:01Z"),  # the crossing itself is at 0.25 s
        (0, 300_000, "2026-01-01T00:00:01Z"),  # about 0.15 s, before the second purchase: core all the same
        (1, 1, "2026-01-01T00:00:01Z"),
        (-1, 0, None),  # half a microsecond before the whole second, at which it is over
        (-1, -1, "2026-01-01T00:00:00Z"),
        (-300_000, 300_000, "2026-01-01T00:00:01Z"),  # just after 0, by the mean's convexity
    ],
)
def test_the_label_compares_with_the_whole_second_and_not_with_the_curve(
    first_us: int, second_us: int, core_until: str | None
) -> None:
    """Two purchases are core till the whole second after their curve falls below 20, if that is still ahead."""
    log = [event("purchase", f"{i}", DAY_0 + us * MICROSECOND, amount=1) for i, us in enumerate((first_us, second_us))]
    changes = simulate([*log, Sweep(day(1))], only("engagement"))
    assert [c["effective_at"] for c in changes if c["previous"] == "core"] == ([core_until] if core_until else [])


def test_what_was_done_adds_up() -> None:
    """A visit on days 0 and 14: 1.5 then, 0.5 after log2 3 half-lives more, 1917170.64 s."""
    changes = simulate([visit("a", 0), visit("b", 14), Sweep(day(100))], only("engagement"))
    assert [(c["current"], c["effective_at"]) for c in changes] == [
        ("visitor", "2026-01-01T00:00:00Z"),
        ("dormant", "2026-02-06T04:32:51Z"),
    ]


@pytest.mark.parametrize("event_type", ["refund", "feedback", "payment", "profile"])
def test_only_interactions_and_purchases_engage(event_type: str) -> None:
    """The others weigh nothing, also if they carry a field `kind`; a full refund takes nothing away."""
    other = event(event_type, "x", day(1), kind="review", score=9, amount="10", full=True, order_id="o")
    assert simulate([other], only("engagement")) == []
    log = [purchase("p", 0), Sweep(day(400))]
    assert moves(simulate([log[0], other, log[1]], only("engagement"))) == moves(simulate(log, only("engagement")))


def test_a_late_event_raises_the_curve_where_the_customer_was_concluded() -> None:
    """Dormant since day 60.5; a purchase of day 50 is still worth 5.9 there, besides the 0.5 that was left."""
    log = [purchase("a", 0), purchase("b", 100, customer="c2"), Sweep(None), purchase("x", 50)]
    changes = [c for c in simulate(log, only("engagement")) if c["customer_id"] == "c1"]
    assert [c["current"] for c in changes] == ["active", "visitor", "dormant", "active"]
    assert (changes[3]["effective_at"], changes[3]["cause"]["kind"]) == ("2026-03-02T12:10:05Z", "late")
    assert changes[3]["next"]["label"] == "visitor"


def test_engagement_does_not_depend_on_the_order_of_events_and_leaves_repeats_out() -> None:
    """Forth, back, and with one repeated."""
    log = [purchase("a", 0), visit("b", 3, kind="cart"), visit("c", 3), purchase("d", 9)]
    forth = final(log, only("engagement"))
    assert final(log[::-1], only("engagement")) == forth == final([*log, log[1]], only("engagement"))
    assert forth["c1"]["segments"] == {"engagement": "active"}  # 4 * 2^-(6/14) + 10 + 10 * 2^-(9/14) = 19.4


def test_a_waning_beyond_the_calendar_never_comes() -> None:
    """In December 9999 there is no room for 14 days more."""
    (change,) = simulate(
        [event("interaction", "v", datetime(9999, 12, 20, tzinfo=UTC), kind="visit")], only("engagement")
    )
    assert (change["current"], change["next"]) == ("visitor", None)


def test_a_touch_of_long_ago_decides_nothing_but_is_not_forgotten() -> None:
    """A century earlier: 2^-2609 of ten more puts the crossing just after the whole second, to the next one."""
    century = event("purchase", "old", day(0) - timedelta(days=36526), amount=1)
    changes = simulate([century, purchase("p", 0), Sweep(day(20))], only("engagement"))
    assert (changes[-1]["current"], changes[-1]["effective_at"]) == ("visitor", "2026-01-15T00:00:01Z")


touches = st.dictionaries(
    st.integers(0, 40 * 86400 * 10).map(lambda tenths: tenths * 100_000) | st.sampled_from([0, 14 * 86400 * 10**6]),
    st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(3), Fraction(10)]),
    min_size=1,
    max_size=6,
).map(lambda found: tuple(sorted(found.items())))


@given(touches=touches, threshold=st.sampled_from([Fraction(20), Fraction(5), Fraction(1, 2)]))
def test_a_crossing_is_the_first_whole_second_below_the_threshold(touches: Touches, threshold: Fraction) -> None:
    """Summed up term by term with a hundred digits: at or above it a second earlier, below it there."""
    half_life_us = 14 * 86400 * 10**6
    second = first_second_below(touches, half_life_us, threshold)
    assert second is not None

    def left(at_s: int) -> Decimal:
        with localcontext(Context(prec=100)):
            terms = [(weight, Decimal(when - at_s * 10**6) / half_life_us) for when, weight in touches]
            return sum((w.numerator * Decimal(2) ** power / w.denominator for w, power in terms), start=Decimal(0))

    assert Fraction(left(second - 1)) > threshold - Fraction(1, 10**90)
    assert Fraction(left(second)) < threshold


# --- several dimensions -------------------------------------------------------------------------------------------

ALL_SIX = ("lifecycle", "rfm", "engagement", "price", "cadence", "satisfaction")


@given(log=histories(most=20, times=varied_moments(MICROSECOND), varied=True), at=varied_moments(MICROSECOND))
@trials(50)
def test_silence_swept_gives_what_the_customer_is_at_that_moment(log: list[dict[str, Any]], at: datetime) -> None:
    """No instant is missing: after any history and a sweep, all labels are those of the facts at that moment."""
    rules = OracleRules(dimensions=tuple(MODELS))
    shard = Shard(rules)
    for body in log:
        shard.step(Event(json.loads(json.dumps(body), parse_float=Decimal)))
    shard.step(Sweep(at))
    assert shard.clock is not None
    for customer in shard.customers.values():
        assert customer.labels == labels_at(customer.facts, max(at, shard.clock), rules)


def test_every_new_dimension_starts_at_its_neutral_label_without_a_change() -> None:
    """A payment says nothing to any of them: only lifecycle moves, from null."""
    (change,) = simulate([event("payment", "x", DAY_0)], OracleRules(dimensions=ALL_SIX))
    assert change["segments"] == {
        "lifecycle": "prospect",
        "rfm": "none",
        "engagement": "dormant",
        "price": "unknown",
        "cadence": "none",
        "satisfaction": "unknown",
    }


@pytest.mark.parametrize("order", [ALL_SIX, ALL_SIX[::-1]])
def test_the_settings_order_holds_for_all_dimensions(order: tuple[str, ...]) -> None:
    """The third purchase of a day moves lifecycle, engagement and price, in that order or in the other."""
    log = [purchase("a", 0), purchase("b", 0.25), purchase("c", 0.5), feedback("f", 0.5, 3)]
    changes = simulate(log, OracleRules(dimensions=order, loyal_orders=3))
    assert [c["dimension"] for c in changes if c["cause"]["event_id"] == "c"] == [
        dimension for dimension in order if dimension in {"lifecycle", "engagement", "price"}
    ]
    assert list(changes[-1]["segments"]) == list(order)
    assert changes[-1]["segments"] == {
        "lifecycle": "loyal",
        "rfm": "potential_loyalist",
        "engagement": "core",
        "price": "full_price",
        "cadence": "occasional",
        "satisfaction": "detractor",
    }


def test_a_dimension_named_later_knows_what_came_before() -> None:
    """Facts are kept whether or not a dimension looks at them: named on day 1, satisfaction knows day 0."""
    log: list[Item] = [feedback("f", 0, 9), visit("v", 1), Adopt(OracleRules(dimensions=ALL_SIX), "definition")]
    assert moves(simulate(log, RULES))[1:] == [
        ("2026-01-02", "engagement", "dormant", "visitor", "definition"),
        ("2026-01-02", "satisfaction", "unknown", "promoter", "definition"),
    ]


def test_a_definition_cannot_change_what_a_memory_is_made_of() -> None:
    """Weights, the half-life and the slots' length are in what is remembered; thresholds are not."""
    log = [purchase("a", 0)]
    for rules, reason in (
        (OracleRules(half_life=timedelta(days=7)), "half-life"),
        (OracleRules(other_weight=Fraction(2)), "weights"),
        (OracleRules(slot=timedelta(days=7)), "slots"),
    ):
        with pytest.raises(ValueError, match=reason):
            simulate([*log, Adopt(rules, "definition")], RULES)
    lower = OracleRules(dimensions=("engagement",), engagement_thresholds=(Fraction(10), Fraction(5), Fraction(1)))
    assert moves(simulate([*log, Adopt(lower, "definition")], only("engagement")))[1:] == [
        ("2026-01-01", "engagement", "active", "core", "definition")
    ]


# --- silence ------------------------------------------------------------------------------------------------------


def test_silence_walks_a_one_time_buyer_down_to_churned_and_then_stops() -> None:
    """One purchase of 10 euro and nothing more: every change, at its exact deadline, each counted."""
    changes = simulate([purchase("p", 0), Sweep(day(1000))], RULES)
    assert moves(changes) == [
        ("2026-01-01", "lifecycle", None, "new", "event"),
        ("2026-01-01", "rfm", "none", "new", "event"),
        ("2026-01-31", "rfm", "new", "promising", "time"),
        ("2026-03-02", "lifecycle", "new", "at_risk", "time"),
        ("2026-03-02", "rfm", "promising", "about_to_sleep", "time"),
        ("2026-05-01", "rfm", "about_to_sleep", "hibernating", "time"),
        ("2026-06-30", "lifecycle", "at_risk", "churned", "time"),
    ]
    assert [c["version"] for c in changes] == [1, 2, 3, 4, 5, 6, 7]
    assert [c["previous_since"] for c in changes] == [
        None,
        None,
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
        "2026-01-31T00:00:00Z",
        "2026-03-02T00:00:00Z",
        "2026-03-02T00:00:00Z",
    ]
    assert [c["next"] and (c["next"]["dimension"], c["next"]["label"], c["next"]["at"][:10]) for c in changes] == [
        ("rfm", "promising", "2026-01-31"),
        ("rfm", "promising", "2026-01-31"),
        ("lifecycle", "at_risk", "2026-03-02"),
        ("rfm", "hibernating", "2026-05-01"),
        ("rfm", "hibernating", "2026-05-01"),
        ("lifecycle", "churned", "2026-06-30"),
        None,
    ]


def test_a_crossing_at_which_no_label_changes_leaves_no_trace() -> None:
    """R falls from 2 to 1 at 240 days, but both are `hibernating`: c stays at the churn of day 180."""
    assert final([purchase("p", 0), Sweep(day(500))], RULES)["c1"]["concluded_at"] == "2026-06-30T00:00:00Z"


def test_a_change_has_exactly_the_agreed_fields() -> None:
    """The first change of a purchase, field by field."""
    change = simulate([purchase("p", 0.5, "12.5", source="shop")], RULES)[0]
    assert change == {
        "customer_id": "c1",
        "dimension": "lifecycle",
        "previous": None,
        "current": "new",
        "effective_at": "2026-01-01T12:00:00Z",
        "previous_since": None,
        "version": 1,
        "cause": {"kind": "event", "event_id": "p"},
        "segments": {"lifecycle": "new", "rfm": "new"},
        "facts": {
            "first_purchase_at": "2026-01-01T12:00:00Z",
            "last_purchase_at": "2026-01-01T12:00:00Z",
            "frequency": 1,
            "monetary": "12.50",
        },
        "next": {"dimension": "rfm", "label": "promising", "at": "2026-01-31T12:00:00Z"},
        "currency": "EUR",
        "definition": 0,
        "cuts": 0,
        "holdout": False,
        "spec": 1,
    }


def test_two_changes_of_one_deadline_both_show_where_the_step_ended() -> None:
    """At day 60 lifecycle and rfm move together: settings order, and both carry both new labels."""
    first, second = simulate([purchase("p", 0), Sweep(day(60))], RULES)[3:]
    assert (first["dimension"], second["dimension"]) == ("lifecycle", "rfm")
    assert first["segments"] == second["segments"] == {"lifecycle": "at_risk", "rfm": "about_to_sleep"}
    assert first["next"] == second["next"]


def test_the_settings_order_decides_ties() -> None:
    """With rfm named first, it is emitted first and is what `next` names at a shared moment."""
    rules = OracleRules(dimensions=("rfm", "lifecycle"))
    changes = simulate([purchase("p", 0), Sweep(day(60))], rules)
    assert [c["dimension"] for c in changes] == ["rfm", "lifecycle", "rfm", "rfm", "lifecycle"]
    assert changes[2]["next"] == {"dimension": "rfm", "label": "about_to_sleep", "at": "2026-03-02T00:00:00Z"}
    assert list(changes[0]["segments"]) == ["rfm", "lifecycle"]


def test_only_the_configured_dimensions_are_seen() -> None:
    """With lifecycle alone, there is no rfm label, no rfm change, and no rfm deadline."""
    changes = simulate([purchase("p", 0), Sweep(day(60))], OracleRules(dimensions=("lifecycle",)))
    assert [c["segments"] for c in changes] == [{"lifecycle": "new"}, {"lifecycle": "at_risk"}]
    assert changes[0]["next"]["at"] == "2026-03-02T00:00:00Z"


def test_a_deadline_beyond_the_calendar_never_comes() -> None:
    """A purchase in December 9999 has no later year to churn in."""
    late_in_time = datetime(9999, 12, 1, tzinfo=UTC)
    changes = simulate([event("purchase", "p", late_in_time, amount=1)], RULES)
    assert changes[-1]["next"] == {"dimension": "rfm", "label": "promising", "at": "9999-12-31T00:00:00Z"}
    swept = simulate([event("purchase", "p", late_in_time, amount=1), Sweep(datetime.max.replace(tzinfo=UTC))], RULES)
    assert swept[-1]["next"] is None


# --- clocks -------------------------------------------------------------------------------------------------------


def test_a_deadline_at_the_very_moment_of_an_event_comes_first() -> None:
    """A purchase exactly at day 30: first the silence is told, then the purchase."""
    assert moves(simulate([purchase("a", 0), purchase("b", 30)], RULES))[2:] == [
        ("2026-01-31", "rfm", "new", "promising", "time"),
        ("2026-01-31", "lifecycle", "new", "active", "event"),
        ("2026-01-31", "rfm", "promising", "potential_loyalist", "event"),
    ]


def test_another_customers_events_move_the_shards_clock_but_touch_nobody_else() -> None:
    """c2 at day 45 says nothing of c1; the sweep to the clock then does."""
    log: list[Item] = [purchase("a", 0), purchase("b", 45, customer="c2")]
    assert {c["customer_id"] for c in simulate(log, RULES)[2:]} == {"c2"}
    assert moves(simulate([*log, Sweep(None)], RULES))[4:] == [("2026-01-31", "rfm", "new", "promising", "time")]


def test_an_old_event_first_meets_the_silence_up_to_the_clock() -> None:
    """With the clock at day 100, c1's visit of day 10 first concludes days 30 and 60, and is then late."""
    log = [purchase("a", 0), purchase("b", 100, customer="c2"), visit("v", 10)]
    assert moves(simulate(log, RULES))[4:] == [
        ("2026-01-31", "rfm", "new", "promising", "time"),
        ("2026-03-02", "lifecycle", "new", "at_risk", "time"),
        ("2026-03-02", "rfm", "promising", "about_to_sleep", "time"),
    ]
    assert final(log, RULES)["c1"]["concluded_at"] == "2026-03-02T00:00:00Z"


def test_an_event_older_than_what_was_concluded_is_late_and_takes_effect_there() -> None:
    """c1 concluded to day 60; a purchase of day 50 makes it active then (idle 10 days), told as `late` at day 60."""
    log = [purchase("a", 0), purchase("b", 100, customer="c2"), Sweep(None), purchase("x", 50)]
    changes = simulate(log, RULES)[7:]
    assert moves(changes) == [
        ("2026-03-02", "lifecycle", "at_risk", "active", "late"),
        ("2026-03-02", "rfm", "about_to_sleep", "potential_loyalist", "late"),
    ]
    assert changes[0]["cause"] == {"kind": "late", "event_id": "x"}
    assert changes[0]["next"] == {"dimension": "lifecycle", "label": "at_risk", "at": "2026-04-21T00:00:00Z"}


def test_an_event_at_the_concluded_moment_is_not_late() -> None:
    """Late is strictly before c: a second purchase at c itself is an ordinary event."""
    assert moves(simulate([purchase("a", 0), purchase("b", 0)], RULES))[2:] == [
        ("2026-01-01", "lifecycle", "new", "active", "event"),
        ("2026-01-01", "rfm", "new", "potential_loyalist", "event"),
    ]


def test_a_new_customer_far_behind_the_clock_is_concluded_only_to_its_event() -> None:
    """As c is never raised to C, the first event of day 10 is an `event` there; the sweep tells what followed."""
    log: list[Item] = [purchase("b", 100, customer="c2"), purchase("a", 10)]
    state = final(log, RULES)["c1"]
    assert state["concluded_at"] == "2026-01-11T00:00:00Z"
    assert state["next"] == {"dimension": "rfm", "label": "promising", "at": "2026-02-10T00:00:00Z"}
    assert moves(simulate([*log, Sweep(None)], RULES))[2:] == [
        ("2026-01-11", "lifecycle", None, "new", "event"),
        ("2026-01-11", "rfm", "none", "new", "event"),
        ("2026-02-10", "rfm", "new", "promising", "time"),
        ("2026-03-12", "lifecycle", "new", "at_risk", "time"),
        ("2026-03-12", "rfm", "promising", "about_to_sleep", "time"),
    ]


def test_the_order_of_two_late_purchases_does_not_matter_to_the_facts() -> None:
    """First, latest and the one before it are the smallest and the two largest times, however they came."""
    forth = final([purchase("a", 0), purchase("b", 20), purchase("c", 90)], RULES)["c1"]
    back = final([purchase("c", 90), purchase("b", 20), purchase("a", 0)], RULES)["c1"]
    assert forth == back
    assert forth["segments"]["lifecycle"] == "reactivated"
    assert forth["facts"]["first_purchase_at"] == "2026-01-01T00:00:00Z"


def test_until_goes_past_the_clock_but_does_not_move_it() -> None:
    """A sweep to day 60 tells its deadlines; a second sweep to the clock (day 0) and an earlier until tell nothing."""
    log: list[Item] = [purchase("a", 0), Sweep(day(60))]
    shard = Shard(RULES)
    assert [len(shard.step(item)) for item in log] == [2, 3]
    assert shard.step(Sweep(None)) == []
    assert shard.clock == DAY_0


def test_until_cuts_nothing() -> None:
    """An until before the clock sweeps to the clock all the same."""
    log: list[Item] = [purchase("a", 0), purchase("b", 45, customer="c2")]
    assert simulate([*log, Sweep(day(10))], RULES) == simulate([*log, Sweep(None)], RULES)


def test_a_sweep_beyond_the_clock_makes_older_events_late() -> None:
    """Swept to day 70, c is the deadline of day 60: an event of day 65 is ordinary, one of day 59 late."""
    swept: list[Item] = [purchase("a", 0), Sweep(day(70))]
    assert simulate([*swept, purchase("b", 65)], RULES)[5]["cause"]["kind"] == "event"
    late = simulate([*swept, purchase("b", 59)], RULES)[5]
    assert late["cause"]["kind"] == "late"
    assert late["effective_at"] == "2026-03-02T00:00:00Z"


def test_a_sweep_of_an_empty_shard_tells_nothing() -> None:
    """No customer, no change, with or without a time."""
    assert simulate([Sweep(None), Sweep(day(10))], RULES) == []


# --- duplicates ---------------------------------------------------------------------------------------------------


def test_the_sixteenth_latest_purchase_is_still_remembered() -> None:
    """Its id repeated after 15 more purchases changes nothing."""
    log = [purchase(f"p{i}", 0) for i in range(16)]
    assert facts([*log, purchase("p0", 0)])["frequency"] == 16


def test_the_seventeenth_latest_purchase_is_forgotten() -> None:
    """Its id repeated after 16 more purchases is applied again."""
    log = [purchase(f"p{i}", 0) for i in range(17)]
    assert facts([*log, purchase("p0", 0)])["frequency"] == 18


def test_a_duplicate_does_not_refresh_its_place_in_the_memory() -> None:
    """A repeat after 15 more is ignored; one purchase later the id is forgotten, as if it had not been repeated."""
    log = [purchase(f"p{i}", 0) for i in range(16)]
    again = purchase("p0", 0)
    assert facts([*log, again, purchase("p16", 0), again])["frequency"] == 18


def test_browsing_does_not_push_purchases_out_of_the_memory() -> None:
    """After twenty visits and profiles a repeated purchase is still known."""
    browsing = [event("profile" if i % 2 else "interaction", f"v{i}", DAY_0, kind="visit") for i in range(20)]
    assert facts([purchase("p", 0), *browsing, purchase("p", 0)])["frequency"] == 1


def test_an_id_is_remembered_whatever_the_type_that_had_it() -> None:
    """A visit with a purchase's event id is a repeat: ids are unique across types."""
    assert simulate([purchase("a", 0), visit("a", 5)], RULES) == simulate([purchase("a", 0)], RULES)


def test_refunds_payments_and_feedback_share_the_purchases_memory() -> None:
    """Sixteen of them push a purchase's id out; fifteen do not."""
    kinds = ["refund", "payment", "feedback", "payment"] * 4
    others = [event(kind, f"x{i}", DAY_0, amount="1", score=8) for i, kind in enumerate(kinds)]
    assert facts([purchase("p", 0), *others[:15], purchase("p", 0)])["frequency"] == 1
    assert facts([purchase("p", 0), *others, purchase("p", 0)])["frequency"] == 2


@pytest.mark.parametrize(("visits", "told"), [(8, 0), (9, 1)])
def test_eight_other_events_are_remembered(visits: int, told: int) -> None:
    """The first of eight visits, repeated at day 30, does not even conclude the silence; the first of nine does."""
    log = [purchase("p", 0), *(visit(f"v{i}", 0) for i in range(visits))]
    shard = Shard(RULES)
    for item in log:
        shard.step(item)
    assert len(shard.step(visit("v0", 30))) == told


def test_the_same_id_from_another_source_is_another_event() -> None:
    """Ids are unique within a source; no source is a source of its own, the same as an empty one."""
    log = [purchase("p", 0), purchase("p", 0, source="web"), purchase("p", 0, source="till")]
    assert facts(log)["frequency"] == 3
    assert facts([*log, purchase("p", 0, source=""), purchase("p", 0, source="web")])["frequency"] == 3


def test_the_same_id_of_another_customer_is_another_event() -> None:
    """The memory is the customer's own."""
    assert final([purchase("p", 0), purchase("p", 0, customer="c2")], RULES)["c2"]["facts"]["frequency"] == 1


def test_a_duplicate_changes_nothing_of_its_customer_but_raises_the_clock() -> None:
    """A repeat dated day 100 tells nothing itself; the next sweep goes to day 100."""
    shard = Shard(RULES)
    shard.step(purchase("p", 0))
    assert shard.step(purchase("p", 100)) == []
    assert shard.clock == day(100)
    assert moves(shard.step(Sweep(None))) == [
        ("2026-01-31", "rfm", "new", "promising", "time"),
        ("2026-03-02", "lifecycle", "new", "at_risk", "time"),
        ("2026-03-02", "rfm", "promising", "about_to_sleep", "time"),
    ]


# --- money --------------------------------------------------------------------------------------------------------


def test_a_partial_refund_takes_money_and_no_order() -> None:
    """Two orders of 30 less 15: M falls from 2 to 1 (45), F stays 2, so FM is 2 both times."""
    log = [purchase("a", 0, "30"), purchase("b", 0, "30"), refund("r", 1, "15")]
    assert facts(log)["frequency"] == 2
    assert facts(log)["monetary"] == "45.00"


def test_a_refund_can_move_a_customer_down() -> None:
    """One order of 50 is FM 2; a cent less is FM 1."""
    changes = simulate([purchase("a", 0, "50"), refund("r", 1, "0.01")], RULES)
    assert moves(changes)[2:] == [("2026-01-02", "rfm", "potential_loyalist", "new", "event")]


def test_a_full_refund_leaves_the_purchase_times_alone() -> None:
    """The latest order returned: one order counts, but the customer was here on its day."""
    seen = facts([purchase("a", 0), purchase("b", 10), refund("b", 12, full=True)])
    assert seen["frequency"] == 2  # refund "b" repeats the id of purchase "b": a duplicate
    seen = facts([purchase("a", 0), purchase("b", 10), refund("r", 12, full=True)])
    assert (seen["frequency"], seen["last_purchase_at"]) == (1, "2026-01-11T00:00:00Z")


def test_a_customer_with_only_a_refund_is_a_prospect_in_debt() -> None:
    """Net money may be negative; no order counts, not minus one."""
    (change,) = simulate([refund("r", 0, "3", full=True)], RULES)
    assert change["segments"] == {"lifecycle": "prospect", "rfm": "none"}
    assert change["facts"]["monetary"] == "-3.00"
    assert change["facts"]["frequency"] == 0


def test_a_full_refund_before_its_purchase_still_takes_the_order_away() -> None:
    """Order does not matter: refund, then purchase, leaves no order that counts."""
    log = [refund("r", 1, full=True), purchase("p", 0)]
    assert segment(log, "lifecycle") == "prospect"
    assert facts(log)["frequency"] == 0
    assert facts(log)["last_purchase_at"] == "2026-01-01T00:00:00Z"


def test_a_purchase_of_nothing_is_an_order() -> None:
    """Amount zero counts as an order and moves the customer."""
    changes = simulate([purchase("p", 0, 0)], RULES)
    assert changes[0]["segments"] == {"lifecycle": "new", "rfm": "new"}
    assert changes[0]["facts"]["monetary"] == "0.00"


@pytest.mark.parametrize(
    ("amount", "monetary"),
    [("0.125", "0.12"), ("0.135", "0.14"), ("0.0050", "0.00"), ("0.0051", "0.01"), (7, "7.00"), ("1e2", "100.00")],
)
def test_amounts_are_rounded_half_even_to_the_minor_unit(amount: str | int, monetary: str) -> None:
    """Ties go to the even cent."""
    assert facts([purchase("p", 0, amount)])["monetary"] == monetary
    assert facts([purchase("p", 0, Decimal(amount))])["monetary"] == monetary


def test_a_tiny_refund_leaves_no_negative_zero() -> None:
    """A refund that rounds to nothing shows 0.00."""
    assert facts([refund("r", 0, "0.004")])["monetary"] == "0.00"


def test_the_discount_is_already_off_the_amount() -> None:
    """`amount` is what was paid."""
    assert facts([purchase("p", 0, "20", discount="5")])["monetary"] == "20.00"


def test_other_currencies_are_rounded_before_and_after_conversion() -> None:
    """0.125 USD is 0.12 USD, times 1.5 is 0.18 (unrounded it had been 0.19); 100.5 JPY is 100 JPY, is 0.65."""
    rules = OracleRules(rates={"USD": Decimal("1.5"), "JPY": Decimal("0.0065")}, rate_digits={"JPY": 0})
    assert facts([purchase("p", 0, "0.125", currency="USD")], rules)["monetary"] == "0.18"
    assert facts([purchase("p", 0, "100.5", currency="JPY")], rules)["monetary"] == "0.65"
    assert facts([purchase("p", 0, "0.135", currency="USD")], rules)["monetary"] == "0.21"  # 0.14 USD, not 0.13
    assert facts([purchase("p", 0, "1", currency="EUR")], rules)["monetary"] == "1.00"


def test_a_currency_without_minor_units_is_written_without_decimals() -> None:
    """Yen: 1200.5 is 1200, and cuts are in yen."""
    rules = OracleRules(currency="JPY", minor_digits=0)
    assert facts([purchase("p", 0, "1200.5")], rules)["monetary"] == "1200"
    assert facts([refund("p", 0, "3")], rules)["monetary"] == "-3"
    assert segment([purchase("p", 0, "1200.5")], "rfm", rules) == "potential_loyalist"


def test_a_float_is_refused() -> None:
    """Money never passes through a float."""
    with pytest.raises(TypeError, match="float"):
        simulate([event("purchase", "p", DAY_0, amount=0.1)], RULES)


# --- times --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.500000Z"),
        ("2026-01-01T00:00:00.1234569Z", "2026-01-01T00:00:00.123456Z"),
        ("2025-12-31T19:00:00.999999999-05:00", "2026-01-01T00:00:00.999999Z"),
        ("2026-01-01t00:00:00z", "2026-01-01T00:00:00Z"),
        ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_times_are_kept_in_utc_to_the_microsecond_and_cut_not_rounded(written: str, kept: str) -> None:
    """Any offset and any fraction reads; what is finer than a microsecond is cut off."""
    log = [Event({"type": "purchase", "event_id": "p", "customer_id": "c1", "occurred_at": written, "amount": "1"})]
    assert simulate(log, RULES)[0]["effective_at"] == kept


# --- adoption -----------------------------------------------------------------------------------------------------

SOONER = (timedelta(days=10), timedelta(days=60), timedelta(days=120), timedelta(days=240))


def test_new_cuts_are_applied_at_the_shards_clock() -> None:
    """At day 20 the first recency cut moves to 10 days: c1, idle 20, is promising from the adoption time on."""
    rules = OracleRules(recency_cuts=SOONER, cuts=31)
    log: list[Item] = [purchase("a", 0), visit("v", 20, customer="c2"), Adopt(rules, "recut")]
    (change,) = simulate(log, RULES)[3:]
    assert moves([change]) == [("2026-01-21", "rfm", "new", "promising", "recut")]
    assert change["cause"] == {"kind": "recut"}
    assert (change["cuts"], change["definition"]) == (31, 0)
    assert change["next"] == {"dimension": "lifecycle", "label": "at_risk", "at": "2026-03-02T00:00:00Z"}
    assert final(log, RULES)["c1"]["concluded_at"] == "2026-01-21T00:00:00Z"


def test_silence_before_an_adoption_is_told_under_the_old_rules() -> None:
    """At day 70, days 30 and 60 are told as they were meant; then at_risk_after of 90 days makes c1 new again."""
    rules = OracleRules(at_risk_after=timedelta(days=90), definition=12)
    log: list[Item] = [purchase("a", 0), visit("v", 70, customer="c2"), Adopt(rules, "definition")]
    changes = simulate(log, RULES)[3:]
    assert moves(changes) == [
        ("2026-01-31", "rfm", "new", "promising", "time"),
        ("2026-03-02", "lifecycle", "new", "at_risk", "time"),
        ("2026-03-02", "rfm", "promising", "about_to_sleep", "time"),
        ("2026-03-12", "lifecycle", "at_risk", "new", "definition"),
    ]
    assert [c["definition"] for c in changes] == [0, 0, 0, 12]
    assert changes[-1]["next"] == {"dimension": "lifecycle", "label": "at_risk", "at": "2026-04-01T00:00:00Z"}


def test_an_adoption_behind_what_is_concluded_takes_effect_there() -> None:
    """Swept to day 60 while the clock is at day 0: the change is dated day 60, not day 0."""
    rules = OracleRules(at_risk_after=timedelta(days=90))
    log = [purchase("a", 0), Sweep(day(60)), Adopt(rules, "definition")]
    assert moves(simulate(log, RULES))[5:] == [("2026-03-02", "lifecycle", "at_risk", "new", "definition")]


def test_an_adoption_that_changes_no_label_concludes_the_customer_all_the_same() -> None:
    """Adopted at day 20 without effect on c1: a visit of day 5 is late for it, since its labels hold from day 20."""
    rules = OracleRules(loyal_orders=7, cuts=31)
    log: list[Item] = [purchase("a", 0), visit("v", 20, customer="c2"), Adopt(rules, "definition")]
    assert len(simulate(log, RULES)) == 3
    assert final(log, RULES)["c1"]["concluded_at"] == "2026-01-21T00:00:00Z"
    assert simulate([*log, purchase("b", 5)], RULES)[3]["cause"]["kind"] == "late"


def test_after_an_adoption_silence_is_reckoned_from_the_adoption_time() -> None:
    """Under the new cuts R 4 would have begun at day 32, before they held; at day 50 the label is as before."""
    grid = {(r, fm): {5: "promising", 4: "other", 3: "promising"}.get(r, "low") for r in range(1, 6) for fm in (1, 2)}
    rules = OracleRules(recency_cuts=tuple(timedelta(days=d) for d in (32, 45, 120, 240)), grid=grid)
    log: list[Item] = [purchase("a", 0), visit("v", 50, customer="c2"), Adopt(rules, "recut"), Sweep(None)]
    changes = [c for c in simulate(log, RULES) if c["customer_id"] == "c1"]
    assert moves(changes)[2:] == [("2026-01-31", "rfm", "new", "promising", "time")]
    state = final(log, RULES)["c1"]
    assert state["concluded_at"] == "2026-02-20T00:00:00Z"
    assert state["next"] == {"dimension": "lifecycle", "label": "at_risk", "at": "2026-03-02T00:00:00Z"}


def test_rules_adopted_by_an_empty_shard_simply_hold() -> None:
    """Nobody is there to change; the first customer is classified under the new rules."""
    log = [Adopt(OracleRules(definition=5, loyal_orders=1), "definition"), purchase("a", 0)]
    change = simulate(log, RULES)[0]
    assert (change["current"], change["definition"], change["cause"]["kind"]) == ("loyal", 5, "event")


def test_a_dimension_added_by_a_definition_starts_at_its_neutral_label() -> None:
    """When lifecycle joins rfm at day 0: null to new, told as `definition`; rfm keeps its history."""
    log: list[Item] = [purchase("a", 0), Adopt(RULES, "definition"), Sweep(day(30))]
    changes = simulate(log, OracleRules(dimensions=("rfm",)))
    assert moves(changes)[1:] == [
        ("2026-01-01", "lifecycle", None, "new", "definition"),
        ("2026-01-31", "rfm", "new", "promising", "time"),
    ]
    assert [c["previous_since"] for c in changes] == [None, None, "2026-01-01T00:00:00Z"]


def test_a_definition_cannot_change_the_currency() -> None:
    """The money remembered is in the old currency, so the oracle refuses rather than guess."""
    with pytest.raises(ValueError, match="EUR"):
        simulate([Adopt(OracleRules(currency="USD"), "definition")], RULES)


# --- the whole ----------------------------------------------------------------------------------------------------


def test_the_changes_of_a_prefix_are_a_prefix_of_the_changes() -> None:
    """Nothing told is ever taken back."""
    log: list[Item] = [purchase("a", 0), purchase("b", 100, customer="c2"), Sweep(None), purchase("x", 50)]
    log += [Adopt(OracleRules(recency_cuts=SOONER, cuts=1), "recut"), refund("r", 55, full=True), Sweep(day(400))]
    whole = simulate(log, RULES)
    for length in range(len(log)):
        told = simulate(log[:length], RULES)
        assert told == whole[: len(told)]


def test_the_chain_of_each_dimension_is_unbroken() -> None:
    """Each change starts where the dimension's last one ended, at the time that one says; versions have no gaps."""
    log: list[Item] = [*orders(5, 0, "300"), visit("v", 70), purchase("x", 20), refund("r", 71, full=True)]
    last: dict[str, Change] = {}
    for version, change in enumerate(simulate([*log, Sweep(day(400))], RULES), start=1):
        assert change["version"] == version
        before = last.get(change["dimension"])
        if before is not None:
            assert change["previous"] == before["current"]
            assert change["previous_since"] == before["effective_at"]
        last[change["dimension"]] = change
    assert {dimension: change["current"] for dimension, change in last.items()} == {
        "lifecycle": "churned",
        "rfm": "at_risk",
    }
