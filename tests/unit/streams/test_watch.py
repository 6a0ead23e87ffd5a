"""What tells that a worker hangs, and what keeps its waiting quiet: bookkeeping, backoff, log, pages, metrics."""

import json
import logging
import threading
from collections import Counter as TallyOf
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from segflow.engine.file_run import FileRun
from segflow.schemas.settings import Settings
from segflow.streams.health.clocks import Clocks
from segflow.streams.health.log_rate_limiter import REASONS, SHOWN, WINDOW_S, LogRateLimiter
from segflow.streams.health.metrics import DEAD_KINDS, Metrics, Standing
from segflow.streams.health.probe import Probe, Pulse
from segflow.streams.health.recovery_look import RecoveryLook
from segflow.streams.health.redis_look import RedisLook
from segflow.streams.health.stalls import Reach, Stalls
from segflow.streams.health.watch import Watch
from segflow.streams.runtime.backoff import Backoff
from tests.support.agreement import parsed
from tests.support.events import event
from tests.support.histories import START, written
from tests.support.until import PATIENCE_S, until

A, B = ("purchases", 0), ("purchases", 1)


def test_a_partition_that_stands_still_while_it_is_behind_is_told_with_its_time() -> None:
    """Time counts from the first look at which it was where it still is."""
    stalls = Stalls()
    assert stalls.look({A: Reach(5, 5), B: Reach(1, 1)}, 10.0) == {A: 0.0, B: 0.0}
    assert stalls.look({A: Reach(5, 5), B: Reach(2, 1)}, 17.0) == {A: 7.0, B: 0.0}


def test_a_partition_that_was_not_behind_in_between_starts_anew() -> None:
    """Held back, caught up, let go of, or Kafka away: none of these is a hang."""
    stalls = Stalls()
    stalls.look({A: Reach(5, 5)}, 0.0)
    stalls.look({}, 50.0)
    assert stalls.look({A: Reach(5, 5)}, 60.0) == {A: 0.0}


@given(st.floats(0.01, 5), st.floats(1, 10), st.integers(1, 40))
def test_pauses_grow_to_their_bound_and_no_further(first_s: float, times: float, count: int) -> None:
    """Each is between half of its step and the step; the step doubles up to the longest."""
    backoff = Backoff(first_s, first_s * times)
    step_s = first_s
    for _ in range(count):
        assert step_s / 2 <= backoff.next_s() <= step_s
        step_s = min(first_s * times, 2 * step_s)
    backoff.reset()
    assert backoff.next_s() <= first_s


def said(times: int, *, level: int = logging.WARNING, shown: Callable[[logging.LogRecord], bool]) -> list[str]:
    """What gets through of one message said `times` times."""
    records = [
        logging.LogRecord("segflow", level, __file__, 1, "shard %d failed", (number,), None) for number in range(times)
    ]
    return [record.getMessage() for record in records if shown(record)]


def test_of_a_message_said_over_and_over_only_the_first_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a minute later one says how many were left out."""
    now_s = 0.0
    monkeypatch.setattr("segflow.streams.health.log_rate_limiter.time.monotonic", lambda: now_s)
    limiter = LogRateLimiter()
    assert said(100, shown=limiter.filter) == [f"shard {number} failed" for number in range(SHOWN)]
    now_s = WINDOW_S
    assert said(1, shown=limiter.filter) == [f"shard 0 failed (and {100 - SHOWN} like it since)"]
    assert len(said(100, level=logging.INFO, shown=limiter.filter)) == 100


def test_a_message_with_another_reason_is_shown_however_often_it_was_said_before() -> None:
    """An outage that turns into another is not hidden by the first; numbers and addresses make no other reason."""
    limiter = LogRateLimiter()

    def shown(shard: int, why: object) -> bool:
        text = "shard %d: %s; acquiring it again"
        return limiter.filter(logging.LogRecord("segflow", logging.WARNING, __file__, 1, text, (shard, why), None))

    full = [shown(number, f"Redis at 10.0.0.{number}:6379 is full") for number in range(100)]
    assert full.count(True) == SHOWN
    assert shown(0, "Redis holds nothing of shard 0 any more")
    assert shown(0, ConnectionError("Error 111 connecting to 10.0.0.1:6379. Connection refused."))
    assert not shown(0, "Redis at 10.0.0.1:6379 is full")


@pytest.mark.slow
def test_reasons_without_end_do_not_flood_the_log() -> None:
    """A text that differs each time, such as a customer's name, is shown for the first REASONS of them."""
    limiter = LogRateLimiter()
    texts = ["customer " + "x" * number for number in range(1000)]
    records = [logging.LogRecord("segflow", logging.WARNING, __file__, 1, "%s failed", (each,), None) for each in texts]
    assert sum(map(limiter.filter, records)) == REASONS


def test_a_probe_keeps_the_last_answer_and_says_why_there_is_none() -> None:
    """It asks again and again, and has an answer again when there is one."""
    broken = threading.Event()
    broken.set()

    def ask() -> int:
        if broken.is_set():
            raise ConnectionError("gone")
        return 7

    probe = Probe("Kafka", ask, 0.01)
    assert probe.problem == "not asked yet"
    probe.start()
    until(lambda: probe.problem == "gone", "not asked")
    assert (probe.answer, probe.up()) == (None, 0.0)
    broken.clear()
    until(lambda: not probe.problem, "not answered")
    assert (probe.answer, probe.up()) == (7, 1.0)
    broken.set()
    until(lambda: bool(probe.problem), "not broken")
    assert probe.answer == 7
    probe.end()
    probe.join(PATIENCE_S)
    assert not probe.is_alive()


