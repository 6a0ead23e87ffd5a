"""The processor beside the oracle: rounds, one customer with thousands of events, and the guard of the money."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.advance.erasures import Erasures, start_labels
from segflow.engine.advance.processor import Advance, EventFlag, Work, advance
from segflow.engine.advance.rounds import rounds
from segflow.engine.columns.changes import NO_EVENT, Cause
from segflow.engine.columns.events import Chunk, none
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.file_run import MemoryShard
from segflow.schemas.settings import Settings
from segflow.segments.instant import DAY_US, LATEST_US, NEVER, UNKNOWN
from segflow.segments.rules import from_settings
from segflow.state import record
from segflow.state.customers import Customers
from tests.support.agreement import by_customer, parsed
from tests.support.trials import trials

RULES = from_settings(Settings())
DECODER = Decoder(Settings(), None)


def purchase(number: int, day: int, amount: str = "30", customer_id: str = "c1") -> dict[str, Any]:
    """A purchase on a day of 2020 or later."""
    moment = np.datetime64("2020-01-01") + np.timedelta64(day, "D")
    return {
        "type": "purchase",
        "event_id": f"e{number}",
        "customer_id": customer_id,
        "occurred_at": f"{moment}T00:00:00Z",
        "order_id": "o",
        "amount": amount,
    }


def chunk_of(log: list[dict[str, Any]]) -> Chunk:
    """The log decoded; every record is usable."""
    chunk = DECODER.decode([json.dumps(body).encode() for body in log], None, range(len(log)))
    assert chunk.usable.all()
    return chunk


def unknown(*ids: str) -> Customers:
    """Customers nothing is known of."""
    return Customers.unknown(list(ids), start_labels(RULES), 0, RULES.kept)


def advanced(customers: Customers, chunk: Chunk, clock_us: int = int(UNKNOWN), until_us: int = int(UNKNOWN)) -> Advance:
    """One commit over all customers, sweeping those whose timers are due at `until_us`."""
    rows = np.array([customers.ids.index(customer_id) for customer_id in chunk.customer_ids], dtype=np.intp)
    due = np.flatnonzero(customers.fixed["timer_us"] <= until_us)
    work = Work(
        events=chunk,
        rows=rows,
        horizons_us=np.maximum(np.maximum.accumulate(chunk.occurred_us), clock_us),
        due=due,
        until_us=np.full(len(due), until_us),
        erasures=Erasures.of(np.zeros(len(customers), dtype=np.bool_), {}, {}),
    )
    return advance(customers, work, RULES)


@given(st.lists(st.integers(0, 6), max_size=40))
@trials(300)
def test_round_j_holds_everybodys_jth_event(rows: list[int]) -> None:
    """Each event once; within a round each customer once; over the rounds each customer's events in their order."""
    found = rounds(np.array(rows, dtype=np.intp))
    assert sorted(event for turn in found for event in turn.tolist()) == list(range(len(rows)))
    for number, turn in enumerate(found):
        for event in turn.tolist():
            assert rows[:event].count(rows[event]) == number
        assert turn.tolist() == sorted(turn.tolist())


def records_of(shard: MemoryShard) -> list[bytes]:
    """What is stored of both customers, but for the timers: where they stand depends on when they were looked at."""
    ids = ["c1", "c2"]
    customers = record.decode(ids, shard.store.load(ids), start_labels(RULES), 0)
    customers.fixed["timer_us"] = 0
    return record.encode(customers)


