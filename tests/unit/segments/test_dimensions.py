"""The dimensions that are off by default: examples by hand, and the engine over histories with all of them."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.schemas.settings import Settings
from segflow.segments.instant import DAY_US, UNKNOWN
from segflow.segments.models import cadence, engagement, satisfaction
from segflow.segments.slots import NO_SLOT
from tests.support.agreement import by_customer
from tests.support.histories import histories, written
from tests.support.one_customer import FIRST, changes, course, event
from tests.support.trials import trials

EVERY = ("lifecycle", "rfm", "engagement", "price", "cadence", "satisfaction", "value", "churn", "clv", "payment")
SLOT_US = 28 * DAY_US


def buys(*discounts: int, refunds: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """A purchase a day with these discounts; full refunds of everything on the days of `refunds`."""
    log = [event(day, day, "purchase", discount=discount) for day, discount in enumerate(discounts)]
    returned = [event(100 + day, day, "refund", order_id=f"o{day}", amount=10, full=True) for day in refunds]
    return sorted([*log, *returned], key=lambda each: each["occurred_at"])


@pytest.mark.parametrize(
    ("log", "labels"),
    [
        (buys(5, 5), []),
        (buys(5, 5, 0), ["sensitive"]),  # 2 of 3
        (buys(0, 0, 0), ["full_price"]),
        (buys(5, 0, 0), ["mixed"]),  # 1 of 3
        (buys(5, 0, 0, 0, 0), ["mixed", "full_price"]),  # 1 of 5: at most 20 %
        (buys(5, 0, 0, 5, 5), ["mixed", "sensitive"]),  # 3 of 5: at least 60 %
        (buys(5, 0, 0, 5, 5, 0), ["mixed", "sensitive", "mixed"]),  # 3 of 6
        (buys(5, 5, 5, refunds=(4, 5, 6)), ["sensitive"]),  # refunds aside
    ],
)
def test_price_is_the_share_of_purchases_with_a_discount(log: list[dict[str, Any]], labels: list[str]) -> None:
    """Unknown below three purchases; the borders belong to the outer labels; silence changes nothing."""
    assert [label for _, label, _ in course(log, "price")] == labels


def test_cadence_by_hand() -> None:
    """Purchases on days 0, 14, 42, 70, 98: slots 704 to 708. The fourth makes regular; in 711 three are left."""
    log = [event(number, days, "purchase") for number, days in enumerate((0, 14, 42, 70, 98))]
    assert course(log[:1], "cadence") == [("2024-01-04T00:00:00Z", "one_off", "event")]
    assert course(log, "cadence") == [
        ("2024-01-04T00:00:00Z", "one_off", "event"),
        ("2024-01-18T00:00:00Z", "occasional", "event"),
        ("2024-03-14T00:00:00Z", "regular", "event"),
        ("2024-07-04T00:00:00Z", "occasional", "time"),
    ]
    assert datetime(2024, 7, 4, tzinfo=UTC) == datetime(1970, 1, 1, tzinfo=UTC) + 711 * timedelta(days=28)
    late = [log[0], log[3], log[4], log[1], log[2]]
    assert course(late, "cadence")[-1] == ("2024-07-04T00:00:00Z", "occasional", "time")
    assert ("2024-04-11T00:00:00Z", "regular", "late") in course(late, "cadence")
    back = [
        *log,
        *(event(200 + day, day, "refund", order_id=f"o{day}", amount=10, full=True) for day in range(99, 104)),
    ]
    assert course(back, "cadence")[-1] == ("2024-04-16T00:00:00Z", "none", "event")


def test_satisfaction_by_hand() -> None:
    """The latest feedback counts, of two at once the lower, a late one only where nothing later was said; 180 days."""
    told = [
        event(number, days, "feedback", score=score) for number, (days, score) in enumerate([(0, 9), (10, 6), (10, 7)])
    ]
    assert course(told, "satisfaction") == [
        ("2024-01-04T00:00:00Z", "promoter", "event"),
        ("2024-01-14T00:00:00Z", "detractor", "event"),
        ("2024-07-12T00:00:00Z", "unknown", "time"),
    ]
    assert course([told[2], told[1]], "satisfaction")[1] == ("2024-01-14T00:00:00Z", "detractor", "event")
    assert course([told[2], told[0]], "satisfaction") == [
        ("2024-01-14T00:00:00Z", "passive", "event"),
        ("2024-07-12T00:00:00Z", "unknown", "time"),
    ]


def test_engagement_by_hand() -> None:
    """A purchase weighs 10: 5 after 14 days, and visitor the second after; 0.5 after 14 * log2(20) = 60.507 days."""
    log = [event(1, 0, "purchase")]
    assert course(log, "engagement") == [
        ("2024-01-04T00:00:00Z", "active", "event"),
        ("2024-01-18T00:00:01Z", "visitor", "time"),
        ("2024-03-04T12:10:05Z", "dormant", "time"),
    ]
    second = [*log, event(2, 0, "purchase")]  # 20, exactly
    assert course(second, "engagement")[:3] == [
        ("2024-01-04T00:00:00Z", "active", "event"),
        ("2024-01-04T00:00:00Z", "core", "event"),
        ("2024-01-04T00:00:01Z", "active", "time"),
    ]
    kinds = ["view", "open", "cart", "share", "login"]
    browsing = [event(number, 0, "interaction", kind=kind) for number, kind in enumerate(kinds)]  # 1 0.5 3 4 1
    assert [label for _, label, _ in course(browsing[:3], "engagement")] == ["visitor", "dormant"]
    assert [label for _, label, _ in course(browsing[:4], "engagement")] == ["visitor", "active", "visitor", "dormant"]
    weightless = course([browsing[0]], "engagement", engagement={"weights": {"view": 0}, "other_weight": 0})
    assert weightless == []


def test_value_by_hand() -> None:
    """With fixed cuts: from 250 on b, from 1000 on a; refunds take money off; an order for nothing is c."""
    log = [event(number, number, "purchase", amount=amount) for number, amount in enumerate((0, 249.99, "0.01", 750))]
    log += [event(5, 5, "refund", order_id="o", amount="0.01"), event(6, 6, "refund", order_id="o", amount=900)]
    log += [event(10 + day, day, "refund", order_id=f"o{day}", amount=1, full=True) for day in (7, 8, 9, 10)]
    assert course(log, "value") == [
        ("2024-01-04T00:00:00Z", "c", "event"),
        ("2024-01-06T00:00:00Z", "b", "event"),
        ("2024-01-07T00:00:00Z", "a", "event"),
        ("2024-01-09T00:00:00Z", "b", "event"),
        ("2024-01-10T00:00:00Z", "c", "event"),
        ("2024-01-14T00:00:00Z", "none", "event"),
    ]


def test_a_late_event_leaves_the_score_as_if_it_had_come_in_time() -> None:
    """The same end of every label that follows."""
    log = [event(number, days, "purchase") for number, days in enumerate((0, 3, 20))]
    ends = [(at, label) for at, label, cause in course(log, "engagement") if cause == "time" and at > "2024-01-25"]
    late = course([log[0], log[2], log[1]], "engagement")
    assert [(at, label) for at, label, cause in late if cause == "time" and at > "2024-01-25"] == ends


VARIED = [
    *buys(0, 5, 5, 0, refunds=(3,)),
    event(50, 30, "feedback", score=9),
    event(51, 31, "interaction", kind="cart"),
    event(52, 32, "payment", invoice_id="i", due_at=written(FIRST + timedelta(days=50)), amount=5),
    *(event(60 + days, days, "purchase") for days in (40, 70, 100, 300)),
]
"""Something for every dimension."""


@cache
def alone(dimension: str) -> list[tuple[str, str, str]]:
    """The way through it of the customer who does all of VARIED."""
    return course(VARIED, dimension)


@pytest.mark.parametrize("pair", list(permutations(EVERY, 2)), ids="-".join)
def test_any_two_dimensions_in_either_order_are_each_as_they_are_alone(pair: tuple[str, str]) -> None:
    """Labels, times and causes of one do not depend on the other, and versions count both."""
    both = changes(VARIED, Settings(dimensions=pair))
    assert [list(change["segments"]) for change in both] == [list(pair)] * len(both)
    for name in pair:
        mine = [(c["effective_at"], c["current"], c["cause"]["kind"]) for c in both if c["dimension"] == name]
        assert mine == alone(name)
    assert [change["version"] for change in both] == list(range(1, len(both) + 1))


@given(
    log=histories(varied=True),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    order=st.permutations(EVERY),
)
@trials(100)
def test_batches_are_invisible_with_every_dimension_on(
    log: list[dict[str, Any]], sizes: list[int], order: list[str]
) -> None:
    """Each customer's changes are the same however the log is cut; each chain goes on from the neutral label."""
    product = Settings.model_validate({"dimensions": order})
    whole = by_customer(changes(log, product))
    assert whole == by_customer(changes(log, product, sizes))
    neutral = {"rfm": "none", "engagement": "dormant", "price": "unknown", "cadence": "none"}
    neutral |= {"satisfaction": "unknown", "value": "none", "churn": "none", "clv": "none", "payment": "unknown"}
    for mine in whole.values():
        held: dict[str, str | None] = {"lifecycle": None, **neutral}
        for change in mine:
            assert change["previous"] == held[change["dimension"]] != change["current"]
            held[change["dimension"]] = change["current"]


