"""What the oracle makes of an alias, held to examples worked out by hand from the contract."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.models import MODELS
from tests.oracle.rules import OracleRules
from tests.oracle.simulation import Change, Event, Shard, Sweep, final, simulate
from tests.support.by_hand import RULES, Item, day, event, feedback, moves, payment, purchase, refund, visit
from tests.support.histories import histories
from tests.support.trials import trials

# The others count days, of which those of long ago are forgotten: they count once for each of both.
EXACT = OracleRules(dimensions=tuple(each for each in MODELS if each not in {"churn", "clv"}))


def alias(event_id: str, number: float, customer: str, previous: str) -> Item:
    """Return on that day that the previous one is the customer."""
    return event("alias", event_id, day(number), customer=customer, previous_id=previous)


def of(customer: str, changes: list[Change]) -> list[Change]:
    """Return one customer's changes."""
    return [change for change in changes if change["customer_id"] == customer]


def test_both_hear_of_a_merge() -> None:
    """The visitor's labels go to null, the member has the orders of both; each with versions of their own."""
    log: list[Item] = [purchase("p", 0, "40", customer="visitor"), purchase("q", 1, "30", customer="member")]
    changes = simulate([*log, alias("a", 10, "member", "visitor")], RULES)
    assert moves(of("visitor", changes))[2:] == [
        ("2026-01-11", "lifecycle", "new", None, "merge"),
        ("2026-01-11", "rfm", "new", None, "merge"),
    ]
    assert moves(of("member", changes))[2:] == [
        ("2026-01-11", "lifecycle", "new", "active", "merge"),
        ("2026-01-11", "rfm", "new", "potential_loyalist", "merge"),
    ]
    assert of("member", changes)[-1]["facts"] == {
        "first_purchase_at": "2026-01-01T00:00:00Z",
        "last_purchase_at": "2026-01-02T00:00:00Z",
        "frequency": 2,
        "monetary": "70.00",
    }
    assert [c["version"] for c in of("visitor", changes)] == [1, 2, 3, 4]
    assert [c["version"] for c in of("member", changes)] == [1, 2, 3, 4]
    assert all(c["cause"] == {"kind": "merge"} for c in changes[4:])
    assert list(final([*log, alias("a", 10, "member", "visitor")], RULES)) == ["member"]


def test_silence_has_its_say_on_both_before_they_merge() -> None:
    """Both reach day 30 on their own; the merge of day 35 finds them promising."""
    log: list[Item] = [purchase("p", 0, customer="visitor"), purchase("q", 2, customer="member")]
    changes = simulate([*log, alias("a", 35, "member", "visitor")], RULES)
    for customer in ("visitor", "member"):
        assert [cause for *_, cause in moves(of(customer, changes))][2:4] == ["time", "merge"]


def test_a_merge_is_effective_where_either_was_concluded() -> None:
    """The visitor was seen on day 20, the alias is of day 10."""
    log: list[Item] = [purchase("p", 0, customer="member"), visit("v", 20, customer="visitor")]
    changes = simulate([*log, alias("a", 10, "member", "visitor")], RULES)
    assert {c["effective_at"] for c in changes if c["cause"]["kind"] == "merge"} == {"2026-01-21T00:00:00Z"}


def test_what_comes_under_the_previous_id_is_of_the_customer_it_became() -> None:
    """Repeats included: what either had is known."""
    log: list[Item] = [purchase("p", 0, customer="visitor"), purchase("q", 1, customer="member")]
    log += [alias("a", 10, "member", "visitor"), purchase("r", 11, customer="visitor")]
    assert final(log, RULES)["member"]["facts"]["frequency"] == 3
    log += [
        purchase("p", 0, customer="visitor"),
        purchase("p", 0, customer="member"),
        purchase("q", 1, customer="visitor"),
    ]
    assert final(log, RULES)["member"]["facts"]["frequency"] == 3
    assert list(final(log, RULES)) == ["member"]


def test_chains_are_followed_in_whatever_order_they_were_told() -> None:
    """A became b and b became c: everything is c's."""
    log: list[Item] = [purchase(each, 0, customer=each) for each in "abc"]
    one, two = alias("x", 1, "b", "a"), alias("y", 2, "c", "b")
    for order in ([one, two], [two, one]):
        end = final([*log, *order, purchase("later", 3, customer="a")], RULES)
        assert list(end) == ["c"]
        assert end["c"]["facts"]["frequency"] == 4


