"""An order is refunded in full once, however often that is told."""

from typing import Any

from segflow.state import record
from segflow.state.tails import REFUNDED_MOST
from tests.support.agreement import by_customer
from tests.support.events import alias, event
from tests.support.lockstep import Engine, Oracle, fed


def refund(number: int, days: float, order: str, customer: str = "c1", **more: object) -> dict[str, Any]:
    """A full refund of an order, 60 as the purchases are."""
    return event(number, days, "refund", customer, order_id=order, amount="60", full=True, **more)


def held(engine: Engine, customer: str = "c1") -> tuple[int, int]:
    """Orders that count and net money, minor units, as the store has them."""
    facts = record.facts(engine.shard.store.load([customer]), ())
    return int(facts.orders[0]), int(facts.net_minor[0])


def test_a_full_refund_told_by_shop_and_payment_provider_is_one() -> None:
    """The second is a duplicate: it takes no other order along, and no money."""
    engine = fed(event(1, 0, order_id="a"), event(2, 1, order_id="b"), refund(3, 2, "a"), refund(4, 3, "a"))
    assert held(engine) == (1, 60_00)


def test_both_tellings_may_stand_in_one_batch() -> None:
    """Batches are invisible."""
    engine = Engine()
    engine.feed([event(1, 0, order_id="a"), event(2, 1, order_id="b"), refund(3, 2, "a"), refund(4, 3, "a")])
    assert held(engine) == (1, 60_00)


def test_a_refund_of_money_is_no_full_one() -> None:
    """Parts of one order are given back one after the other, also after and before it is refunded in full."""
    parts = [event(3 + part, 2 + part, "refund", order_id="a", amount="5") for part in range(3)]
    engine = fed(event(1, 0, order_id="a"), event(2, 1, order_id="b"), *parts, refund(9, 9, "a"))
    engine.feed([event(10, 10, "refund", order_id="a", amount="5")])
    assert held(engine) == (1, 40_00)


def test_the_duplicate_is_not_remembered_by_its_id_and_moves_the_clock() -> None:
    """An event with that id that says something else is heard, and silence goes on from the duplicate's time."""
    log = [event(1, 0, order_id="a"), event(2, 1, order_id="b"), refund(3, 2, "a"), refund(4, 70, "a")]
    engine, oracle = fed(*log), Oracle()
    for each in log:
        oracle.take(each)
    engine.sweep()
    assert "at_risk" in [change["current"] for change in engine.changes]
    engine.feed([refund(4, 71, "b")])
    oracle.take(refund(4, 71, "b"))
    assert held(engine) == (0, 0)
    assert by_customer(engine.changes) == by_customer(oracle.changes)


def test_as_many_orders_are_remembered_as_the_contract_says() -> None:
    """The oldest makes room: a refund told again after eight others counts once more."""
    for between, orders in ((REFUNDED_MOST - 1, 11 - REFUNDED_MOST), (REFUNDED_MOST, 9 - REFUNDED_MOST)):
        log = [event(number, number, order_id=f"o{number}") for number in range(11)]
        log += [refund(20 + number, 20 + number, f"o{number}") for number in range(between + 1)]
        assert held(fed(*log, refund(99, 60, "o0")))[0] == orders, between


def test_an_alias_unites_what_both_remember() -> None:
    """A refund that the previous id had is a duplicate for the customer it became."""
    log = [event(1, 0, order_id="a", customer="c2"), refund(2, 1, "a", customer="c2")]
    log += [event(3, 2, order_id="b"), event(4, 3, order_id="c"), alias(5, 4, "c1", "c2")]
    assert held(fed(*log, refund(6, 5, "a"))) == (2, 120_00)
