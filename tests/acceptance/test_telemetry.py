"""OpenTelemetry: an event's trace goes on in its changes; spans and metrics reach a collector."""

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from segflow.embedded.kafka import ApacheKafka
from tests.support.command import segflow
from tests.support.histories import written
from tests.support.otlp_collector import Collector, collector
from tests.support.service import Service
from tests.support.until import PATIENCE_S, until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def send(service: Service, customer: str, *contexts: bytes) -> None:
    """A purchase, now, with such a header."""
    event = {
        "type": "purchase",
        "event_id": f"p-{customer}",
        "order_id": f"o-{customer}",
        "customer_id": customer,
        "occurred_at": written(datetime.now(UTC)),
        "amount": "60.00",
    }
    with closing(KafkaProducer(bootstrap_servers=service.settings.kafka.address, acks="all")) as producer:
        producer.send(
            service.settings.kafka.topics.purchases,
            key=customer.encode(),
            value=json.dumps(event).encode(),
            headers=[("traceparent", context) for context in contexts],
        )
        producer.flush()


def carried(service: Service, count: int, role: str = "changes") -> dict[str, set[str]]:
    """By customer, the traceparents of the changes, or alerts, once there are so many of them."""
    found: dict[str, set[str]] = {}
    for each in service.read(role, lambda records: len(records) >= count):
        headers = dict(each.headers)
        assert len(headers) == len(each.headers)
        mine = found.setdefault(json.loads(each.value)["customer_id"], set())
        mine.add(headers.get("traceparent", b"").decode())
    return found


def number(collected: Collector, name: str) -> Any:
    """The value of a metric without labels, None where it has not come."""
    metric = collected.metrics.get(name)
    return None if metric is None else metric.sum.data_points[0].as_double


def test_a_trace_goes_from_an_event_to_its_changes_and_to_the_collector(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """A sampled event has a span between; one that is not sampled has none; what is no context is left out.

    Traces are none of the history: the audit, which has none, finds the same changes.
    """
    worker, alerts = {"telemetry": True}, {"into": {"lifecycle": ["new"]}, "value": []}
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 1, worker=worker, alerts=alerts)
    with collector() as collected:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collected.port}",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with service.worker(environment=environment):
            send(service, "sampled", f"00-{TRACE}-{PARENT}-01".encode())
            send(service, "unsampled", f"00-{TRACE}-{PARENT}-00".encode())
            send(service, "garbage", b"00-xyz")
            send(service, "untraced")
            found = carried(service, 8)
            assert carried(service, 4, "alerts") == found
            assert found["garbage"] == found["untraced"] == {""}
            (unsampled,) = found["unsampled"]
            assert unsampled.startswith(f"00-{TRACE}-")
            assert unsampled.endswith("-00")
            until(lambda: collected.spans, "no span", PATIENCE_S)
            (span,) = collected.spans
            assert found["sampled"] == {f"00-{TRACE}-{span.span_id.hex()}-01"}
            assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
            assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 60 * 10**9
            until(lambda: number(collected, "segflow_events_total") == 4, "events are not counted", PATIENCE_S)
            (commits,) = collected.metrics["segflow_commit_seconds"].histogram.data_points
            assert sum(commits.bucket_counts) == commits.count == number(collected, "segflow_commits_total")
    assert "Traceback" not in (tmp_path / "worker.log").read_text()
    result = segflow("audit", "--settings", service.file, "--state", "--json")
    assert result.code == 0, result.out
    assert json.loads(result.out)["changes"] == 8
