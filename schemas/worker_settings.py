"""Bounds and waits of a worker: a section of the settings."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from segflow.schemas.duration import Duration
from segflow.schemas.section import Section, Wait


class Worker(Section):
    """Bounds and waits of one worker process."""

    guarantee: Literal["exactly_once", "at_least_once"] = Field(
        "exactly_once",
        description="at_least_once: no Kafka transactions, for brokers that have none; a crash may repeat",
    )
    batch_max_records: Annotated[int, Field(ge=1, le=100_000)] = Field(
        8192, description="records of one commit: enough to spread its cost, few enough to stay under half a second"
    )
    sweep_max_customers: Annotated[int, Field(ge=1, le=100_000)] = Field(
        500,
        description="due customers of a commit of few events, so that a wave never holds live events up for long; "
        "as many as it has events where those are more",
    )
    linger: Duration = Field(
        timedelta(milliseconds=2),
        description="pause for each of the small commits worked in one pass, and after a large one",
    )
    sweep_every: Wait = Field(timedelta(milliseconds=100), description="how often a quiet shard looks for due timers")
    merge_wait: Duration = Field(
        timedelta(seconds=5), description="how long one input may keep the other waiting while it is behind"
    )
    grace: Duration = Field(timedelta(milliseconds=500), description="how far the wall clock's sweep stays behind")
    record_max_bytes: Annotated[int, Field(ge=256)] = Field(65_536, description="larger records are dead letters")
    future_max: Duration = Field(
        timedelta(minutes=5), description="an event further ahead of the worker's clock is a dead letter"
    )
    backfill_after: Duration = Field(
        timedelta(hours=1), description="a batch whose events are older than this is history: mode backfill"
    )
    transaction_timeout: Wait = Field(
        timedelta(seconds=10), description="after which the broker ends a dead worker's transaction"
    )
    session_timeout: Wait = Field(timedelta(seconds=8), description="silence after which a worker counts as dead")
    watchdog_after: Wait = Field(
        timedelta(seconds=60), description="a worker that reads nothing for so long while there is something is ended"
    )
    http_host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_-]{1,253}$")] = Field(
        "127.0.0.1", description="address on which health and metrics are served; 0.0.0.0: on all, to anybody"
    )
    http_port: Annotated[int, Field(ge=0, le=65535)] = Field(0, description="of health and metrics; 0: none")