def test_cycles_and_second_aliases_merge_nothing() -> None:
    """The earlier wins: b is a already, becomes c no more, and a not b; nor does anybody become themselves."""
    log: list[Item] = [purchase(each, 0, customer=each) for each in "abc"]
    log.append(alias("x", 1, "a", "b"))
    for number, (customer, previous) in enumerate((("b", "a"), ("a", "b"), ("a", "a"), ("c", "b"))):
        more = [*log, alias(f"y{number}", 1, customer, previous)]
        assert list(final(more, RULES)) == ["a", "c"]
        assert simulate(more, RULES) == simulate(log, RULES)


def test_an_alias_of_somebody_unknown_redirects_what_comes() -> None:
    """Nothing is merged, so the alias is an event without facts: it makes the member a prospect."""
    log: list[Item] = [alias("a", 0, "member", "visitor")]
    assert moves(simulate(log, RULES)) == [("2026-01-01", "lifecycle", None, "prospect", "event")]
    assert list(final([*log, purchase("p", 1, customer="visitor")], RULES)) == ["member"]


def test_an_erase_forgets_whom_both_became_and_that_they_did() -> None:
    """Under either id; what is older stays out under both, and what comes later is of two customers again."""
    log: list[Item] = [purchase("p", 0, customer="visitor"), alias("a", 10, "member", "visitor")]
    for name in ("visitor", "member"):
        erased = [*log, event("erase", "e", day(20), customer=name)]
        assert final([*erased, *(purchase("q", 15, customer=each) for each in ("visitor", "member"))], RULES) == {}
        assert list(final([*erased, purchase("r", 25, customer="visitor")], RULES)) == ["visitor"]
    changes = of("visitor", simulate([*erased, purchase("r", 25, customer="visitor")], RULES))
    assert [(c["version"], c["previous"], c["current"]) for c in changes[2:]] == [
        (3, "new", None),
        (4, "new", None),
        (5, None, "new"),
        (6, None, "new"),
    ]


@given(log=histories(most=16, varied=True), of_them=st.lists(st.booleans(), min_size=16, max_size=16))
@trials(15)
def test_a_merge_gives_what_one_customer_would_have_been(log: list[dict[str, Any]], of_them: list[bool]) -> None:
    """Whatever happened to both, in all dimensions but two: labels and facts are those of all events together."""
    own = ({"event_id": f"n{number}", "order_id": f"o{number}", "invoice_id": "i"} for number in range(len(log)))
    told = [body | ids for body, ids in zip(log, own, strict=True)]
    apart = [body | {"customer_id": "one" if one else "other"} for body, one in zip(told, of_them, strict=False)]
    merge = {"type": "alias", "event_id": "m", "customer_id": "one", "previous_id": "other"}
    latest = max(body["occurred_at"] for body in log)
    end = Sweep(day(1000))
    merged = final([*map(read, apart), read(merge | {"occurred_at": latest}), end], EXACT)["one"]
    together = final([*(read(body | {"customer_id": "one"}) for body in told), end], EXACT)["one"]
    assert merged == together


def read(body: dict[str, Any]) -> Event:
    """Return an event with its numbers as decimals."""
    return Event(json.loads(json.dumps(body), parse_float=Decimal))


def test_days_and_invoices_known_to_both_count_once() -> None:
    """One day in both masks, one invoice settled under both ids, once late; one open here and settled there."""
    log: list[Item] = []
    for number, name in enumerate(("one", "other")):
        log += [purchase(f"p{number}", 0, customer=name), purchase(f"q{number}", 1 + number, customer=name)]
        log.append(payment(f"s{number}", number, "both", due=5, paid=5 + number, customer=name))
    log += [payment("open", 3, "x", due=5, customer="one"), payment("paid", 2, "x", due=5, paid=4, customer="other")]
    log += [feedback("f", 1, 9, customer="other"), refund("r", 2, customer="other"), alias("m", 9, "one", "other")]
    shard = Shard(replace(EXACT, dimensions=("payment", "satisfaction")))
    for item in log:
        shard.step(item)
    facts = shard.customers["one"].facts
    assert (facts.days.count, facts.invoices.settled, facts.invoices.late, facts.invoices.due) == (3, 2, 1, {})
    assert shard.customers["one"].labels == {"payment": "slow", "satisfaction": "promoter"}