times = st.lists(st.integers(0, 90 * SLOT_US // DAY_US).map(lambda day: day * DAY_US), min_size=1, max_size=12)


@given(times_us=times)
def test_a_mask_of_slots_is_that_of_the_purchases_in_any_order(times_us: list[int]) -> None:
    """The latest slot, and a bit for each of it and the 63 before it with a purchase."""
    latest, mask = np.array([NO_SLOT], dtype=np.int32), np.array([0], dtype=np.uint64)
    for time_us in times_us:
        latest, mask = cadence.with_purchase(latest, mask, np.array([time_us]), SLOT_US)
    slots = {time_us // SLOT_US for time_us in times_us}
    assert latest.tolist() == [max(slots)]
    assert mask.tolist() == [sum(1 << max(slots) - slot for slot in slots if max(slots) - slot < 64)]


@given(told=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 10)), min_size=1))
def test_the_latest_feedback_is_that_of_any_order(told: list[tuple[int, int]]) -> None:
    """The latest time, and the lowest of its scores."""
    held_us, held = np.array([UNKNOWN]), np.array([0], dtype=np.uint8)
    for time_us, score in told:
        held_us, held = satisfaction.with_feedback(
            held_us, held, np.array([time_us]), np.array([score], dtype=np.uint8)
        )
    last_us = max(time_us for time_us, _ in told)
    assert (held_us[0], held[0]) == (last_us, min(score for time_us, score in told if time_us == last_us))


@given(did=st.lists(st.tuples(st.sampled_from([0, 0.5, 1, 10]), st.integers(0, 60)), min_size=1, max_size=30))
def test_the_level_is_the_sum_of_the_fading_weights(did: list[tuple[float, int]]) -> None:
    """2^(L - t / half-life) is the sum that the contract defines, in any order, to 12 digits."""
    half_life_us, first_us = 14 * DAY_US, 19_726 * DAY_US
    level = np.array([engagement.NOTHING])
    for weight, day in did:
        alone = engagement.level_of(
            np.array([engagement.weight_log2(weight)]), np.array([first_us + day * DAY_US]), half_life_us
        )
        level = engagement.with_event(level, alone)
    score = sum(weight * 2.0 ** ((day - 60) / 14) for weight, day in did)
    assert 2.0 ** (level[0] - (first_us + 60 * DAY_US) / half_life_us) == pytest.approx(score, rel=1e-11)
