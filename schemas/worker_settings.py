"""A section of the settings: bounds and waits of a worker."""

from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from segflow.schemas.duration import Duration
from segflow.schemas.section import Section, Wait

RECORD_MAX_BYTES: Final = 2**19
"""The largest event that another shard can be given to apply: in base64, with a customer's record and ids beside it, it
fits into a message of Kafka's default limit, 2**20 + 12 bytes. A larger message would be refused at each try."""


class Worker(Section):
    """Bounds and waits of one worker process."""

    @property
    def transactional(self) -> bool:
        """Whether each commit is a transaction of Kafka."""
        return self.guarantee == "exactly_once"

    @model_validator(mode="before")
    @classmethod
    def _former_name(cls, content: Any) -> Any:
        if isinstance(content, dict) and "backfill_after" in content:
            raise ValueError(
                "backfill_after is live_within now, and is of each change, not of a batch: write live_within: 24h"
            )
        return content

    guarantee: Literal["exactly_once", "at_least_once"] = Field(
        "exactly_once",
        description="at_least_once: no Kafka transactions, for brokers that have none; a crash may repeat records",
    )
    batch_max_records: Annotated[int, Field(ge=1, le=100_000)] = Field(
        8192, description="most records of one commit: enough to spread its cost, few enough for half a second"
    )
    sweep_max_customers: Annotated[int, Field(ge=1, le=100_000)] = Field(
        500,
        description="due customers that a commit takes beside its events, or as many as its events where those are "
        "more; smaller: live events wait less during a wave of deadlines",
    )
    linger: Duration = Field(
        timedelta(milliseconds=2),
        description="pause per small commit after each batch of shards, and after a large commit. Shorter: lower "
        "latency at low load. Longer: fewer Kafka and Redis calls",
    )
    sweep_every: Wait = Field(
        timedelta(milliseconds=100), description="time between two looks of a quiet shard for due timers"
    )
    merge_wait: Duration = Field(
        timedelta(seconds=5), description="longest time that one input, while it is behind, keeps the other waiting"
    )
    grace: Duration = Field(timedelta(milliseconds=500), description="distance of the sweep behind the wall clock")
    record_max_bytes: Annotated[int, Field(ge=256, le=RECORD_MAX_BYTES)] = Field(
        65_536, description="larger records are dead letters"
    )
    future_max: Duration = Field(
        timedelta(minutes=5), description="an event further ahead of the worker's clock is a dead letter"
    )
    clock_skew_max: Wait = Field(
        timedelta(seconds=30),
        description="a worker whose clock and that of Kafka or Redis are further apart is not ready: it does not "
        "publish silence, and events ahead of its clock wait. Well below future_max",
    )
    live_within: Duration = Field(
        timedelta(hours=24),
        description="a change is live if it became true, and what caused it happened, no longer ago; "
        "else it is history: mode backfill",
    )
    transaction_timeout: Wait = Field(
        timedelta(seconds=10), description="time after which the broker ends a dead worker's transaction"
    )
    session_timeout: Wait = Field(timedelta(seconds=8), description="silence after which a worker counts as dead")
    group_instance_id: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9._-]|\{hostname\}){0,200}$")] = Field(
        "",
        description="lasting name of a worker in its group (Kafka's static membership), a different one for each; "
        "{hostname} in it is filled in. One that is back within session_timeout finds its shards where they were; one "
        "that is stopped for good leaves them waiting for that long. Empty: none",
    )
    watchdog_after: Wait = Field(
        timedelta(seconds=60),
        description="a worker that reads nothing for so long, although there is something to read, is ended",
    )
    telemetry: bool = Field(
        False,
        description="OpenTelemetry: carry an event's trace to its changes, and send spans and metrics by OTLP to where "
        "OTEL_EXPORTER_OTLP_ENDPOINT says; needs segflow[otel]",
    )
    http_host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_-]{1,253}$")] = Field(
        "127.0.0.1", description="address on which health and metrics are served; 0.0.0.0: on every address, to anybody"
    )
    http_port: Annotated[int, Field(ge=0, le=65535)] = Field(0, description="port of health and metrics; 0: none")