@pytest.mark.slow
def test_one_customer_with_thousands_of_events_in_one_batch() -> None:
    """The same changes and the same record as one event a batch, late ones and repeats among them."""
    dice = np.random.default_rng(5)
    days = np.cumsum(dice.choice([0, 1, 20, 45, 70, 200], 1200)) - dice.choice([0, 0, 0, 5, 90], 1200)
    log = [purchase(number - (number % 7 == 0), int(day)) for number, day in enumerate(np.maximum(days, 0))]
    log += [purchase(-1, 0, customer_id="c2")]
    whole, single = (MemoryShard(Settings(), RuleVersions(RULES)) for _ in range(2))
    once = whole.feed(chunk_of(log), wall_us=0)
    steps = [single.feed(chunk_of([body]), wall_us=0) for body in log]
    changes = by_customer(parsed(message.value for message in once.changes))
    assert changes == by_customer(parsed(message.value for step in steps for message in step.changes))
    assert records_of(whole) == records_of(single)
    assert whole.head.clock_us == single.head.clock_us
    assert once.duplicates == sum(step.duplicates for step in steps) > 150
    assert once.late == sum(step.late for step in steps) > 50
    causes = Counter(change["cause"]["kind"] for change in changes["c1"])
    assert min(causes[kind] for kind in ("event", "time", "late")) > 20


def test_the_sixteen_latest_purchases_are_remembered_and_no_more() -> None:
    """A repeat of the sixteenth latest changes nothing at all, one of the seventeenth is a new event."""
    first = [purchase(number, number) for number in range(20)]
    customers = unknown("c1")
    advanced(customers, chunk_of(first))
    (before,) = record.encode(customers)
    again = advanced(customers, chunk_of([first[4]]), clock_us=19 * DAY_US)
    assert (again.flags.tolist(), len(again.changes)) == ([EventFlag.DUPLICATE], 0)
    assert record.encode(customers) == [before]
    assert not again.touched.any()
    assert advanced(customers, chunk_of([first[3]]), clock_us=19 * DAY_US).flags.tolist() == [EventFlag.LATE]


def test_money_that_would_no_longer_fit_is_an_error_that_names_the_customer() -> None:
    """Up to the last minor unit of 64 bits it is counted; beyond, going on would corrupt it."""
    for held, amount, refund, fits in (
        (2**63 - 1 - 3000, "30", False, True),
        (2**63 - 1 - 2999, "30", False, False),
        (-(2**63) + 3000, "30", True, True),
        (-(2**63) + 2999, "30", True, False),
    ):
        customers = unknown("c0", "c1")
        customers.fixed["net_minor"] = 0, held
        body = purchase(1, 0, amount) | ({"type": "refund"} if refund else {})
        chunk = chunk_of([purchase(1, 0, customer_id="c0"), body])
        if fits:
            advanced(customers, chunk)
            assert int(customers.fixed["net_minor"][1]) == held + (-3000 if refund else 3000)
        else:
            with pytest.raises(OverflowError, match=r"net money of customer 'c1' no longer fits 64 bits"):
                advanced(customers, chunk)


def test_a_timer_moves_only_earlier_but_for_customers_that_are_swept() -> None:
    """A purchase puts the deadline off; the timer stays, fires too early, is looked at, and put where it belongs."""
    customers = unknown("c1")
    advanced(customers, chunk_of([purchase(1, 0)]))
    early = int(customers.fixed["timer_us"][0])
    done = advanced(customers, chunk_of([purchase(2, 20)]))
    assert int(customers.fixed["timer_us"][0]) == early
    assert not done.timers.any()
    done = advanced(customers, none(), clock_us=early, until_us=early)
    assert len(done.changes) == 0
    assert done.timers.tolist() == [True]
    assert int(customers.fixed["timer_us"][0]) == early + 50 * DAY_US
    done = advanced(customers, none(), until_us=LATEST_US)
    assert set(done.changes.steps.causes.tolist()) == {Cause.TIME}
    assert set(done.changes.steps.events.tolist()) == {NO_EVENT}
    assert int(customers.fixed["timer_us"][0]) == NEVER


def test_nothing_to_do_changes_nothing() -> None:
    """No events, nobody due: nobody is touched."""
    customers = unknown("c1")
    done = advanced(customers, none(), clock_us=7)
    assert len(done.changes) == 0
    assert not done.touched.any()
    assert not done.timers.any()
    assert rounds(np.zeros(0, dtype=np.intp)) == []
