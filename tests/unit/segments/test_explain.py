"""Explanations: in plain words, for every dimension, and never at odds with the label."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.advance.erasures import start_labels
from segflow.engine.advance.forecast import forecast
from segflow.operations.explanation import Explanation, explanations
from segflow.schemas.settings import BUILT_IN, Settings
from segflow.segments.explain import span
from segflow.segments.instant import DAY_US, SECOND_US, to_text
from segflow.segments.rules import from_settings
from segflow.state import record
from segflow.state.customers import Customers
from segflow.state.layout import SECTIONS
from tests.support.events import Log
from tests.support.histories import histories
from tests.support.lockstep import Engine
from tests.support.trials import trials

ALL = ("lifecycle", "rfm", "value", "price", "cadence", "satisfaction", "engagement", "payment", "churn", "clv")
RULED = {
    "win_back": {
        "rules": [
            {"label": "call", "when": "lifecycle == 'at_risk' and value in ['a', 'b']"},
            {"label": "mail", "when": "idle >= 10d and idle - 5d < attributes.patience * 1d or attributes.vip"},
            {
                "label": "wait",
                "when": "monetary / frequency > 100 and not (tenure > 1w and attributes.country == 'DE')",
            },
        ],
        "otherwise": "none",
    },
    "who": {
        "rules": [
            {"label": "one", "when": "attributes.country in ['AT', 'CH'] or attributes.a == attributes.b"},
            {"label": "two", "when": "win_back != 'none' and attributes.a is present and false"},
            {"label": "one", "when": "idle is present"},
        ],
        "otherwise": "two",
    },
}
EVERYTHING = Settings.model_validate(
    {"dimensions": [*ALL, *RULED], "rule_dimensions": RULED, "value": {"cuts": "fixed"}}
)
RULES = from_settings(EVERYTHING)


def explained(engine: Engine, customer: str, now_us: int) -> list[Explanation]:
    """What is said of a customer."""
    return explanations(read(engine, customer), RULES, "EUR", now_us)


def read(engine: Engine, customer: str) -> Customers:
    """The customer's record."""
    return record.decode([customer], engine.shard.store.load([customer]), start_labels(RULES), 0, RULES.kept)


@given(log=histories(30, varied=True), later_us=st.integers(0, 500 * DAY_US))
@trials(80)
def test_every_explanation_ends_in_the_label_and_names_the_next(log: Log, later_us: int) -> None:
    """For whatever history, and whenever asked; the next label is the one that silence brings."""
    engine = Engine(EVERYTHING)
    engine.feed(log)
    engine.sweep()
    now_us = engine.shard.head.clock_us + later_us
    for customer in {event["customer_id"] for event in log}:
        customers = read(engine, customer)
        codes = customers.labels(RULES.names)
        at_us = int(customers.fixed["concluded_us"][0])
        ahead = forecast(RULES, customers.facts(np.array([0])), at_us, codes)
        for each in explained(engine, customer, now_us):
            assert each.because[-1].endswith(f"{each.label}.")
            first = next((change for change in ahead if change.dimension == each.dimension), None)
            expected = (None, None) if first is None else (first.label, to_text(first.at_us))
            assert (each.next_label, each.next_at) == expected


def test_every_model_on_the_list_has_words_of_its_own() -> None:
    """In its own file, beside its labels and its settings."""
    assert {"value", *SECTIONS} - set(ALL) <= {"window", "attributes", "rules", "refunds"}
    files = {type(model).explain.__module__.removeprefix("segflow.segments.models.") for model in RULES.models}
    assert files == {*ALL, "rule_dimension"} == {*BUILT_IN, "rule_dimension"}


def event(kind: str, number: int, day: int, **more: Any) -> dict[str, Any]:
    """An event of customer c on a day of March 2024."""
    return {
        "type": kind,
        "event_id": f"e{number}",
        "customer_id": "c",
        "occurred_at": f"2024-03-{day:02}T00:00:00Z",
        **more,
    }


