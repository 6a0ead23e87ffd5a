"""OpenTelemetry is an option: off, nothing of it is loaded; on without it, the message says what to install."""

import subprocess
import sys

import pytest
from opentelemetry.sdk.metrics.export import Gauge, Histogram, Metric, Sum
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry

from segflow.schemas.settings import Settings
from segflow.streams.consume.shard_inputs import CONTEXT
from segflow.streams.health.metrics import Metrics
from segflow.streams.health.otlp_metrics import data
from segflow.streams.health.telemetry import telemetry
from segflow.streams.runtime.errors import UsageError


@pytest.mark.slow
def test_a_worker_without_it_loads_nothing_of_it() -> None:
    """No exporter, and not the part that would use it; what other libraries load is theirs."""
    code = "import segflow.streams.worker.startup, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    loaded = {name for name in done.stdout.split() if "telemetry" in name or "otlp" in name}
    assert {name for name in loaded if name.startswith(("segflow.", "opentelemetry.exporter"))} == {
        "segflow.streams.health.telemetry"
    }
    assert telemetry(Settings(), CollectorRegistry()) is None


def test_a_worker_that_wants_it_and_has_it_not_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback."""
    monkeypatch.setitem(sys.modules, "segflow.streams.health.open_telemetry", None)
    settings = Settings.model_validate({"worker": {"telemetry": True}})
    with pytest.raises(UsageError, match=r"pip install 'segflow\[otel\]'"):
        telemetry(settings, CollectorRegistry())


@pytest.mark.parametrize("every", ["soon", "0", "-5"])
def test_an_interval_that_is_none_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, every: str) -> None:
    """The message names the variables; no traceback."""
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", every)
    settings = Settings.model_validate({"worker": {"telemetry": True}})
    with pytest.raises(UsageError, match="OTEL_"):
        telemetry(settings, CollectorRegistry())


def test_metrics_are_sent_as_they_are_served() -> None:
    """Counters as totals, gauges as they stand, histograms with the count of each bucket by itself."""
    metrics = Metrics()
    metrics.events.inc(3)
    metrics.partitions.set(8)
    for took_s in (0.3, 0.4, 70.0):
        metrics.commit_s.observe(took_s)
    (resource,) = data(metrics.registry.collect(), Resource({}), 1, 2).resource_metrics
    found: dict[str, Metric] = {each.name: each for each in resource.scope_metrics[0].metrics}
    events, shards, commits = (
        found[name].data for name in ("segflow_events_total", "segflow_shards", "segflow_commit_seconds")
    )
    assert isinstance(events, Sum)
    assert events.is_monotonic
    assert [each.value for each in events.data_points] == [3]
    assert isinstance(shards, Gauge)
    assert [each.value for each in shards.data_points] == [8]
    assert isinstance(commits, Histogram)
    (point,) = commits.data_points
    filled = {bound: count for bound, count in zip(point.explicit_bounds, point.bucket_counts, strict=False) if count}
    assert (point.count, point.sum, filled, point.bucket_counts[-1]) == (3, 70.7, {0.5: 2}, 1)


@pytest.mark.parametrize(
    "context", [b"", b"00-xyz", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01" + b"x", b"\xff" * 55], ids=repr
)
def test_what_is_no_context_is_not_kept(context: bytes) -> None:
    """A header may be anything, of any size."""
    assert not CONTEXT.fullmatch(context)
