"""The alert rules under Prometheus' own tool: quiet on a healthy system, and each fires on its sign."""

import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.monitoring import ALERTS, CONFIG, program, rules

MINUTES: Final = 120
WORKER: Final = 'job="segflow",instance="w:8080"'
Series = dict[str, str | None]


def of(name: str, **labels: str) -> str:
    """A series of the one worker there is."""
    more = "".join(f',{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{WORKER}{more}}}"


def steady(value: float) -> str:
    """The same at each minute."""
    return f"{value}x{MINUTES}"


def growing(by: float) -> str:
    """More by so much each minute."""
    return f"0+{by}x{MINUTES}"


HEALTHY: Final[Series] = {
    of("up"): steady(1),
    of("segflow_shards"): steady(2),
    of("segflow_dead_letter_share"): steady(0.01),
    of("segflow_events_total"): growing(6000),
    of("segflow_retakes_total"): steady(1),
    of("segflow_rollbacks_total"): steady(1),
    of("process_resident_memory_bytes"): steady(4e8),
    of("process_open_fds"): steady(60),
    **{of("segflow_redis_memory_bytes", kind=kind): steady(size) for kind, size in (("used", 0.5e9), ("limit", 1e9))},
    of("process_max_fds"): steady(1024),
    **{of("segflow_up", server=server): steady(1) for server in ("kafka", "redis")},
    **{of("segflow_clock_offset_seconds", server=server): steady(-0.1) for server in ("kafka", "redis")},
    **{of("segflow_fenced_total", by=by): steady(1) for by in ("kafka", "redis")},
    **{of("segflow_dead_letters_total", reason=reason): steady(3) for reason in ("bad_field", "wrong_partition")},
    **{
        of(f"segflow_{name}", shard=shard): value
        for shard in ("0", "1")
        for name, value in {
            "taken": steady(1),
            "freshness_seconds": steady(0.6),
            "timer_lag_seconds": steady(0),
            "uncommitted_seconds": steady(0.2),
            "recoverable": steady(1),
        }.items()
    },
    **{
        of("segflow_lag_records", shard=shard, input=topic): steady(50)
        for shard in ("0", "1")
        for topic in ("purchases", "interactions", "handover")
    },
    **{of("segflow_commit_seconds_bucket", le=le): growing(100) for le in ("0.5", "5", "10", "+Inf")},
}
STEP: Final = of("segflow_commit_seconds_bucket", le="5")
LAG: Final = of("segflow_lag_records", shard="0", input="purchases")
BAD: Final = of("segflow_dead_letters_total", reason="bad_field")
SIGNS: Final[dict[str, Series]] = {
    "SegflowWorkerDown": {of("up"): steady(0)},
    "SegflowGone": {of("up"): None},
    "SegflowServerDown": {of("segflow_up", server="redis"): steady(0)},
    "SegflowShardsNotAcquired": {of("segflow_taken", shard="1"): steady(0)},
    "SegflowShardParked": {of("segflow_parked", shard="1", reason="torn_state"): steady(1)},
    "SegflowCommitsStand": {of("segflow_uncommitted_seconds", shard="0"): growing(60)},
    "SegflowRedisLostData": {of("segflow_rollbacks_total"): f"0x{MINUTES - 5} 1x10"},
    "SegflowRedisFull": {of("segflow_redis_memory_bytes", kind="used"): steady(0.95e9)},
    "SegflowNotRecoverable": {of("segflow_recoverable", shard="1"): steady(0)},
    "SegflowClockWrong": {of("segflow_clock_offset_seconds", server="redis"): steady(-40)},
    "SegflowRetakes": {of("segflow_retakes_total"): growing(1)},
    "SegflowFenced": {of("segflow_fenced_total", by="redis"): growing(1)},
    "SegflowBehind": {of("segflow_freshness_seconds", shard="1"): growing(60)},
    "SegflowTimersOverdue": {of("segflow_timer_lag_seconds", shard="1"): steady(90)},
    "SegflowLagGrows": {LAG: growing(1000)},
    "SegflowDeadLetters": {BAD: growing(1)},
    "SegflowMostlyDeadLetters": {of("segflow_dead_letter_share"): steady(0.9)},
    "SegflowWrongPartition": {of("segflow_dead_letters_total", reason="wrong_partition"): growing(1)},
    "SegflowNoEvents": {of("segflow_events_total"): steady(9)},
    "SegflowSlowCommits": {STEP: growing(90), of("segflow_commit_seconds_bucket", le="0.5"): growing(10)},
    "SegflowMemory": {of("process_resident_memory_bytes"): steady(3e9)},
    "SegflowDescriptors": {of("process_open_fds"): steady(1000)},
}


def ran(*command: str) -> None:
    """The tool must be content."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("kind", "path"), [("rules", ALERTS), ("config", CONFIG)], ids=["rules", "config"])
def test_the_files_are_as_prometheus_wants_them(kind: str, path: Path) -> None:
    """`promtool check` finds nothing wrong."""
    ran(program("promtool"), "check", kind, str(path))


def case(name: str, sign: Series, question: str, answer: list[dict[str, Any]]) -> dict[str, Any]:
    """A healthy system but for one sign, and what must come of a question after two hours."""
    series = {series: values for series, values in (HEALTHY | sign).items() if values is not None}
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "promql_expr_test": [{"expr": question, "eval_time": f"{MINUTES}m", "exp_samples": answer}],
    }


def test_each_alert_fires_on_its_sign_and_none_on_a_healthy_system(tmp_path: Path) -> None:
    """All that is otherwise is healthy."""
    assert SIGNS.keys() == {each["alert"] for each in rules()}
    cases = [case("healthy", {}, 'ALERTS{alertstate="firing"}', [])]
    for name, sign in SIGNS.items():
        question = f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) > bool 0'
        cases.append(case(name, sign, question, [{"labels": "{}", "value": 1}]))
    tests = tmp_path / "alerts_test.yml"
    content = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": cases}
    tests.write_text(yaml.safe_dump(content, sort_keys=False))
    ran(program("promtool"), "test", "rules", str(tests))