LOG = [
    event("purchase", 1, 1, order_id="o", amount="100", discount="10"),
    event("purchase", 2, 8, order_id="o", amount="200.50"),
    event("purchase", 3, 15, order_id="o", amount="50", discount="1"),
    event("refund", 4, 16, order_id="o", amount="50", full=True),
    event("feedback", 5, 17, score=9),
    event("payment", 6, 18, invoice_id="i", due_at="2024-04-20T00:00:00Z", amount="5"),
    event("profile", 7, 18, attributes={"patience": 20, "country": "FR", "a": "x", "b": 2}),
]
NOW_US = 1_711_929_600 * SECOND_US  # 1 April 2024
WORDS_OF: dict[str, list[str]] = {
    "lifecycle": [
        "2 orders that count: 3 purchases less 1 full refund.",
        "The latest purchase was on 2024-03-15T00:00:00Z: idle for 17 d.",
        "17 d is less than 60 d (at_risk_after).",
        "The purchase before was 7 d earlier, which is less than 60 d.",
        "2 orders are 2 or more, and less than 5 (loyal_orders): active.",
    ],
    "rfm": [
        "2 orders that count: 3 purchases less 1 full refund.",
        "The latest purchase was on 2024-03-15T00:00:00Z: idle for 17 d.",
        "R: idle for 17 d, with the cuts 30 d, 60 d, 120 d, 240 d: R 5.",
        "F: 2 orders, with the cuts 2, 3, 5, 10: F 2.",
        "M: net money 300.50 EUR, with the cuts 50.00 EUR, 100.00 EUR, 250.00 EUR, 1,000.00 EUR: M 4.",
        "The cuts are fixed. FM = (2 + 4 + 1) // 2 = 3.",
        "The grid has at R 5, FM 3: potential_loyalist.",
    ],
    "price": [
        "3 purchases, 2 of them with a discount (refunds aside).",
        "66.67 % is 60 % (sensitive_from) or more: sensitive.",
    ],
    "satisfaction": [
        "The latest feedback was 9, on 2024-03-17T00:00:00Z.",
        "9 and more are a promoter, 7 and more passive, less a detractor: promoter.",
    ],
    "payment": [
        "0 invoices were settled, 0 of them late.",
        "The first of the open ones is due on 2024-04-20T00:00:00Z.",
        "None late is not more than 30 % (slow_above): good.",
    ],
    "cadence": [
        "2 orders that count: 3 purchases less 1 full refund.",
        "Of the latest 6 slots of 28 days, which begin on 2023-10-26T00:00:00Z, 2 have a purchase.",
        "2 are fewer than 4 (regular_slots).",
        "More than one order: occasional.",
    ],
    "churn": [
        "2 orders that count: 3 purchases less 1 full refund.",
        "3 purchase days; the first to the latest 14 d, the first to now 31 d.",
        (
            "MBG/NBD with r 0.525, alpha 6.183 weeks, a 0.891, b 1.614 gives a chance of 0.678 that this is "
            "still a customer."
        ),
        "low from 0.7, medium from 0.4, high from 0.1, held to the whole second after: medium.",
    ],
    "engagement": [
        "What was done, weighed and halved every 14 d since, adds up to S = 9.512 now.",
        "core from 20, active from 5, visitor from 0.5, held to the whole second after S falls below: active.",
    ],
    "win_back": [
        "Rule 1, call: lifecycle == 'at_risk' and value in ['a', 'b']",
        "lifecycle == 'at_risk' does not hold: lifecycle is active.",
        "value in ['a', 'b'] holds: value is b.",
        "So rule 1 does not hold.",
        "Rule 2, mail: idle >= 10d and idle - 5d < attributes.patience * 1d or attributes.vip",
        "idle >= 10d holds: idle is 17 d.",
        (
            "idle - 5d < attributes.patience * 1d holds: idle - 5d is 12 d; idle is 17 d; attributes.patience * 1d is "
            "20 d; attributes.patience is 20; until 2024-04-09T00:00:00Z."
        ),
        "attributes.vip == true does not hold: attributes.vip is absent.",
        "So rule 2 holds, as the first: mail.",
    ],
    "who": [
        "Rule 1, one: attributes.country in ['AT', 'CH'] or attributes.a == attributes.b",
        "attributes.country in ['AT', 'CH'] does not hold: attributes.country is another text.",
        "attributes.a == attributes.b does not hold: attributes.a is a text; attributes.b is 2.",
        "So rule 1 does not hold.",
        "Rule 2, two: win_back != 'none' and attributes.a is present and false",
        "win_back in ['call', 'mail', 'wait'] holds: win_back is mail.",
        "attributes.a is present holds: attributes.a is a text.",
        "false does not hold.",
        "So rule 2 does not hold.",
        "Rule 3, one: idle is present",
        "idle is present holds: idle is 17 d.",
        "So rule 3 holds, as the first: one.",
    ],
}


@pytest.mark.parametrize("dimension", WORDS_OF)
def test_by_hand(dimension: str) -> None:
    """One history, word for word."""
    engine = Engine(EVERYTHING)
    engine.feed(LOG)
    engine.sweep(datetime(2024, 4, 1, tzinfo=UTC))
    (found,) = [each for each in explained(engine, "c", NOW_US) if each.dimension == dimension]
    assert found.because == WORDS_OF[dimension]


def test_where_a_deadline_was_missed_it_is_the_last_conclusion_that_is_explained() -> None:
    """A worker that stands still leaves labels that no longer hold; the words go with the label."""
    engine = Engine(EVERYTHING)
    engine.feed(LOG)
    found = explained(engine, "c", NOW_US + 400 * DAY_US)
    assert {each.at for each in found} == {"2024-03-18T00:00:00Z"}
    assert found[0].next_at == "2024-05-14T00:00:00Z"
    assert found[0].next_label == "at_risk"


def test_spans_are_for_a_person() -> None:
    """Days first."""
    assert [span(each) for each in (3 * DAY_US, DAY_US + 3661 * SECOND_US, 90 * SECOND_US, -2 * DAY_US)] == [
        "3 d",
        "1 d 1:01:01",
        "0:01:30",
        "-2 d",
    ]


