"""Changes out (docs/contract.md#changes-out): one record for each transition of one customer in one dimension."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

SPEC = 1
"""The version of this contract. It is raised when a field changes its meaning."""


class Cause(BaseModel):
    """The reason of a change. `event_id` stands with `event` and `late`. With `erase` every label becomes null."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["event", "time", "late", "recut", "definition", "merge", "erase"]
    event_id: str | None = None


class ChangeFacts(BaseModel):
    """The customer's facts after the step that made the change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_purchase_at: AwareDatetime | None
    last_purchase_at: AwareDatetime | None
    frequency: Annotated[int, Field(ge=0, description="orders that count")]
    monetary: Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", description="net money, major units")]


class Strategy(BaseModel):
    """The business's answer to the label, from the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    priority: Annotated[int, Field(ge=1, description="1 first")]


class Next(BaseModel):
    """The change that silence will bring, and its time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dimension: str
    label: str
    at: AwareDatetime


class Change(BaseModel):
    """The move of one customer from one segment to another, in one dimension."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    change_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="hash of the content that may not differ")]
    customer_id: str
    dimension: str
    previous: str | None
    current: str | None
    strategy: Annotated[Strategy | None, Field(description="absent where the settings have none for `current`")] = None
    effective_at: AwareDatetime
    previous_since: AwareDatetime | None
    version: Annotated[int, Field(ge=1, description="counts this customer's changes: 1, 2, 3 …, no gaps")]
    cause: Cause
    segments: dict[str, str | None]
    facts: ChangeFacts
    next: Next | None
    currency: str
    definition: int
    cuts: int
    holdout: bool
    spec: Literal[1]
    detected_at: AwareDatetime
    position: dict[str, int]
    mode: Literal["live", "backfill"]


class AtStake(BaseModel):
    """The customer's money in major units of `currency`. Null means not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lifetime: Annotated[str, Field(description="net money so far; `facts.monetary`, but for a window of rfm")]
    last_12_months: Annotated[
        str | None, Field(description="net money of the present slot and those before it within 365 days")
    ]
    clv: Annotated[str | None, Field(description="expected to come within `clv.horizon`, at `effective_at`")]


class Alert(Change):
    """A change that the settings name in `alerts`: the change itself, and the money at stake."""

    at_stake: AtStake


class Current(BaseModel):
    """The latest segments of one customer: a value of the compacted topic `segments.current`, null once erased."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    customer_id: str
    version: int
    segments: dict[str, str | None]
    since: dict[str, AwareDatetime | None]
    facts: ChangeFacts
    next: Next | None
    currency: str
    definition: int
    cuts: int
    holdout: bool
    spec: Literal[1]
    updated_at: datetime


class DeadLetter(BaseModel):
    """A record that could not be used, with a reason a person can act on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: str
    kind: Annotated[str, Field(description="a short name of the reason, for counting")]
    topic: str
    partition: int
    offset: int
    key: Annotated[str | None, Field(description="base64 of the record's key")]
    value: Annotated[str | None, Field(description="base64 of the raw bytes, cut where oversized; null: a tombstone")]
    cut: Annotated[bool, Field(description="whether `value` was cut")] = False
