"""Payment: who owes, who pays late, whatever the order of what is heard; and what is beyond the invoices kept."""

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.advance.erasures import start_labels
from segflow.engine.commit.execute import CommitResult
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.file_run import MemoryShard
from segflow.schemas.settings import Settings
from segflow.segments.instant import to_us
from segflow.segments.models.payment import LATE_INVOICES, NEXT_DUE_US, SETTLED_INVOICES
from segflow.segments.rules import from_settings
from segflow.state import record
from tests.support.agreement import parsed
from tests.support.histories import written
from tests.support.trials import trials

PRODUCT = Settings(dimensions=("payment",))
RULES = from_settings(PRODUCT)
FIRST = datetime(2024, 1, 1, tzinfo=UTC)

Event = dict[str, Any]


def day(number: float) -> str:
    """So many days after FIRST, as text."""
    return written(FIRST + timedelta(days=number))


def invoice(at: float, name: str, due: float, paid: float | None = None) -> Event:
    """What is heard of an invoice on a day."""
    return {
        "event_id": f"{at} {name} {due} {paid}",
        "type": "payment",
        "customer_id": "c",
        "occurred_at": day(at),
        "invoice_id": name,
        "due_at": day(due),
        "paid_at": None if paid is None else day(paid),
        "amount": "10",
    }


def shard() -> MemoryShard:
    """One that keeps payment alone."""
    return MemoryShard(PRODUCT, RuleVersions(RULES))


def fed(into: MemoryShard, log: list[Event]) -> CommitResult:
    """What comes of the log in one batch."""
    chunk = Decoder(PRODUCT, None).decode([json.dumps(event).encode() for event in log], None, range(len(log)))
    assert not chunk.unusable
    return into.feed(chunk, wall_us=0)


def course(log: list[Event]) -> list[tuple[str, str, str]]:
    """The customer's labels, and silence's to 2040."""
    mine = shard()
    results = [fed(mine, log), *mine.sweep(to_us(datetime(2040, 1, 1, tzinfo=UTC)), wall_us=0)]
    changes = parsed(message.value for result in results for message in result.changes)
    assert changes[0]["previous"] == "unknown"
    assert all(one["current"] == next_one["previous"] for one, next_one in pairwise(changes))
    return [(change["effective_at"], change["current"], change["cause"]["kind"]) for change in changes]


def facts(log: list[Event]) -> tuple[int, int, int]:
    """Settled, late, and the first due date of open invoices after the log; and that nothing was refused."""
    mine = shard()
    assert fed(mine, log).dead == []
    customers = record.decode(["c"], mine.store.load(["c"]), start_labels(RULES), 0, RULES.names)
    found = customers.facts(slice(None))
    return int(found[SETTLED_INVOICES][0]), int(found[LATE_INVOICES][0]), int(found[NEXT_DUE_US][0])


def test_silence_makes_overdue_and_a_payment_ends_it() -> None:
    """Good until the moment an invoice is due; slow with one of one paid late, good again with one late of four."""
    log = [invoice(0, "a", 30), invoice(40, "a", 30, 40)]
    log += [invoice(50 + place, name, 90, 50 + place) for place, name in enumerate("bcd")]
    assert course(log) == [
        (day(0), "good", "event"),
        (day(30), "overdue", "time"),
        (day(40), "slow", "event"),
        (day(52), "good", "event"),  # one of four; of three it is more than 30 %
    ]
    assert course(log[:1])[-1] == (day(30), "overdue", "time")


def test_paid_when_it_is_due_is_in_time() -> None:
    """A microsecond later is not."""
    assert course([invoice(0, "a", 30, 30)]) == [(day(0), "good", "event")]
    assert course([invoice(0, "a", 30, 30 + 1 / 86_400_000_000)]) == [(day(0), "slow", "event")]


def test_an_invoice_that_was_paid_is_not_opened_again_by_what_comes_late() -> None:
    """Neither by what happened before the payment, nor by what is said after it."""
    for opening in (invoice(0, "a", 30), invoice(35, "a", 30)):
        assert course([invoice(20, "a", 30, 20), opening]) == [(day(20), "good", "event")]


def test_the_latest_word_on_an_open_invoice_says_when_it_is_due() -> None:
    """A date put off moves the alarm; an older word that comes late does not move it back."""
    assert course([invoice(0, "a", 30), invoice(5, "a", 60)])[-1] == (day(60), "overdue", "time")
    assert course([invoice(5, "a", 60), invoice(0, "a", 30)])[-1] == (day(60), "overdue", "time")
    assert course([invoice(5, "a", 60), invoice(5, "a", 50)])[-1] == (day(50), "overdue", "time")


def test_a_share_of_thirty_in_a_hundred_is_still_good() -> None:
    """Slow is above it: 3 late ones of 10 are good, 3 of 9 are slow."""
    late = [invoice(place, f"late{place}", 30, 31) for place in range(3)]
    prompt = [invoice(10 + place, f"prompt{place}", 30, 29) for place in range(7)]
    assert course([*late, *prompt])[-2:] == [(day(0), "slow", "event"), (day(16), "good", "event")]