def test_rfm_over_a_window_says_what_is_in_it() -> None:
    """Orders and money of the slots that count."""
    settings = Settings.model_validate({"dimensions": ["rfm"], "rfm": {"window": "28d"}})
    engine, rules = Engine(settings), from_settings(settings)
    engine.feed(LOG)
    stored = engine.shard.store.load(["c"])
    customers = record.decode(["c"], stored, start_labels(rules), 0, rules.kept)
    (found,) = explanations(customers, rules, "EUR", engine.shard.head.clock_us)
    assert found.because[0] == "In the present slot of 28 d and those before it, 28 d in all, 0 orders count."
    assert found.because[-1].endswith(f"{found.label}.")


def test_under_cuts_of_a_population_it_is_their_moment_that_is_explained() -> None:
    """R by instants, the window and the worth as of the cut; silence brings nothing."""
    product = Settings.model_validate({"dimensions": ["rfm", "clv"], "rfm": {"window": "28d"}})
    engine = Engine(product)
    engine.feed(LOG)
    days = [NOW_US - ago * DAY_US for ago in (40, 20, 10, 5)]
    cuts = replace(
        from_settings(product).cuts,
        version=7,
        recency_from_us=(days[0], days[1], days[2], days[3]),
        window_at_us=NOW_US - DAY_US,
        clv_at_us=NOW_US - DAY_US,
    )
    engine.rule_versions.add_cuts(cuts)
    engine.sweep(datetime(2024, 4, 1, tzinfo=UTC))
    rules = engine.rule_versions.latest
    stored = engine.shard.store.load(["c"])
    customers = record.decode(["c"], stored, start_labels(rules), 7, rules.kept)
    rfm, clv = explanations(customers, rules, "EUR", NOW_US)
    assert rfm.because[:3] == [
        "In the slot of 28 d at 2024-03-31T00:00:00Z and those before it, 28 d in all, 0 orders count.",
        "The latest purchase was on 2024-03-15T00:00:00Z: idle for 17 d.",
        "Without an order that counts: none.",
    ]
    assert clv.because[1] == "Expected within 26 weeks after 2024-03-31T00:00:00Z: 2.746 purchases (MBG/NBD)."
    assert clv.because[-1].endswith("high from 100.00 EUR (cuts version 7): high.")
    assert (rfm.next_label, clv.next_label) == (None, None)


@pytest.mark.parametrize(
    ("days_ago", "recency", "place"), [((40, 20, 10, 5), 3, "at or after"), ((9, 8, 7, 5), 1, "before")]
)
def test_recency_by_instants_names_the_one_that_decides(
    days_ago: tuple[int, int, int, int], recency: int, place: str
) -> None:
    """The latest that the latest purchase has reached, or the earliest, which it has not."""
    product = Settings.model_validate({"dimensions": ["rfm"]})
    engine = Engine(product)
    engine.feed(LOG)
    instants = [NOW_US - ago * DAY_US for ago in days_ago]
    held = from_settings(product).cuts
    engine.rule_versions.add_cuts(
        replace(held, version=7, recency_from_us=(instants[0], instants[1], instants[2], instants[3]))
    )
    engine.sweep()
    rules = engine.rule_versions.latest
    customers = record.decode(["c"], engine.shard.store.load(["c"]), start_labels(rules), 7, rules.kept)
    (found,) = explanations(customers, rules, "EUR", NOW_US)
    reached = to_text(instants[max(recency - 2, 0)])
    assert found.because[2] == (
        f"R: the latest purchase on 2024-03-15T00:00:00Z is {place} the cut of {reached}, of the cuts "
        f"{', '.join(map(to_text, instants))}: R {recency}."
    )
    assert found.next_label is None


def test_of_a_rule_that_time_will_make_hold_the_day_is_told() -> None:
    """And nothing of days behind us, or of what is not known at all."""
    engine = Engine(EVERYTHING)
    engine.feed(LOG[:2])
    engine.sweep(datetime(2024, 3, 12, tzinfo=UTC))
    (found,) = [each for each in explained(engine, "c", NOW_US - 20 * DAY_US) if each.dimension == "win_back"]
    assert found.because[5:8] == [
        "idle >= 10d does not hold: idle is 4 d; from 2024-03-18T00:00:00Z on.",
        (
            "idle - 5d < attributes.patience * 1d does not hold: idle - 5d is -1 d; idle is 4 d; "
            "attributes.patience * 1d is absent; attributes.patience is absent."
        ),
        "attributes.vip == true does not hold: attributes.vip is absent.",
    ]
    assert found.because[10:12] == [
        "monetary / frequency > 100 holds: monetary / frequency is 150.25; monetary is 300.5; frequency is 2.",
        "tenure > 1w holds: tenure is 11 d.",
    ]
    assert found.because[-1] == "So rule 3 holds, as the first: wait."
