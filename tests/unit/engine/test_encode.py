"""Changes as bytes: plain JSON of the contract's shape, ids that are hashes of the content, and the control group."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.columns.messages import Message
from segflow.engine.commit.execute import CommitResult
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.file_run import MemoryShard
from segflow.schemas.change import Change, Current
from segflow.schemas.settings import Settings
from segflow.segments.instant import LATEST_US, to_text
from segflow.segments.models.lifecycle import Lifecycle
from segflow.segments.rules import Rules, from_settings
from tests.support.agreement import content, parsed
from tests.support.histories import histories
from tests.support.trials import trials

odd_ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12) | st.sampled_from(
    [
        '"',
        "\\",
        "\\u0041",
        '","x":"',
        "\x00",
        "\n\r\t\x08\x0c\x1f",
        "\x7f\x80\x9f",
        "\u2028\u2029",
        "\ufeff",
        "😀é",
        "</script>",
    ]
)


def results(
    log: list[dict[str, Any]],
    product: Settings,
    rules: Rules | None = None,
    wall_us: int = 0,
    until_us: int = LATEST_US,
) -> Iterator[CommitResult]:
    """What a shard makes of the log, swept to the end of all days."""
    shard = MemoryShard(product, RuleVersions(rules or from_settings(product)))
    chunk = Decoder(product, None).decode([json.dumps(body).encode() for body in log], None, range(len(log)))
    assert not chunk.unusable
    yield shard.feed(chunk, wall_us)
    yield from shard.sweep(until_us, wall_us)


def changes(*arguments: Any, **options: Any) -> list[dict[str, Any]]:
    """The changes of `results`, parsed."""
    return parsed(message.value for result in results(*arguments, **options) for message in result.changes)


def plainly(message: Message) -> bytes:
    """The message's content as Python's own encoder writes it."""
    assert message.value is not None
    return json.dumps(json.loads(message.value), ensure_ascii=False, separators=(",", ":")).encode()


def renamed(log: list[dict[str, Any]], names: list[str], event_names: list[str]) -> list[dict[str, Any]]:
    """The log with other ids; different ones stay different."""
    old = sorted({body["customer_id"] for body in log})
    return [
        body
        | {
            "customer_id": f"{names[old.index(body['customer_id']) % len(names)]}{old.index(body['customer_id'])}",
            "event_id": f"{event_names[int(body['event_id'][1:]) % len(event_names)]}{body['event_id']}",
        }
        for body in log
    ]


@given(
    log=histories(most=15),
    names=st.lists(odd_ids, min_size=1, max_size=3),
    event_names=st.lists(odd_ids, min_size=1, max_size=3),
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
)
@trials(150)
def test_everything_written_is_the_json_that_python_would_write(
    log: list[dict[str, Any]], names: list[str], event_names: list[str], currency: str
) -> None:
    """Byte for byte, of the contract's shape, with the ids as they came in, whatever is in them."""
    log = renamed(log, names, event_names)
    customers = {body["customer_id"] for body in log}
    for result in results(log, Settings(currency=currency, holdout_share=0.5)):
        for message in result.changes:
            assert message.value == plainly(message)
            change = Change.model_validate_json(message.value)
            assert change.customer_id in customers
            assert message.key == change.customer_id.encode()
            assert (change.cause.event_id is None) == (change.cause.kind == "time")
            assert change.cause.event_id in {None, *(body["event_id"] for body in log)}
            headers = dict(message.headers)
            assert headers["ce_id"] == change.change_id.encode()
            assert headers["ce_time"].decode() == json.loads(message.value)["effective_at"]
            assert headers["dimension"] == change.dimension.encode()
            assert headers["previous"] == (change.previous or "null").encode()
            assert headers["current"] == (change.current or "null").encode()
            assert headers["mode"] == change.mode.encode()
        for message in result.current:
            assert message.value == plainly(message)
            assert message.key == Current.model_validate_json(message.value).customer_id.encode()


@given(log=histories(most=20))
@trials(100)
def test_current_segments_are_those_of_the_customers_last_change(log: list[dict[str, Any]]) -> None:
    """One record a customer that changed, with the labels, facts, version and forecast of the last change."""
    for result in results(log, Settings()):
        last = {change["customer_id"]: change for change in parsed(message.value for message in result.changes)}
        now = parsed(message.value for message in result.current)
        assert sorted(each["customer_id"] for each in now) == sorted(last)
        for each in now:
            change = last[each["customer_id"]]
            for name in ("segments", "facts", "next", "version", "currency", "definition", "cuts", "holdout", "spec"):
                assert each[name] == change[name]
            assert each["since"][change["dimension"]] == change["effective_at"]


