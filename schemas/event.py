"""Events in: the contract (docs/contract.md#events-in), and the reason for which a record is refused.

These pydantic models are the authority. The hot path (engine/decode/records.py) accepts only what they accept. It asks
them about every record it is not sure of.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, TypeAdapter, WithJsonSchema

from segflow.schemas.currency import AMOUNT, CODE, LIMIT_MAJOR

DECIMALS_MAX: Final = 300
"""Decimals of an amount, at most. No money is so finely divided; the limit keeps arithmetic exact within
segflow.schemas.currency.EXACT."""
OFFSET: Final = r"[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d"
RFC3339: Final = re.compile(rf"(\d{{4}}-\d{{2}}-\d{{2}})[Tt ](\d{{2}}:\d{{2}}:\d{{2}})(\.\d+)?({OFFSET})", re.ASCII)
ATTRIBUTE_NAME_MAX: Final = 128
ATTRIBUTE_TEXT_MAX: Final = 1024
"""Characters of an attribute's name and of its text; longer ones are left out of the profile."""


def _instant(value: object) -> datetime:
    """An aware datetime in UTC from RFC 3339 text; digits finer than a microsecond are cut off."""
    if not isinstance(value, str):
        raise ValueError("must be a time such as 2026-03-02T09:15:00Z")  # noqa: TRY004 - what pydantic reads
    found = RFC3339.fullmatch(value)
    if found is None:
        naive = RFC3339.fullmatch(value + "Z") is not None
        raise ValueError("has no offset: append Z or +hh:mm" if naive else "is no time such as 2026-03-02T09:15:00Z")
    day, clock, fraction, offset = found.groups()
    offset = "+00:00" if offset in "Zz" else offset
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{(fraction or '.0')[:7].ljust(7, '0')}{offset}")
    except ValueError as error:  # its words change with Python's version
        raise ValueError("names a day or a time of day that there is not") from error
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("lies outside the years 1 to 9999 in UTC") from error


def _amount(value: object) -> Decimal:
    """A decimal from a JSON number or a string of one."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError("must be a decimal, as a number or a string")  # noqa: TRY004 - what pydantic reads
    if isinstance(value, str) and AMOUNT.fullmatch(value) is None:
        raise ValueError(f"{value[:40]!r} is no decimal number")
    amount = Decimal(value)
    if not amount.is_finite():
        raise ValueError("must be a finite number")
    if amount.copy_abs() >= LIMIT_MAJOR or int(amount.as_tuple().exponent) < -DECIMALS_MAX:
        raise ValueError(f"must be below {LIMIT_MAJOR} and have no more than {DECIMALS_MAX} decimals")
    return amount


def _score(value: object) -> object:
    """A whole number as an int, also where it is written 9.0."""
    if isinstance(value, Decimal) and value.is_finite() and value.copy_abs() < LIMIT_MAJOR and value == int(value):
        return int(value)
    return value


def _attributes(value: object) -> object:
    """The attributes that can be kept."""
    if not isinstance(value, dict):
        return value
    return {name: each for name, each in value.items() if _is_kept(name, each)}


def _is_kept(name: object, value: object) -> bool:
    if not isinstance(name, str) or not 1 <= len(name) <= ATTRIBUTE_NAME_MAX or not _is_whole(name):
        return False
    if isinstance(value, str):
        return len(value) <= ATTRIBUTE_TEXT_MAX and _is_whole(value)
    return value is None or isinstance(value, bool | int | Decimal)


def _is_whole(text: str) -> bool:
    """Whether it has no half of a character, which JSON can write and UTF-8 cannot."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


Instant = Annotated[datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
_AMOUNT_SCHEMA: dict[str, Any] = {"anyOf": [{"type": "string", "pattern": f"^{AMOUNT.pattern}$"}, {"type": "number"}]}
Amount = Annotated[Decimal, BeforeValidator(_amount), Field(ge=0), WithJsonSchema(_AMOUNT_SCHEMA)]
PositiveAmount = Annotated[Decimal, BeforeValidator(_amount), Field(gt=0), WithJsonSchema(_AMOUNT_SCHEMA)]
Currency = Annotated[str, StringConstraints(pattern=CODE)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]
CustomerId = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Scalar = bool | int | Decimal | str | None
_ATTRIBUTES_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": True,
    "description": f"by name; null removes one. Left out: names of none or over {ATTRIBUTE_NAME_MAX} characters, "
    f"lists, objects, texts over {ATTRIBUTE_TEXT_MAX} characters, halves of characters",
}


