"""What the oracle makes of an erase, held to examples worked out by hand from the contract."""

from typing import Any

import pytest

from tests.oracle.rules import OracleRules
from tests.oracle.simulation import Adopt, Change, Sweep, final, simulate
from tests.support.by_hand import MICROSECOND, RULES, Item, day, event, moves, purchase, visit

NOBODY = {"first_purchase_at": None, "last_purchase_at": None, "frequency": 0, "monetary": "0.00"}


def erase(event_id: str, number: float, **fields: Any) -> Item:
    """Return an erase on that day."""
    return event("erase", event_id, day(number), **fields)


def receipts(changes: list[Change]) -> list[Change]:
    """Return the changes that an erase made."""
    return [change for change in changes if change["cause"] == {"kind": "erase"}]


def test_a_change_to_null_a_dimension_is_the_receipt() -> None:
    """In the settings' order, versions going on, with nothing in them of what was known."""
    changes = simulate([purchase("p", 0), erase("e", 10)], RULES)
    assert moves(changes)[2:] == [
        ("2026-01-11", "lifecycle", "new", None, "erase"),
        ("2026-01-11", "rfm", "new", None, "erase"),
    ]
    assert [c["version"] for c in changes] == [1, 2, 3, 4]
    for change in receipts(changes):
        assert change["segments"] == {"lifecycle": None, "rfm": None}
        assert (change["facts"], change["next"]) == (NOBODY, None)
        assert change["previous_since"] == "2026-01-01T00:00:00Z"


def test_a_neutral_label_goes_to_null_too() -> None:
    """Who only browsed is `none` in rfm since ever."""
    changes = simulate([visit("v", 0), erase("e", 1)], RULES)
    assert [(c["dimension"], c["previous"], c["current"], c["previous_since"]) for c in changes[1:]] == [
        ("lifecycle", "prospect", None, "2026-01-01T00:00:00Z"),
        ("rfm", "none", None, None),
    ]


def test_silence_has_its_say_before_an_erase_and_none_after_it() -> None:
    """Day 30 is told on day 40, the erase after it; nothing is left to be told."""
    log = [purchase("p", 0), erase("e", 40), Sweep(day(500))]
    assert [cause for *_, cause in moves(simulate(log, RULES))] == ["event", "event", "time", "erase", "erase"]
    assert final(log, RULES) == {}


def test_a_late_erase_takes_effect_where_the_customer_was_concluded_and_takes_all() -> None:
    """The purchase of day 5 goes with what an erase of day 3 forgets; one of day 4 counts, but is late."""
    log: list[Item] = [purchase("p", 0), purchase("q", 5), erase("e", 3)]
    assert [c["effective_at"] for c in receipts(simulate(log, RULES))] == ["2026-01-06T00:00:00Z"] * 2
    assert final([*log, purchase("q", 4)], RULES)["c1"]["facts"]["frequency"] == 1
    assert moves(simulate([*log, purchase("q", 4)], RULES))[-1] == ("2026-01-06", "rfm", None, "new", "late")


def test_what_happened_before_the_erase_stays_out_but_moves_the_clock() -> None:
    """To the microsecond; what happened at its very time counts."""
    log = [purchase("p", 0), erase("e", 10)]
    out = event("purchase", "q", day(10) - MICROSECOND, amount=1)
    assert simulate([*log, out], RULES) == simulate(log, RULES)
    assert final([*log, purchase("q", 10)], RULES)["c1"]["facts"]["frequency"] == 1
    other = [purchase("o", 0, customer="c2")]
    assert len(simulate([*other, out, Sweep(None)], RULES)) > len(simulate(other, RULES))


def test_who_comes_back_begins_at_null_with_nothing_and_the_chain_goes_on() -> None:
    """Every dimension has a change, rfm's from null to new; the same event ids count again."""
    changes = simulate([purchase("p", 0), erase("e", 10), purchase("p", 20)], RULES)[4:]
    assert [(c["previous"], c["current"], c["version"], c["previous_since"]) for c in changes] == [
        (None, "new", 5, "2026-01-11T00:00:00Z"),
        (None, "new", 6, "2026-01-11T00:00:00Z"),
    ]
    back = simulate([purchase("p", 0), erase("e", 10), visit("v", 20)], RULES)[4:]
    assert [(c["previous"], c["current"]) for c in back] == [(None, "prospect"), (None, "none")]


def test_an_erase_of_nobody_has_no_receipt_but_keeps_older_events_out() -> None:
    """Also where it comes twice; who then comes is as new as anybody."""
    log: list[Item] = [erase("e", 10), erase("f", 12), purchase("p", 11)]
    assert simulate(log, RULES) == []
    (lifecycle, rfm) = simulate([*log, purchase("q", 12)], RULES)
    assert (lifecycle["previous"], rfm["previous"]) == (None, "none")
    assert lifecycle["version"] == 1


def test_the_same_erase_sent_again_spares_who_came_back() -> None:
    """And so does an older one; a later one is a new wish."""
    log: list[Item] = [purchase("p", 0), erase("e", 10), purchase("q", 10), purchase("r", 11)]
    for again in (erase("e", 10), erase("f", 9)):
        assert final([*log, again], RULES)["c1"]["facts"]["frequency"] == 2
    assert len(receipts(simulate([*log, erase("g", 12)], RULES))) == 4


@pytest.mark.parametrize(("number", "told"), [(739.9, 0), (740, 2)])
def test_an_erasure_is_forgotten_after_730_days_of_the_clock(number: float, told: int) -> None:
    """Then an older event makes a new customer, of version 1."""
    log: list[Item] = [purchase("p", 0), erase("e", 10), visit("v", number, customer="c2"), purchase("q", 5)]
    changes = [c for c in simulate(log, RULES)[4:] if c["customer_id"] == "c1"]
    assert [c["version"] for c in changes[:2]] == [1, 2][:told]


def test_an_erased_customer_is_nobody_to_an_adoption() -> None:
    """New rules change nobody who is not there; a dimension they add begins at its neutral label."""
    more = OracleRules(dimensions=("lifecycle", "rfm", "price"), definition=3)
    log: list[Item] = [purchase("p", 0), erase("e", 10), Adopt(more, "definition"), purchase("q", 11, discount=1)]
    changes = simulate(log, RULES)[4:]
    assert [(c["dimension"], c["previous"]) for c in changes] == [("lifecycle", None), ("rfm", None)]
    assert changes[0]["segments"]["price"] == "unknown"


def test_the_others_are_not_touched() -> None:
    """An erase is of one customer."""
    log: list[Item] = [purchase("p", 0), purchase("p", 0, customer="c2"), erase("e", 1, customer="c2")]
    assert list(final(log, RULES)) == ["c1"]