@given(log=histories(most=25))
@trials(100)
def test_a_customers_changes_are_a_chain(log: list[dict[str, Any]]) -> None:
    """Versions count without gaps, and each change starts where the one before it in its dimension ended."""
    held: dict[tuple[str, str], tuple[str | None, str | None]] = {}
    versions: dict[str, int] = {}
    for change in changes(log, Settings()):
        who = change["customer_id"]
        versions[who] = versions.get(who, 0) + 1
        assert change["version"] == versions[who]
        start = (None if change["dimension"] == "lifecycle" else "none", None)
        place = (who, change["dimension"])
        assert (change["previous"], change["previous_since"]) == held.get(place, start)
        assert change["previous"] != change["current"] == change["segments"][change["dimension"]]
        held[place] = (change["current"], change["effective_at"])


def event(**fields: Any) -> dict[str, Any]:
    """A purchase, but for the fields."""
    body = {
        "type": "purchase",
        "event_id": "e1",
        "customer_id": "c1",
        "occurred_at": "2024-01-01T00:00:00Z",
        "order_id": "o",
        "amount": 30,
    }
    return body | fields


def test_the_id_of_a_change_differs_with_every_field_that_may_not_differ() -> None:
    """One id for one content, over many runs that each differ in something."""
    plain = Settings()
    rules = from_settings(plain)
    runs = [
        changes([event()], plain),
        changes([event(customer_id="c2")], plain),
        changes([event(event_id="e2")], plain),
        changes([event(occurred_at="2024-01-01T00:00:00.000001Z")], plain),
        changes([event(amount=31)], plain),
        changes([event(amount=60)], plain),
        changes([event(), event(event_id="e0", occurred_at="2023-01-01T00:00:00Z")], plain),
        changes([event(), event(event_id="e3", occurred_at="2024-02-01T00:00:00Z")], plain),
        changes([event()], Settings(currency="USD")),
        changes([event()], Settings(holdout_share=1.0)),
        changes([event()], Settings(dimensions=("rfm",))),
        changes([event()], Settings(dimensions=("rfm", "lifecycle"))),
        changes([event()], Settings(lifecycle=Lifecycle(churned_after=timedelta(days=90)))),
        changes([event()], plain, from_settings(plain, definition=3)),
        changes([event()], plain, rules.with_cuts(replace(rules.cuts, version=4))),
    ]
    content_of: dict[str, str] = {}
    id_of: dict[str, str] = {}
    for change in (change for run in runs for change in run):
        said = json.dumps(content(change))
        assert content_of.setdefault(change["change_id"], said) == said
        assert id_of.setdefault(said, change["change_id"]) == change["change_id"]
    fields = {name: {json.dumps(change[name]) for run in runs for change in run} for name in runs[0][0]}
    fixed = {"spec", "detected_at", "mode"}  # all others did differ somewhere
    assert {name for name, values in fields.items() if len(values) < 2} == fixed


def test_the_id_of_a_change_is_the_same_whenever_and_wherever_it_is_found() -> None:
    """Neither the wall clock nor the position nor the mode is in it."""
    log = [event(), event(event_id="e2", occurred_at="2024-03-01T00:00:00Z")]
    one = changes(log, Settings(), wall_us=5)
    noise = [event(event_id=f"n{number}", customer_id="c9") for number in range(3)]
    other = [change for change in changes(noise + log, Settings(), wall_us=7) if change["customer_id"] == "c1"]
    assert [change["change_id"] for change in one] == [change["change_id"] for change in other]
    assert one[0]["detected_at"] != other[0]["detected_at"]
    assert one[0]["position"] != other[0]["position"]
    assert one[0]["detected_at"] == to_text(5)


def held_out(share: float, count: int = 4000) -> set[str]:
    """Who of that many customers is in the control group."""
    log = [event(event_id="e", customer_id=f"c{number}") for number in range(count)]
    found = changes(log, Settings(holdout_share=share, dimensions=("rfm",)), until_us=0)
    assert len(found) == count
    return {change["customer_id"] for change in found if change["holdout"]}


def test_the_control_group_is_a_fixed_share_of_customers() -> None:
    """Nobody, everybody, about the share; the same ones always, and a larger share only adds to them."""
    assert held_out(0.0) == set()
    assert len(held_out(1.0)) == 4000
    tenth, half = held_out(0.1), held_out(0.5)
    assert 300 < len(tenth) < 500
    assert 1850 < len(half) < 2150
    assert tenth < half
    assert held_out(0.1, 100) == {each for each in tenth if int(each[1:]) < 100}
