"""A machine whose clock is wrong, beside a Kafka and a Redis whose clocks are right."""

import json
import subprocess
from typing import Any, Final

import pytest

from tests.faults.installation import Installation, Make
from tests.faults.worker_process import WorkerProcess
from tests.support.command import PROGRAM
from tests.support.events import bought_now
from tests.support.health import Health
from tests.support.shifted_clock import wrong_clock
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

EVENTS: Final = 50
TWO_HOURS_S: Final = 7200


def purchases(first: int = 0) -> list[dict[str, Any]]:
    """Good events of as many customers, of this moment."""
    return [bought_now(first + number, f"c{number}") for number in range(EVENTS)]


def worker(installed: Installation, shift_s: float, port: int) -> WorkerProcess:
    """A worker on a machine whose clock is wrong."""
    with wrong_clock(shift_s):
        return installed.worker(http_port=port)


def offsets(health: Health) -> dict[tuple[str, ...], float]:
    """By server: how far the worker's clock is ahead of it."""
    return health.metrics().get("segflow_clock_offset_seconds", {})


def test_two_hours_behind_good_events_wait_and_none_is_a_dead_letter(installation: Make) -> None:
    """The worker is not ready and says why, everywhere; one with a right clock takes them all."""
    health = Health.at_free_port()
    installed = installation()
    installed.send(purchases())
    with worker(installed, -TWO_HOURS_S, health.port) as wrong:
        until(lambda: "behind that of Kafka and" in str(health.verdict("ready")), lambda: str(health.verdict("ready")))
        until(lambda: sum(health.metrics().get("segflow_lag_records", {}).values()) == EVENTS, "they do not wait")
        assert offsets(health).keys() == {("kafka",), ("redis",)}
        assert all(-TWO_HOURS_S - 5 < offset < 5 - TWO_HOURS_S for offset in offsets(health).values())
        assert not health.is_ready()
        wrong.says("silence is not published, and events ahead of this clock wait")
        assert "clocks" in failed(installed, -TWO_HOURS_S)
        assert not installed.read("dead_letters")
        assert not installed.read("changes")
        wrong.stop()
    with installed.worker(http_port=health.port) as right:
        until(health.is_ready, "not ready")
        installed.changes(2 * EVENTS)
        assert all(abs(offset) < 5 for offset in offsets(health).values())
        assert not installed.read("dead_letters")
        right.stop()


def failed(installed: Installation, shift_s: float) -> set[str]:
    """What doctor fails on, typed on a machine whose clock is wrong."""
    with wrong_clock(shift_s):
        done = subprocess.run(
            [*PROGRAM, "doctor", "--json", "--settings", str(installed.file)], capture_output=True, check=False
        )
    assert done.returncode == 1, done
    return {each["name"] for each in json.loads(done.stdout) if each["status"] == "FAIL"}


def test_ahead_of_the_servers_a_worker_tells_no_silence(installation: Make) -> None:
    """Forty minutes ahead, and the deadline in half an hour: on this machine it has passed, and it has not."""
    health = Health.at_free_port()
    installed = installation(clock="wall", lifecycle={"at_risk_after": "30m", "churned_after": "40d"})
    installed.send(purchases())
    with installed.worker() as right:
        installed.changes(2 * EVENTS)
        right.stop()
    with worker(installed, 40 * 60, health.port) as wrong:
        until(
            lambda: "ahead of that of Kafka and" in str(health.verdict("ready")), lambda: str(health.verdict("ready"))
        )
        until(lambda: health.verdict("ready").get("shards") == [0, 1], "not taken")
        until(lambda: len(health.metrics().get("segflow_timer_lag_seconds", {})) == installed.partitions, "not looked")
        assert all(late > 0 for late in health.metrics()["segflow_timer_lag_seconds"].values())
        installed.send(purchases(EVENTS))  # what happened goes on: it is not the clock that says so
        installed.journal(lambda entries: read(entries) == 2 * EVENTS)
        causes = {json.loads(each.value)["cause"]["kind"] for each in installed.read("changes")}
        assert causes == {"event"}
        wrong.stop()


def read(entries: list[dict[str, Any]]) -> int:
    """Purchases that the journal's commits have read."""
    latest = {each["partition"]: each["plan"]["purchases_to"] for each in entries}
    return sum(latest.values())
