"""Changes out (docs/contract.md#changes-out): one record for each transition of one customer in one dimension."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

SPEC = 1
"""The version of this contract. It is raised when a field changes its meaning."""


class Cause(BaseModel):
    """The reason of a change. `event_id` stands with `event` and `late`. With `erase` every label becomes null."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Annotated[
        Literal["event", "time", "late", "recut", "definition", "merge", "erase"],
        Field(description="what moved the customer"),
    ]
    event_id: Annotated[str | None, Field(description="the event that did it; only of kind `event` and `late`")] = None


class ChangeFacts(BaseModel):
    """The customer's facts after the step that made the change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_purchase_at: Annotated[AwareDatetime | None, Field(description="null without a purchase")]
    last_purchase_at: Annotated[AwareDatetime | None, Field(description="null without a purchase")]
    frequency: Annotated[int, Field(ge=0, description="orders that count")]
    monetary: Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", description="net money, major units")]


class Strategy(BaseModel):
    """The business's answer to the label, from the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(description="as in the settings")]
    priority: Annotated[int, Field(ge=1, description="1 first")]


class Next(BaseModel):
    """The change that silence will bring, and its time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dimension: Annotated[str, Field(description="the dimension that will move first")]
    label: Annotated[str, Field(description="the label it will have")]
    at: Annotated[AwareDatetime, Field(description="when, if nothing happens before")]


class Change(BaseModel):
    """The move of one customer from one segment to another, in one dimension."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    change_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="hash of the content that may not differ")]
    customer_id: Annotated[str, Field(description="who; also the Kafka key")]
    dimension: Annotated[str, Field(description="which way of dividing customers moved")]
    previous: Annotated[str | None, Field(description="the label before; null: there was none")]
    current: Annotated[str | None, Field(description="the label now; null: the customer was erased or merged")]
    strategy: Annotated[Strategy | None, Field(description="absent where the settings have none for `current`")] = None
    effective_at: Annotated[AwareDatetime, Field(description="when it became true, in the events' time")]
    previous_since: Annotated[AwareDatetime | None, Field(description="since when `previous` held; null: no such")]
    version: Annotated[int, Field(ge=1, description="counts this customer's changes: 1, 2, 3 …, no gaps")]
    cause: Cause
    segments: Annotated[dict[str, str | None], Field(description="the label in every dimension, after this step")]
    facts: ChangeFacts
    next: Annotated[Next | None, Field(description="what silence will bring; null: nothing more")]
    currency: Annotated[str, Field(description="what money is in: the settings' `currency`")]
    definition: Annotated[int, Field(description="version of what segments mean, under which it was made")]
    cuts: Annotated[int, Field(description="version of population cuts and fitted parameters; 0: the settings'")]
    holdout: Annotated[bool, Field(description="true: of the control group; leave this customer alone and compare")]
    spec: Annotated[Literal[1], Field(description="version of this contract")]
    detected_at: Annotated[AwareDatetime, Field(description="when segflow noticed, by its own clock")]
    position: Annotated[dict[str, int], Field(description="by topic, how far the inputs had been read")]
    mode: Annotated[
        Literal["live", "backfill"], Field(description="live: act on it; backfill: made from history, so do not")
    ]


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

    customer_id: Annotated[str, Field(description="who; also the Kafka key")]
    version: Annotated[int, Field(description="of the customer's latest change")]
    segments: Annotated[dict[str, str | None], Field(description="the label in every dimension")]
    since: Annotated[dict[str, AwareDatetime | None], Field(description="since when, by dimension")]
    facts: ChangeFacts
    next: Annotated[Next | None, Field(description="what silence will bring; null: nothing more")]
    currency: Annotated[str, Field(description="what money is in: the settings' `currency`")]
    definition: Annotated[int, Field(description="as in the latest change")]
    cuts: Annotated[int, Field(description="as in the latest change")]
    holdout: Annotated[bool, Field(description="true: of the control group")]
    spec: Annotated[Literal[1], Field(description="version of this contract")]
    updated_at: Annotated[datetime, Field(description="when it was written, by segflow's own clock")]


class DeadLetter(BaseModel):
    """A record that could not be used, with a reason a person can act on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Annotated[str, Field(description="in words, for a person")]
    kind: Annotated[str, Field(description="a short name of the reason, for counting")]
    topic: Annotated[str, Field(description="where the record stands")]
    partition: Annotated[int, Field(description="where the record stands")]
    offset: Annotated[int, Field(description="where the record stands")]
    key: Annotated[str | None, Field(description="base64 of the record's key, of a long one the beginning")]
    value: Annotated[str | None, Field(description="base64 of the raw bytes, of many the beginning; null: a tombstone")]
    cut: Annotated[bool, Field(description="whether `value` was cut")] = False
    last_offset: Annotated[
        int | None, Field(description="of a batch that is too large as a whole: where its last record stands")
    ] = None
    key_bytes: Annotated[int | None, Field(description="length of the whole key, where `key` was cut")] = None
    key_sha256: Annotated[str | None, Field(description="of the whole key, in hex, where `key` was cut")] = None
    value_bytes: Annotated[int | None, Field(description="length of the whole value, where `value` was cut")] = None
    value_sha256: Annotated[str | None, Field(description="of the whole value, in hex, where `value` was cut")] = None
