"""The oracle's rfm over a window, held to examples worked out by hand from the contract."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.oracle.rules import OracleRules
from tests.oracle.simulation import Sweep, simulate
from tests.support.by_hand import MICROSECOND, Item, event, moves, refund, segment

# Slot 730 begins on 18 December 2025. The grid shows the scores: "52" is R 5, FM 2.
SLOT_0 = datetime(1970, 1, 1, tzinfo=UTC) + 730 * timedelta(days=28)
WINDOW = OracleRules(
    dimensions=("rfm",),
    rfm_window=timedelta(days=365),
    grid={(r, fm): f"{r}{fm}" for r in range(1, 6) for fm in range(1, 6)},
)


def bought(event_id: str, slots: float, amount: str = "0") -> Item:
    """Return a purchase so many slots after the first."""
    return event("purchase", event_id, slot(slots), amount=amount, order_id="o")


def slot(number: float) -> datetime:
    """Return the moment so many slots after the first."""
    return SLOT_0 + number * timedelta(days=28)


def test_the_current_slot_and_the_twelve_before_it_are_counted() -> None:
    """365 days hold 13 slots: what was bought in slot 0 leaves as slot 13 begins, wherever in slot 0 it was."""
    for first in (0, 0.5):
        log = [bought("a", first, "1000"), bought("b", 12)]
        assert segment([*log, Sweep(slot(13) - MICROSECOND)], "rfm", WINDOW) == "54"
        assert segment([*log, Sweep(slot(13))], "rfm", WINDOW) == "51"
        assert [c["effective_at"] for c in simulate([*log, Sweep(slot(13))], WINDOW) if c["cause"]["kind"] == "time"][
            -1:
        ] == ["2026-12-17T00:00:00Z"]


def test_who_bought_nothing_in_the_window_is_none_and_comes_back_with_the_next_purchase() -> None:
    """R has reached its lowest long before; then the last slot leaves."""
    log = [bought("a", 0), bought("b", 20)]
    assert moves(simulate(log, WINDOW))[-2:] == [
        ("2026-12-17", "rfm", "11", "none", "time"),
        ("2027-07-01", "rfm", "none", "51", "event"),
    ]


def test_a_refund_counts_in_its_own_slot() -> None:
    """It outlives the purchase it belongs to: orders stop at zero, money does not, and both recover as it leaves."""
    log: list[Item] = [
        bought("a", 0, "100"),
        bought("b", 5, "100"),
        event("refund", "r", slot(2), amount=100, full=True, order_id="o-a"),
    ]
    rules = replace(WINDOW, frequency_cuts=(1, 2, 3, 4), monetary_cuts=(-5, 0, 50, 100))  # type: ignore[arg-type]
    assert segment(log, "rfm", rules) == "54"  # one order, 100
    assert segment([*log, Sweep(slot(13))], "rfm", rules) == "none"  # no order
    assert segment([*log, Sweep(slot(15))], "rfm", rules) == "14"  # the refund has left: one order, 100


def test_without_a_window_the_whole_life_counts() -> None:
    """A purchase of ten years ago is still an order."""
    log = [bought("a", 0, "1000"), bought("b", 130, "0")]
    assert segment(log, "rfm", replace(WINDOW, rfm_window=None)) == "54"
    assert segment(log, "rfm", WINDOW) == "51"


def test_lifecycle_and_the_facts_shown_are_of_the_whole_life() -> None:
    """The window is rfm's alone."""
    rules = replace(WINDOW, dimensions=("lifecycle", "rfm"))
    change = simulate([bought("a", 0, "9"), bought("b", 20, "1")], rules)[-1]
    assert (change["facts"]["frequency"], change["facts"]["monetary"]) == (2, "10.00")
    assert change["segments"]["lifecycle"] == "reactivated"


def test_a_late_purchase_counts_where_the_window_is_now() -> None:
    """One of before the window changes nothing; one of within it does."""
    log = [bought("a", 20)]
    assert segment([*log, bought("b", 7.9, "1000")], "rfm", WINDOW) == "51"
    assert segment([*log, bought("b", 8, "1000")], "rfm", WINDOW) == "54"
    assert segment([*log, bought("b", 8, "1000"), refund("r", 0, "950")], "rfm", WINDOW) == "54"