words = st.builds(
    invoice,
    st.integers(0, 20),
    st.sampled_from("abcdefgh"),
    st.integers(5, 25),
    st.none() | st.integers(5, 25),
)


def by_hand(log: list[Event]) -> tuple[int, int, int]:
    """The facts from the definition: all that was heard of each invoice, and what of it counts."""
    settled = late = 0
    due_us = [2**63 - 1]
    for name in {event["invoice_id"] for event in log}:
        mine = [event for event in log if event["invoice_id"] == name]
        paid = [event for event in mine if event["paid_at"]]
        if paid:
            settled += 1
            last = max(event["occurred_at"] for event in paid)
            late += any(event["paid_at"] > event["due_at"] for event in paid if event["occurred_at"] == last)
        else:
            last = max(event["occurred_at"] for event in mine)
            due = min(event["due_at"] for event in mine if event["occurred_at"] == last)
            due_us.append(to_us(datetime.fromisoformat(due)))
    return settled, late, min(due_us)


@given(log=st.lists(words, min_size=1, max_size=16, unique_by=lambda event: event["event_id"]), data=st.data())
@trials(80)
def test_the_order_in_which_is_heard_of_invoices_does_not_matter(log: list[Event], data: st.DataObject) -> None:
    """Within the bounds the facts are those of the definition, and the bytes kept are the same."""
    other = data.draw(st.permutations(log))
    assert facts(log) == facts(other) == by_hand(log)
    kept = []
    for order in (log, other):
        mine = shard()
        fed(mine, order)
        customers = record.decode(["c"], mine.store.load(["c"]), start_labels(RULES), 0)
        kept.append([entries.tobytes() for entries in customers.tails.values()])
    assert kept[0] == kept[1]


def test_the_ninth_open_invoice_is_a_dead_letter_that_can_be_sent_again() -> None:
    """It changes nothing and is no repeat later: with another one paid there is room for it."""
    mine = shard()
    nine = [invoice(0, f"i{number}", 30) for number in range(9)]
    result = fed(mine, nine)
    (letter,) = result.dead
    content = json.loads(letter.value or b"")
    assert (content["kind"], content["offset"], result.events, result.duplicates) == ("too_many_invoices", 8, 8, 0)
    assert json.loads(b64decode(content["value"])) == nine[8]
    assert result.dead_kinds == ["too_many_invoices"]
    assert fed(mine, [invoice(5, "i3", 30, 5)]).dead == []
    again = fed(mine, [nine[8]])
    assert (again.dead, again.duplicates, again.events) == ([], 0, 1)


def test_what_is_open_again_about_a_forgotten_invoice_is_refused() -> None:
    """16 that were settled later are remembered; the totals count all; a word from before them may be about any."""
    mine = shard()
    for number in range(20):
        assert fed(mine, [invoice(number, f"i{number}", 30, 31)]).dead == []
    assert fed(mine, [invoice(3.5, "i3", 30)]).dead_kinds == ["too_many_invoices"]
    assert fed(mine, [invoice(4.5, "i10", 30)]).dead == []  # it is remembered: nothing to do
    assert fed(mine, [invoice(4.5, "new", 30)]).dead == []  # later than what was forgotten
    assert fed(mine, [invoice(1.5, "old", 30, 29)]).dead == []  # a payment always counts
    customers = record.decode(["c"], mine.store.load(["c"]), start_labels(RULES), 0)
    held = customers.facts(slice(None))
    assert (int(held[SETTLED_INVOICES][0]), int(held[LATE_INVOICES][0])) == (21, 20)
    assert customers.tails["settled_invoices"]["us"][0, 0] == to_us(FIRST + timedelta(days=4))


@given(
    log=st.lists(words, min_size=1, max_size=40, unique_by=lambda event: event["event_id"]),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
@trials(40)
def test_batches_are_invisible_to_invoices(log: list[Event], sizes: list[int]) -> None:
    """Changes, dead letters and the record are the same however the log is cut."""
    whole, cut = shard(), shard()
    once = fed(whole, log)
    parts = []
    start = turn = 0
    while start < len(log):
        parts.append(fed(cut, log[start : start + sizes[turn % len(sizes)]]))
        start, turn = start + sizes[turn % len(sizes)], turn + 1
    assert [json.loads(m.value or b"")["change_id"] for m in once.changes] == [
        json.loads(m.value or b"")["change_id"] for part in parts for m in part.changes
    ]
    assert len(once.dead) == sum(len(part.dead) for part in parts)
    values = [each.store.load(["c"]) for each in (whole, cut)]
    decoded = [record.decode(["c"], value, start_labels(RULES), 0) for value in values]
    for each in decoded:
        each.fixed["timer_us"] = 0
    assert record.encode(decoded[0]) == record.encode(decoded[1])
