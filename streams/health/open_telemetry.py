"""OpenTelemetry: trace context from events to their changes, a span for each such event, and all metrics by OTLP.

Imported only where `worker.telemetry` is on. Where to send is told by OpenTelemetry's own environment variables
(OTEL_EXPORTER_OTLP_ENDPOINT and others).
"""

import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry

from segflow.engine.columns import messages, text, varint
from segflow.engine.columns.changes import NO_EVENT
from segflow.engine.columns.events import HANDOVER, INTERACTIONS, PURCHASES
from segflow.engine.columns.messages import Messages
from segflow.engine.commit.execute import CommitResult
from segflow.engine.commit.load import CommitInput
from segflow.schemas.settings import Settings
from segflow.streams.consume.shard_inputs import TRACEPARENT
from segflow.streams.health.otlp_metrics import OtlpMetrics
from segflow.streams.health.telemetry import Contexts, Traced
from segflow.streams.runtime.version import installed_version

END_S: Final = 1.0
"""For what is still to be sent of spans, and of metrics, when a worker stops, which is promised within 10 s."""
W3C: Final = TraceContextTextMapPropagator()


class OpenTelemetry:
    """See Telemetry."""

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        name = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": "segflow"}
        resource = Resource.create({**name, "service.version": installed_version()})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("segflow", installed_version())
        topics = settings.kafka.topics
        self._topics = {PURCHASES: topics.purchases, INTERACTIONS: topics.interactions, HANDOVER: topics.handover}
        self._metrics = OtlpMetrics(registry, resource)
        self._metrics.start()

    def traced(self, commit: CommitInput, result: CommitResult, contexts: Contexts) -> Traced:
        """See Telemetry. An event that is sampled has a span, which its changes carry; no customer is named there."""
        sides = commit.merged.sides[commit.in_order]
        spans: dict[int, Span] = {}  # by event
        carried: dict[bytes, bytes] = {}  # by a change's headers: the same with its trace
        headers = result.changes.headers.to_pylist()
        happened = np.concatenate([each.steps.events[each.moves.steps] for _, each in result.published])
        for row in np.flatnonzero(happened != NO_EVENT).tolist():
            event = int(happened[row])
            place = (int(sides[event]), int(commit.events.offsets[event]))
            if place in contexts:
                if event not in spans:
                    spans[event] = self._span(contexts[place], place, commit)
                carried[headers[row]] = _with(headers[row], _written(spans[event]) or contexts[place])
        if not carried:
            return Traced(result)
        changes, alerts = (_carrying(each, carried) for each in (result.changes, result.alerts))
        return Traced(replace(result, changes=changes, alerts=alerts), list(spans.values()))

    def end(self) -> None:
        """See Telemetry."""
        for each in (self._metrics.end, self._provider.shutdown):
            thread = threading.Thread(target=each, daemon=True)
            thread.start()
            thread.join(END_S)

    def _span(self, context: bytes, place: tuple[int, int], commit: CommitInput) -> Span:
        side, offset = place
        return self._tracer.start_span(
            f"process {self._topics[side]}",
            context=W3C.extract({TRACEPARENT: context.decode("ascii", "replace")}),
            kind=SpanKind.CONSUMER,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.type": "process",
                "messaging.destination.name": self._topics[side],
                "messaging.destination.partition.id": str(commit.partition),
                "messaging.kafka.offset": offset,
                "segflow.commit": commit.plan.sequence,
            },
        )


def _written(span: Span) -> bytes:
    """The traceparent of what comes of this span."""
    found: dict[str, str] = {}
    W3C.inject(found, set_span_in_context(span))
    return found.get(TRACEPARENT, "").encode()


def _with(headers: bytes, context: bytes) -> bytes:
    """A record's headers and one more."""
    count, start = varint.decode(headers, 0)
    return varint.encode(count + 1) + headers[start:] + messages.header(TRACEPARENT, context)


def _carrying(published: Messages, carried: Mapping[bytes, bytes]) -> Messages:
    """The messages, with other headers where `carried` has them: those of a change have its id, so no two are alike."""
    headers = [carried.get(each, each) for each in published.headers.to_pylist()]
    return replace(published, headers=text.column(headers))
