"""`mode` is of the change: whoever acts on live changes never writes to somebody about years-old silence."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.columns.events import none
from segflow.engine.commit.execute import CommitResult
from segflow.engine.commit.plan import plan_for
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.file_run import FileRun, MemoryShard
from segflow.schemas.settings import Settings
from segflow.segments.instant import to_us
from segflow.segments.rules import from_settings
from segflow.state.head import Head

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def purchase(number: int, customer_id: str, before: timedelta) -> dict[str, Any]:
    """A purchase so long before NOW."""
    return {
        "type": "purchase",
        "event_id": f"e{number}",
        "customer_id": customer_id,
        "order_id": f"o{number}",
        "amount": "10.00",
        "occurred_at": (NOW - before).isoformat(),
    }


def outcomes(events: list[dict[str, Any]], *, sweep: bool = True, **settings: Any) -> list[CommitResult]:
    """What one batch of these events comes to at NOW, and the sweep after it."""
    run = FileRun(Settings.model_validate(settings), wall_us=to_us(NOW))
    done = list(run.feed([json.dumps(event).encode() for event in events], 1))
    return done + (list(run.finish(to_us(NOW))) if sweep else [])


def changes(done: list[CommitResult]) -> list[dict[str, Any]]:
    """The changes, decoded; their headers say the same mode."""
    found = []
    for message in (message for outcome in done for message in outcome.changes):
        assert message.value is not None
        change: dict[str, Any] = json.loads(message.value)
        assert dict(message.headers)["mode"].decode() == change["mode"]
        found.append(change)
    return found


def test_one_young_record_makes_no_old_change_of_its_batch_live() -> None:
    """A first import with one event of today: what was true for years stays history, by event and by silence."""
    events = [purchase(number, f"c{number}", (400 + number) * DAY) for number in range(50)]
    found = changes(outcomes([*events, purchase(99, "young", timedelta(minutes=1))]))
    live = [(change["customer_id"], change["cause"]["kind"]) for change in found if change["mode"] == "live"]
    assert set(live) == {("young", "event")}
    assert {change["cause"]["kind"] for change in found if change["mode"] == "backfill"} == {"event", "time"}


def test_a_late_event_is_history_though_what_it_changes_is_concluded_now() -> None:
    """`effective_at` of a late change is of today; the purchase that caused it is two years old."""
    events = [purchase(number, "c", timedelta(minutes=9 - number)) for number in range(4)]
    found = changes(outcomes([*events, purchase(9, "c", 730 * DAY)], sweep=False))
    assert [change["mode"] for change in found if change["cause"]["kind"] == "late"] == ["backfill"]
    assert {change["mode"] for change in found if change["cause"]["kind"] == "event"} == {"live"}


def test_with_the_clock_of_events_everything_is_history() -> None:
    """Also what happened a minute ago."""
    assert {change["mode"] for change in changes(outcomes([purchase(1, "c", timedelta()) ], clock="event"))} == {
        "backfill"
    }  # fmt: skip


ages = st.one_of(
    st.timedeltas(timedelta(), timedelta(hours=30)),
    st.timedeltas(timedelta(), 800 * DAY),
    st.sampled_from([timedelta(hours=24), timedelta(hours=24, microseconds=1), 60 * DAY, 61 * DAY]),
)


@given(st.lists(st.tuples(st.sampled_from("abc"), ages), min_size=1, max_size=20), st.integers(1, 40))
def test_a_change_is_live_where_it_and_its_cause_are_young_enough(
    drawn: list[tuple[str, timedelta]], hours: int
) -> None:
    """Whatever else is in the batch; the bound is a setting, and belongs to live."""
    events = [purchase(number, *each) for number, each in enumerate(drawn)]
    occurred = {event["event_id"]: datetime.fromisoformat(event["occurred_at"]) for event in events}
    for change in changes(outcomes(events, worker={"live_within": f"{hours}h"})):
        since = datetime.fromisoformat(change["effective_at"])
        since = min(since, occurred.get(change["cause"].get("event_id"), since))
        assert change["mode"] == ("live" if since >= NOW - timedelta(hours=hours) else "backfill")


def test_a_worker_s_alerts_are_live_changes_and_a_file_s_are_all() -> None:
    """Nobody is called about silence of years ago; who replays a history, or has only history, sees its alerts."""
    plan = plan_for(Settings(), Head(), purchases_to=2, interactions_to=0, wall_us=to_us(NOW), rules=0)
    assert not plan.every_alert
    past = plan_for(Settings(clock="event"), Head(), purchases_to=2, interactions_to=0, wall_us=to_us(NOW), rules=0)
    assert past.every_alert
    events = [purchase(1, "old", 400 * DAY), purchase(2, "lately", 60 * DAY + timedelta(minutes=1))]
    settings = Settings.model_validate({"alerts": {"into": {"lifecycle": ["at_risk"]}}})
    for every, expected in ((False, {b"lately"}), (True, {b"lately", b"old"})):
        shard = MemoryShard(settings, RuleVersions(from_settings(settings)))
        chunk = Decoder(settings, None).decode([json.dumps(event).encode() for event in events], None, range(2))
        shard.feed(chunk, to_us(NOW))
        swept = msgspec.structs.replace(
            plan, sequence=2, purchases_to=2, sweep_us=to_us(NOW), sweep_limit=9, every_alert=every
        )
        outcome = shard.executor.execute(swept, none(), none(), shard.head, shard.store)
        assert {message.key for message in outcome.alerts} == expected