def test_a_pulse_grows_while_the_loop_leaves_things_undone() -> None:
    """What the loop was given first counts, however often it is asked."""
    given_to_loop: list[Callable[[], None]] = []
    pulse = Pulse(given_to_loop.append)
    assert pulse.idle_s == 0
    pulse.ask()
    pulse.ask()
    assert len(given_to_loop) == 1
    until(lambda: pulse.idle_s > 0.02, "not idle", 5)
    given_to_loop[0]()
    assert pulse.idle_s == 0


def test_the_watchdog_sees_a_hang_only_where_kafka_has_more_and_answers() -> None:
    """Behind Kafka's end and standing still; at the end, or with Kafka silent, it is none."""
    settings = Settings.model_validate({"worker": {"watchdog_after": "1us"}})
    reaches = {A: Reach(5, 5)}
    look = RedisLook(settings, list, Clocks(30))
    watch = Watch(
        settings,
        partitions=list,
        redis=look,
        clocks=Clocks(30),
        recovery=RecoveryLook(settings, (), list),
        reaches=lambda: reaches,
        fail=lambda: None,
    )
    watch.kafka.answer = {A: 9}
    assert [watch._hangs(), watch._hangs()] == [None, None], "Kafka has not answered yet"
    watch.kafka._problem = ""
    assert watch._hangs() is None
    why = watch._hangs()
    assert why is not None
    assert "purchases, partition 0, ends at 9" in why
    assert why.endswith("beyond 5")
    reaches = {A: Reach(9, 9)}
    assert [watch._hangs(), watch._hangs()] == [None, None]


def standing(partition: int) -> Standing:
    """A shard of which everything is known."""
    return Standing(
        partition=partition,
        acquired=True,
        parked="",
        sequence=4,
        clock_s=1.5,
        freshness_s=0.6,
        timer_lag_s=0.0,
        recoverable=True,
        uncommitted_s=0.0,
        lags=(7, None, 0),
    )


def test_counters_with_labels_are_there_from_the_start() -> None:
    """An alert on an increase sees none where the counter first appears with its first count."""
    text = generate_latest(Metrics().registry).decode()
    for kind in DEAD_KINDS:
        assert f'segflow_dead_letters_total{{reason="{kind}"}} 0.0' in text
    for by in ("kafka", "redis"):
        assert f'segflow_fenced_total{{by="{by}"}} 0.0' in text


def test_a_freed_shard_s_gauges_are_gone() -> None:
    """A scrape shows the shards held at that moment, and of each what is known."""
    metrics = Metrics()
    held = [standing(0), standing(3)]
    metrics.shards.standings = lambda: held
    value = metrics.registry.get_sample_value
    assert value("segflow_sequence", {"shard": "3"}) == 4
    assert value("segflow_lag_records", {"shard": "3", "input": "purchases"}) == 7
    assert value("segflow_lag_records", {"shard": "3", "input": "interactions"}) is None
    held.pop()
    assert value("segflow_sequence", {"shard": "3"}) is None
    assert value("segflow_sequence", {"shard": "0"}) == 4


def test_changes_are_counted_by_dimension_label_and_cause() -> None:
    """As many of each kind as the published changes themselves say; also for a commit without any."""
    metrics, run = Metrics(), FileRun(Settings())
    lines = [
        json.dumps(
            {
                "type": "purchase",
                "event_id": f"p{number}",
                "order_id": "o",
                "customer_id": f"c{number % 7}",
                "occurred_at": written(START + timedelta(days=40 * number)),
                "amount": "60.00",
            }
        ).encode()
        for number in range(30)
    ]
    results = [*run.feed([*lines, b"{"], 1), *run.finish()]
    for result in results:
        metrics.committed(result, 1, 0.1)
    published = parsed(message.value for result in results for message in result.changes)
    kinds = TallyOf((change["dimension"], change["current"], change["cause"]["kind"]) for change in published)
    assert len(kinds) > 5
    counted = {
        tuple(sample.labels.values()): sample.value
        for family in metrics.changes.collect()
        for sample in family.samples
        if sample.name == "segflow_changes_total"
    }
    assert counted == dict(kinds)
    assert metrics.registry.get_sample_value("segflow_events_total") == 30
    assert metrics.registry.get_sample_value("segflow_dead_letters_total", {"reason": "not_json"}) == 1
    assert metrics.registry.get_sample_value("segflow_batch_records_count") == len(results)


def test_the_most_events_of_one_customer_in_a_commit_are_measured() -> None:
    """They are applied one after the other, so a hot customer costs more than many others."""
    metrics, run = Metrics(), FileRun(Settings())
    events = [event(number, number, customer="hot" if number % 2 else f"c{number}") for number in range(10)]
    for result in run.feed([json.dumps(each).encode() for each in events], 10):
        metrics.committed(result, 10, 0.1)
    assert metrics.registry.get_sample_value("segflow_longest_run_events_sum") == 5
