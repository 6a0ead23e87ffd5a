"""A worker's side of OpenTelemetry, of which nothing is imported where `worker.telemetry` is off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry

from segflow.engine.commit.execute import CommitResult
from segflow.engine.commit.load import CommitInput
from segflow.schemas.settings import Settings
from segflow.streams.runtime.errors import UsageError

Contexts = Mapping[tuple[int, int], bytes]
"""The traceparent of events that have one, by input and offset."""


class Span(Protocol):
    """The time an event takes, as OpenTelemetry has it."""

    def end(self) -> None:
        """It is over."""
        ...


@dataclass(frozen=True, slots=True)
class Traced:
    """A commit's result whose changes carry their events' traces, and the spans that end with the commit."""

    result: CommitResult
    spans: Sequence[Span] = ()

    def end(self) -> None:
        """The commit is stored."""
        for span in self.spans:
            span.end()


class Telemetry(Protocol):
    """One a worker."""

    def traced(self, commit: CommitInput, result: CommitResult, contexts: Contexts) -> Traced:
        """Give each change the trace of its event, where that has one."""
        ...

    def end(self) -> None:
        """Send what is still to be sent, within a bound."""
        ...


def telemetry(settings: Settings, registry: CollectorRegistry) -> Telemetry | None:
    """None where it is off.

    Raises:
        UsageError: it is on, and OpenTelemetry is not installed, or its environment variables cannot be used.
    """
    if not settings.worker.telemetry:
        return None
    try:
        from segflow.streams.health.open_telemetry import OpenTelemetry  # noqa: PLC0415 - an extra, see above
    except ImportError as error:
        raise UsageError(
            f"worker.telemetry needs OpenTelemetry, which is not installed ({error}): pip install 'segflow[otel]'"
        ) from error
    try:
        return OpenTelemetry(settings, registry)
    except ValueError as error:
        raise UsageError(f"OpenTelemetry's environment variables (OTEL_...) cannot be used: {error}") from error
