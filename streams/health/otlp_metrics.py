"""The worker's metrics by OTLP: what `/metrics` has, sent now and then."""

import os
import threading
import time
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family

EVERY_MS: Final = "60000"
"""As OpenTelemetry has it; OTEL_METRIC_EXPORT_INTERVAL says otherwise."""


class OtlpMetrics(threading.Thread):
    """Sends a registry's metrics again and again, under their Prometheus names.

    Raises:
        ValueError: OTEL_METRIC_EXPORT_INTERVAL is no number of milliseconds.
    """

    def __init__(self, registry: CollectorRegistry, resource: Resource) -> None:
        super().__init__(name="otlp-metrics", daemon=True)
        self._registry = registry
        self._resource = resource
        self._exporter = OTLPMetricExporter()
        self._since_ns = time.time_ns()
        self._every_s = int(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", EVERY_MS)) / 1000
        if self._every_s <= 0:
            raise ValueError("OTEL_METRIC_EXPORT_INTERVAL must be 1 or more, in milliseconds")
        self._ended = threading.Event()

    def run(self) -> None:
        """Send until `end`, and once more."""
        while not self._ended.wait(self._every_s):
            self._send()
        self._send()

    def end(self) -> None:
        """Send for the last time."""
        self._ended.set()
        self.join()

    def _send(self) -> None:
        self._exporter.export(data(self._registry.collect(), self._resource, self._since_ns, time.time_ns()))


def data(families: Iterable[Family], resource: Resource, since_ns: int, now_ns: int) -> MetricsData:
    """Families of a registry as OTLP has them: counters and histograms are totals since `since_ns`."""
    metrics = [found for each in families if (found := _metric(each, since_ns, now_ns)) is not None]
    scope = ScopeMetrics(scope=InstrumentationScope("segflow"), metrics=metrics, schema_url="")
    return MetricsData([ResourceMetrics(resource=resource, scope_metrics=[scope], schema_url="")])


def _metric(family: Family, since_ns: int, now_ns: int) -> Metric | None:
    name = family.name
    if family.type == "histogram":
        points = list(_histograms(family, since_ns, now_ns))
        found: Sum | Gauge | Histogram = Histogram(points, AggregationTemporality.CUMULATIVE)
        return Metric(name, family.documentation, "", found) if points else None
    wanted = f"{name}_total" if family.type == "counter" else name
    numbers = [
        NumberDataPoint(dict(sample.labels), since_ns, now_ns, sample.value)
        for sample in family.samples
        if sample.name == wanted
    ]
    if not numbers:
        return None
    if family.type == "counter":
        return Metric(wanted, family.documentation, "", Sum(numbers, AggregationTemporality.CUMULATIVE, True))
    return Metric(name, family.documentation, "", Gauge(numbers))


def _histograms(family: Family, since_ns: int, now_ns: int) -> Iterable[HistogramDataPoint]:
    """A point for each set of labels; Prometheus counts a bucket with all below it."""
    found: dict[tuple[tuple[str, str], ...], dict[float, float]] = {}
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in family.samples:
        labels = tuple((name, value) for name, value in sample.labels.items() if name != "le")
        if sample.name.endswith("_bucket"):
            found.setdefault(labels, {})[float(sample.labels["le"])] = sample.value
        elif sample.name.endswith("_sum"):
            sums[labels] = sample.value
    for labels, buckets in found.items():
        bounds = sorted(buckets)
        totals = [0, *(int(buckets[bound]) for bound in bounds)]
        yield HistogramDataPoint(
            attributes=dict(labels),
            start_time_unix_nano=since_ns,
            time_unix_nano=now_ns,
            count=totals[-1],
            sum=sums[labels],
            bucket_counts=[after - before for before, after in pairwise(totals)],
            explicit_bounds=bounds[:-1],
            min=None,  # type: ignore[arg-type]  # not known, as OTLP allows
            max=None,  # type: ignore[arg-type]
        )