class Event(BaseModel):
    """The fields of every event. Unknown fields are ignored, and an optional field that is null is absent."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    topic: ClassVar[Literal["purchases", "interactions"]] = "interactions"

    event_id: Annotated[Name, Field(description="unique within `source`; sent again, an event counts once")]
    source: Annotated[Name | None, Field(description="the system that gave the `event_id`")] = None
    customer_id: Annotated[CustomerId, Field(description="who; also the Kafka key")]
    occurred_at: Annotated[Instant, Field(description="when it happened, with an offset; kept to the microsecond")]
    channel: Annotated[str | None, Field(description="web, app, shop …")] = None


class Purchase(Event):
    """An order that was paid. A purchase may cost zero and still counts as an order."""

    topic = "purchases"
    type: Annotated[Literal["purchase"], Field(description="says which event it is")]
    order_id: Annotated[Name, Field(description="carried along, not checked")]
    amount: Annotated[Amount, Field(description="what was paid, after `discount`; zero or more")]
    currency: Annotated[Currency | None, Field(description="ISO 4217; the settings' `currency` without it")] = None
    discount: Annotated[Amount | None, Field(description="what was taken off the price; none: 0")] = None


class Refund(Event):
    """Money given back. With `full` the order no longer counts."""

    topic = "purchases"
    type: Annotated[Literal["refund"], Field(description="says which event it is")]
    order_id: Annotated[Name, Field(description="carried along, not checked")]
    amount: Annotated[PositiveAmount, Field(description="what was given back; above zero")]
    currency: Annotated[Currency | None, Field(description="ISO 4217; the settings' `currency` without it")] = None
    full: Annotated[bool | None, Field(description="true: the order no longer counts; none: only money back")] = None


class Interaction(Event):
    """An act of a customer other than buying: visit, view, search, cart, wishlist, click, open, login, share, …."""

    type: Annotated[Literal["interaction"], Field(description="says which event it is")]
    kind: Annotated[Name, Field(description="what the customer did; any name, `engagement.weights` has the usual")]


class Feedback(Event):
    """A score from 0 to 10."""

    type: Annotated[Literal["feedback"], Field(description="says which event it is")]
    score: Annotated[int, Field(ge=0, le=10, description="0: not at all content, to 10"), BeforeValidator(_score)]


class Payment(Event):
    """An invoice, open while `paid_at` is null."""

    type: Annotated[Literal["payment"], Field(description="says which event it is")]
    invoice_id: Annotated[Name, Field(description="an invoice may be sent several times; the latest holds")]
    due_at: Annotated[Instant, Field(description="when it must be paid")]
    paid_at: Annotated[Instant | None, Field(description="when it was paid; null while it is open")] = None
    amount: Annotated[Amount, Field(description="of the invoice; zero or more")]


class Profile(Event):
    """Attributes of the customer; null removes one. What cannot be kept is left out, and the rest holds."""

    type: Annotated[Literal["profile"], Field(description="says which event it is")]
    attributes: Annotated[dict[str, Scalar], BeforeValidator(_attributes), WithJsonSchema(_ATTRIBUTES_SCHEMA)]


class Alias(Event):
    """The statement that `previous_id` is this customer too."""

    type: Annotated[Literal["alias"], Field(description="says which event it is")]
    previous_id: Annotated[CustomerId, Field(description="the id that becomes `customer_id`")]


class Erase(Event):
    """The request to forget this customer."""

    type: Annotated[Literal["erase"], Field(description="says which event it is")]


AnyEvent = Annotated[
    Purchase | Refund | Interaction | Feedback | Payment | Profile | Alias | Erase, Field(discriminator="type")
]
EVENT: Final[TypeAdapter[AnyEvent]] = TypeAdapter(AnyEvent)
EVENTS: Final[tuple[type[Event], ...]] = get_args(get_args(AnyEvent)[0])
TYPES: Final[tuple[str, ...]] = tuple(get_args(event.model_fields["type"].annotation)[0] for event in EVENTS)
"""The types there are, in the contract's order."""
