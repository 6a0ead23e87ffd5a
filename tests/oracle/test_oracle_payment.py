"""The oracle's payment dimension, held to examples worked out by hand from the contract."""

from itertools import permutations

import pytest

from tests.oracle.simulation import Shard, Sweep, simulate
from tests.support.by_hand import MICROSECOND, Item, day, event, moves, only, payment, segment

PAYMENT = only("payment")
DAY_US = MICROSECOND.total_seconds() / 86_400


def settled(in_time: int, late: int) -> list[Item]:
    """Return that many invoices, due on day 9 and paid on day 9 or a microsecond after it."""
    log = [payment(f"e{number}", 1, f"i{number}", due=9, paid=9) for number in range(in_time)]
    return log + [payment(f"l{number}", 1, f"j{number}", due=9, paid=9 + DAY_US) for number in range(late)]


def test_payment_is_unknown_without_invoices() -> None:
    """Whatever else the customer does; there is no change."""
    assert simulate([event("interaction", "v", day(0), kind="visit")], PAYMENT) == []


def test_silence_makes_an_open_invoice_overdue_at_the_moment_it_is_due() -> None:
    """Good while there is time, overdue from `due_at` on, good again once it is paid in time after all."""
    log: list[Item] = [payment("a", 0, "i", due=10), Sweep(day(10) - MICROSECOND)]
    assert moves(simulate(log, PAYMENT)) == [("2026-01-01", "payment", "unknown", "good", "event")]
    log += [Sweep(day(10)), payment("b", 12, "i", due=10, paid=10)]
    changes = simulate(log, PAYMENT)
    assert moves(changes)[1:] == [
        ("2026-01-11", "payment", "good", "overdue", "time"),
        ("2026-01-13", "payment", "overdue", "good", "event"),
    ]
    assert changes[0]["next"] == {"dimension": "payment", "label": "overdue", "at": "2026-01-11T00:00:00Z"}


def test_an_invoice_told_after_it_was_due_is_overdue_at_once() -> None:
    """No deadline is needed for what has passed."""
    assert moves(simulate([payment("a", 20, "i", due=10)], PAYMENT)) == [
        ("2026-01-21", "payment", "unknown", "overdue", "event")
    ]


@pytest.mark.parametrize(
    ("in_time", "late", "label"), [(1, 0, "good"), (0, 1, "slow"), (7, 3, "good"), (6, 3, "slow"), (69, 31, "slow")]
)
def test_slow_is_more_than_30_percent_paid_late(in_time: int, late: int, label: str) -> None:
    """At exactly 30 % it is still good; the share is of all ever settled, more than the 16 remembered."""
    assert segment(settled(in_time, late), "payment", PAYMENT) == label


def test_overdue_comes_before_slow() -> None:
    """Who pays late is slow while nothing is due."""
    log = [*settled(0, 1), payment("a", 2, "open", due=20)]
    assert segment(log, "payment", PAYMENT) == "slow"
    assert segment([*log, Sweep(day(20))], "payment", PAYMENT) == "overdue"


def test_the_order_of_an_invoices_statements_does_not_matter() -> None:
    """Open, open with more time, paid: however they come, the invoice is settled and was late."""
    log = [payment("a", 0, "i", due=5), payment("b", 1, "i", due=8), payment("c", 12, "i", due=8, paid=11)]
    for order in permutations(log):
        assert segment([*order, Sweep(day(30))], "payment", PAYMENT) == "slow"
    for order in permutations(log[:2]):
        assert segment([*order, Sweep(day(8) - MICROSECOND)], "payment", PAYMENT) == "good"
        assert segment([*order, Sweep(day(8))], "payment", PAYMENT) == "overdue"


def test_of_open_statements_at_one_moment_the_earliest_date_holds() -> None:
    """In either order."""
    log = [payment("a", 0, "i", due=5), payment("b", 0, "i", due=8)]
    for order in (log, log[::-1]):
        assert moves(simulate([*order, Sweep(day(9))], PAYMENT))[-1][0] == "2026-01-06"


@pytest.mark.parametrize(("others", "told", "label"), [(15, 20, "good"), (16, 20, "overdue"), (16, 0.5, "good")])
def test_sixteen_settled_invoices_are_remembered(others: int, told: float, label: str) -> None:
    """An invoice told as open once more is not reopened while it is among them, nor if that is older than they are."""
    log = [payment("first", 0, "first", due=5, paid=5), *settled(others, 0), payment("again", told, "first", due=5)]
    assert segment([*log, Sweep(day(20))], "payment", PAYMENT) == label


def test_a_settled_invoice_is_counted_once_and_the_latest_statement_says_how() -> None:
    """In any order; of two at the same time it is the late one."""
    log = [
        payment("a", 0, "i", due=5, paid=5),
        payment("b", 1, "i", due=5, paid=6),
        payment("c", 2, "i", due=5, paid=4),
    ]
    for order in permutations(log):
        assert segment(list(order), "payment", PAYMENT) == "good"
    for order in permutations(log[:2]):
        assert segment(list(order), "payment", PAYMENT) == "slow"
    for order in permutations([log[0], payment("b", 0, "i", due=5, paid=6)]):
        assert segment(list(order), "payment", PAYMENT) == "slow"
    assert segment([*log[:2], *settled(2, 0)], "payment", PAYMENT) == "slow"  # one of three, not two of four
    assert segment([*log[:2], *settled(3, 0)], "payment", PAYMENT) == "good"  # one of four


def test_a_ninth_open_invoice_is_refused_but_counts_once_it_is_paid() -> None:
    """Eight are due on day 50; the ninth, due on day 10, changes nothing, the clock included, until it is paid late."""
    log = [payment(f"e{number}", 0, f"i{number}", due=50) for number in range(8)]
    ninth = payment("ninth", 1, "ninth", due=10)
    assert segment([*log, ninth, Sweep(day(20))], "payment", PAYMENT) == "good"
    assert segment([*log, ninth, payment("paid", 21, "ninth", due=10, paid=20)], "payment", PAYMENT) == "slow"
    assert (
        segment([*log, payment("p", 1, "i0", due=50, paid=1), ninth, Sweep(day(20))], "payment", PAYMENT) == "overdue"
    )
    # The same event again, once there is a place: as it was not applied, it is no repeat.
    log += [ninth, payment("p", 2, "i0", due=50, paid=1), ninth]
    assert segment([*log, Sweep(day(20))], "payment", PAYMENT) == "overdue"
    shard = Shard(PAYMENT)
    for item in [*log[:8], payment("far", 99, "far", due=200)]:
        shard.step(item)
    assert shard.clock == day(0)


def test_invoices_belong_to_their_customer() -> None:
    """Paid by one, still open with another."""
    log = [payment("a", 0, "i", due=5), payment("b", 1, "i", due=5, paid=1, customer="c2"), Sweep(day(5))]
    assert segment(log, "payment", PAYMENT) == "overdue"
