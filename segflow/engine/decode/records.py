"""Records to columns. The fast path takes what it is sure of; pydantic (schemas/event.py) decides on the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NoReturn

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Raw, UnsetType
from pydantic import ValidationError
from xxhash import xxh3_64_intdigest

from segflow.engine.columns import times
from segflow.engine.columns.events import INTERACTIONS, PURCHASES, Chunk, Kind, Unusable
from segflow.engine.columns.merge_messages import ALIAS, MergeMessage
from segflow.engine.columns.oversized import OversizedBatch
from segflow.engine.decode.json_text import NESTING_MAX, is_shallow, is_utf8, nesting, read, why_not
from segflow.schemas import event as contract
from segflow.schemas.currency import convert, minor_digits, to_minor
from segflow.schemas.event_refusal import refusal
from segflow.schemas.rule_dimensions import key_of
from segflow.schemas.settings import Settings
from segflow.segments import attributes
from segflow.segments.attributes import STATED
from segflow.segments.event_columns import EventColumns
from segflow.segments.instant import UNKNOWN, duration_us, to_us
from segflow.segments.invoices import INVOICE
from segflow.segments.models.engagement import NOTHING, level_of, weight_log2
from segflow.segments.rules import keeping

TOPIC_OF: Final = {"purchase": PURCHASES, "refund": PURCHASES}
KIND_OF: Final = {
    "purchase": Kind.PURCHASE,
    "refund": Kind.REFUND,
    "feedback": Kind.FEEDBACK,
    "payment": Kind.PAYMENT,
    "interaction": Kind.OTHER,
    "profile": Kind.OTHER,
    "alias": Kind.ALIAS,
    "erase": Kind.ERASE,
}
REASON_LIMIT: Final = 1000
"""Characters of a dead letter's reason: a record of a thousand mistakes needs no thousand sentences."""


class _Fast(msgspec.Struct, gc=False):
    """The fields of the two commonest events; whatever else a record says sends it to the slow path."""

    event_id: str
    type: str
    customer_id: str
    occurred_at: str
    source: str | UnsetType = UNSET
    channel: str | UnsetType = UNSET
    order_id: str | UnsetType = UNSET
    amount: Raw | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    discount: Raw | UnsetType = UNSET
    kind: str | UnsetType = UNSET


class _RefusedError(Exception):
    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.unusable = Unusable(kind, reason[:REASON_LIMIT])


@dataclass(slots=True)
class _Columns:
    """Growing columns of one chunk."""

    kinds: list[int] = field(default_factory=list)
    occurred: list[str] = field(default_factory=list)
    occurred_us: dict[int, int] = field(default_factory=dict)  # rows of the slow path
    identities: list[int] = field(default_factory=list)
    amounts_minor: list[int] = field(default_factory=list)
    refunded_orders: dict[int, int] = field(default_factory=dict)  # by row, of full refunds
    discounted_rows: list[int] = field(default_factory=list)
    scores: dict[int, int] = field(default_factory=dict)  # by row
    invoices: dict[int, tuple[int, int, int]] = field(default_factory=dict)  # by row: key, due, paid
    interactions: dict[int, str] = field(default_factory=dict)  # by row: their kinds, where a model wants them
    previous: dict[int, str] = field(default_factory=dict)  # by row, of aliases
    profiles: dict[int, dict[str, Any]] = field(default_factory=dict)  # by row
    left_out: dict[int, int] = field(default_factory=dict)  # by row: attributes that cannot be kept
    weights_log2: list[float] = field(default_factory=list)  # of every row where the settings have engagement
    customer_ids: list[str] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)

    def add(self, kind: int, occurred: str, identity: int, amount_minor: int, customer_id: str, event_id: str) -> None:
        self.kinds.append(kind)
        self.occurred.append(occurred)
        self.identities.append(identity)
        self.amounts_minor.append(amount_minor)
        self.customer_ids.append(customer_id)
        self.event_ids.append(event_id)


class Decoder:
    """Turns the raw records of one input into columns.

    Args:
        settings: currency, rates and what dimensions look at.
        topic: PURCHASES or INTERACTIONS, whose types alone are welcome; None takes both (files).
        record_max_bytes: larger records are unusable; None: as the settings have it.
    """

    def __init__(self, settings: Settings, topic: int | None, record_max_bytes: int | None = None) -> None:
        self._topic = topic
        self._limit_bytes = settings.worker.record_max_bytes if record_max_bytes is None else record_max_bytes
        self._currency = settings.currency
        self._digits = minor_digits(settings.currency)
        self._rates = settings.rates
        self._fast = msgspec.json.Decoder(_Fast)
        self._plain_whole = 12  # digits of a whole amount below segflow.schemas.currency.LIMIT_MAJOR
        self._columns = {name for model in keeping(settings) if model.section for name in model.section.columns}
        weights = settings.engagement.weights
        self._weights_log2 = {name: weight_log2(weight) for name, weight in weights.items()}
        self._purchase_log2 = self._weights_log2.get("purchase", weight_log2(settings.engagement.other_weight))
        self._other_log2 = weight_log2(settings.engagement.other_weight)
        self._half_life_us = duration_us(settings.engagement.half_life)
        self._attributes = sorted(settings.attributes(), key=key_of)
        self._names_interactions = "interaction" in self._columns
        self._weighs = "level_log2" in self._columns

    def decode(
        self, values: Sequence[bytes | None], keys: Sequence[bytes | None] | None, offsets: Sequence[int]
    ) -> Chunk:
        """Columns of the records in their order; `keys` None: there are none to check (files)."""
        columns = _Columns()
        unusable: dict[int, Unusable] = {}
        decode = self._fast.decode
        for row, value in enumerate(values):
            fast = None
            if value is not None and len(value) <= self._limit_bytes and is_utf8(value) and is_shallow(value):
                try:
                    fast = decode(value)
                except msgspec.MsgspecError:
                    fast = None  # the slow path says why
            if fast is None or not self._add_fast(columns, fast):
                self._add_slow(columns, unusable, row, value)
            if keys is not None and row not in unusable and keys[row] != columns.customer_ids[row].encode():
                unusable[row] = Unusable("key_mismatch", _key_reason(keys[row], columns.customer_ids[row]))
        return self._chunk(columns, unusable, values, keys, offsets)

    def records(self, records: Sequence[Any]) -> Chunk:
        """Columns of Kafka records: objects with value, key and offset."""
        return self.decode(
            [record.value for record in records],
            [record.key for record in records],
            [record.offset for record in records],
        )

    def again(self, chunk: Chunk) -> Chunk:
        """The columns of records that another decoder made columns of."""
        return self.decode(chunk.values, chunk.keys, chunk.offsets.tolist())

    def _chunk(
        self,
        columns: _Columns,
        unusable: dict[int, Unusable],
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None] | None,
        offsets: Sequence[int],
    ) -> Chunk:
        occurred_us = times.read(columns.occurred)
        for row, time_us in columns.occurred_us.items():
            occurred_us[row] = time_us
        usable = np.ones(len(values), dtype=np.bool_)
        usable[list(unusable)] = False
        for row in np.flatnonzero(usable & (occurred_us == UNKNOWN)).tolist():  # a form of time that numpy left to us
            try:
                occurred_us[row] = to_us(self._explain(values[row]).occurred_at)
            except _RefusedError as refused:
                unusable[row] = refused.unusable
                usable[row] = False
        refunded_orders = np.zeros(len(values), dtype=np.uint64)
        refunded_orders[list(columns.refunded_orders)] = list(columns.refunded_orders.values())
        occurred_us = np.where(usable, occurred_us, 0)
        return Chunk(
            offsets=np.asarray(offsets, dtype=np.int64),
            usable=usable,
            kinds=np.array(columns.kinds, dtype=np.uint8),
            occurred_us=occurred_us,
            identities=np.array(columns.identities, dtype=np.uint64),
            amounts_minor=np.array(columns.amounts_minor, dtype=np.int64),
            refunded_orders=refunded_orders,
            customer_ids=columns.customer_ids,
            event_ids=columns.event_ids,
            keys=keys if keys is not None else [None] * len(values),
            values=values,
            unusable=unusable,
            merge_messages={
                row: MergeMessage(kind=ALIAS, previous=previous)
                for row, previous in columns.previous.items()
                if row not in unusable
            },
            left_out={row: count for row, count in columns.left_out.items() if count},
            more=self._more(columns, occurred_us),
        )

    def _more(self, columns: _Columns, occurred_us: npt.NDArray[np.int64]) -> EventColumns:
        """The columns that the settings' dimensions need beside those of all (Chunk.more)."""
        more = EventColumns()
        if "discounted" in self._columns:
            more["discounted"] = np.zeros(len(occurred_us), dtype=np.bool_)
            more["discounted"][columns.discounted_rows] = True
        if "score" in self._columns:
            more["score"] = np.zeros(len(occurred_us), dtype=np.uint8)
            more["score"][list(columns.scores)] = list(columns.scores.values())
        if self._names_interactions:
            more["interaction"] = np.full(len(occurred_us), "", dtype=np.object_)
            more["interaction"][list(columns.interactions)] = list(columns.interactions.values())
        if self._attributes:
            more["attributes"] = np.zeros((len(occurred_us), len(self._attributes)), dtype=STATED)
            more["attributes"]["key"] = [key_of(name) for name in self._attributes]
            more["attributes"]["kind"] = attributes.Kind.ABSENT
            for row, profile in columns.profiles.items():
                for column, name in enumerate(self._attributes):
                    if name in profile:
                        more["attributes"][row, column] = (key_of(name), *attributes.kind_and_bits(profile[name]))
        if "invoice" in self._columns:
            more["invoice"] = np.zeros(len(occurred_us), dtype=INVOICE)
            more["invoice"][list(columns.invoices)] = list(columns.invoices.values())
        if self._weighs:
            weights_log2 = np.array(columns.weights_log2, dtype=np.float64)
            more["level_log2"] = level_of(weights_log2, occurred_us, self._half_life_us)
        return more

    def _weight_log2(self, name: str) -> float:
        return self._weights_log2.get(name, self._other_log2)

    def _add_fast(self, columns: _Columns, fast: _Fast) -> bool:  # noqa: C901, PLR0911 - each return is one doubt
        """Add the record where nothing about it is doubtful, else say False."""
        event_id, customer_id = fast.event_id, fast.customer_id
        if not (0 < len(event_id) <= 128 and 0 < len(customer_id) <= 256) or fast.source is not UNSET:
            return False
        if fast.type == "interaction":
            if self._topic == PURCHASES or fast.kind is UNSET or not 0 < len(fast.kind) <= 128:
                return False
            if not (
                fast.order_id is UNSET and fast.amount is UNSET and fast.currency is UNSET and fast.discount is UNSET
            ):
                return False
            columns.add(Kind.OTHER, fast.occurred_at, _identity(None, event_id), 0, customer_id, event_id)
            if self._names_interactions:
                columns.interactions[len(columns.kinds) - 1] = fast.kind
            if self._weighs:
                columns.weights_log2.append(self._weight_log2(fast.kind))
            return True
        if fast.type != "purchase" or self._topic == INTERACTIONS or fast.amount is UNSET or fast.kind is not UNSET:
            return False
        if fast.order_id is UNSET or not 0 < len(fast.order_id) <= 128:
            return False
        if fast.currency is not UNSET and fast.currency != self._currency:
            return False
        amount_minor = self._plain_minor(fast.amount)
        discount_minor = 0 if fast.discount is UNSET else self._plain_minor(fast.discount)
        if amount_minor is None or discount_minor is None:
            return False
        if discount_minor:
            columns.discounted_rows.append(len(columns.kinds))
        columns.add(Kind.PURCHASE, fast.occurred_at, _identity(None, event_id), amount_minor, customer_id, event_id)
        if self._weighs:
            columns.weights_log2.append(self._purchase_log2)
        return True

    def _plain_minor(self, raw: Raw) -> int | None:
        """Minor units of a plain decimal such as 12.5 or "12.50", None where it is anything else."""
        text = bytes(raw)
        if text[0] == ord('"'):
            text = text[1:-1]
        whole, point, decimals = text.partition(b".")
        if not whole.isdigit() or len(whole) > self._plain_whole or (whole[0] == ord("0") and len(whole) > 1):
            return None
        if point and not (decimals.isdigit() and len(decimals) <= self._digits):
            return None
        return int(whole + decimals.ljust(self._digits, b"0"))

    def _add_slow(self, columns: _Columns, unusable: dict[int, Unusable], row: int, value: bytes | None) -> None:
        """Add what pydantic makes of the record, or an empty row and the reason."""
        try:
            content = self._content(value)
            event = self._event(content)
            amount_minor = self._minor(event)
        except _RefusedError as refused:
            unusable[row] = refused.unusable
            columns.add(Kind.OTHER, "", 1, 0, "", "")
            columns.weights_log2.append(NOTHING)
            return
        kind = KIND_OF[event.type]
        identity = _identity(event.source, event.event_id)
        columns.occurred_us[row] = to_us(event.occurred_at)
        if isinstance(event, contract.Refund) and event.full:
            columns.refunded_orders[row] = _identity(None, event.order_id)
        if isinstance(event, contract.Purchase) and self._is_discounted(event):
            columns.discounted_rows.append(row)
        if isinstance(event, contract.Feedback):
            columns.scores[row] = event.score
        if isinstance(event, contract.Interaction):
            columns.interactions[row] = event.kind
        if isinstance(event, contract.Alias):
            columns.previous[row] = event.previous_id
        if isinstance(event, contract.Profile):
            columns.profiles[row] = event.attributes
            columns.left_out[row] = len(content["attributes"]) - len(event.attributes)
        if isinstance(event, contract.Payment):
            paid_us = UNKNOWN if event.paid_at is None else to_us(event.paid_at)
            columns.invoices[row] = (_identity(None, event.invoice_id), to_us(event.due_at), paid_us)
        columns.weights_log2.append(self._worth_log2(event))
        columns.add(kind, "", identity, amount_minor, event.customer_id, event.event_id)

    def _explain(self, value: bytes | None) -> contract.AnyEvent:
        """The record as the contract's event.

        Raises:
            _RefusedError: with the reason a person can act on.
        """
        return self._event(self._content(value))

    def _content(self, value: bytes | None) -> dict[str, Any]:
        """The record's JSON object.

        Raises:
            _RefusedError: it has none.
        """
        if value is None:
            _refuse("tombstone", "the record has no value (a tombstone); to forget a customer send an erase event")
        if isinstance(value, OversizedBatch):
            _refuse(
                "oversized",
                f"offsets {value.first} to {value.last} are one batch that holds more than {value.limit_bytes} bytes "
                "once it is unpacked; none of its records was looked at: let the producer send smaller batches",
            )
        if len(value) > self._limit_bytes:
            _refuse("oversized", f"{len(value)} bytes are over worker.record_max_bytes = {self._limit_bytes}")
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError as error:
            _refuse("not_utf8", f"is not UTF-8: byte {error.start} is 0x{value[error.start]:02x}")
        if not is_shallow(value) and nesting(text) > NESTING_MAX:
            _refuse("too_deep", f"is nested deeper than {NESTING_MAX} arrays and objects")
        try:
            content = read(text)
        except ValueError as error:
            _refuse("not_json", f"is not JSON: {why_not(error, text)}")
        if not isinstance(content, dict):
            _refuse("not_object", f"is JSON, but no object: {_called(content)}")
        return content

    def _event(self, content: dict[str, Any]) -> contract.AnyEvent:
        """The contract's event of a JSON object.

        Raises:
            _RefusedError: it is none.
        """
        try:
            event = contract.EVENT.validate_python(content)
        except ValidationError as error:
            _refuse(*refusal(error, content))
        if self._topic is not None and TOPIC_OF.get(event.type, INTERACTIONS) != self._topic:
            _refuse("wrong_topic", f"type {event.type} belongs in the other input topic")
        return event

    def _minor(self, event: contract.AnyEvent) -> int:
        if not isinstance(event, contract.Purchase | contract.Refund):
            return 0
        amount_minor = self._converted(event.amount, event.currency)
        is_own = event.currency in (None, self._currency)
        if not is_own and abs(amount_minor) >= 10 ** (self._plain_whole + self._digits):
            _refuse("bad_field", f"amount: is too large once converted to {self._currency}")
        return amount_minor

    def _converted(self, amount: Decimal, currency: str | None) -> int:
        """Minor units of the settings' currency."""
        if currency is None or currency == self._currency:
            return to_minor(amount, self._digits)
        if currency not in self._rates:
            known = ", ".join([self._currency, *self._rates])
            _refuse("unknown_currency", f"currency {currency} has no rate in the settings (known: {known})")
        digits = minor_digits(currency)
        return convert(to_minor(amount, digits), digits, self._rates[currency], self._digits)

    def _is_discounted(self, event: contract.Purchase) -> bool:
        """Whether the discount is money in its own currency, also where 1 HUF would convert to no cent."""
        digits = minor_digits(event.currency or self._currency)
        return event.discount is not None and to_minor(event.discount, digits) > 0

    def _worth_log2(self, event: contract.AnyEvent) -> float:
        """The event's weight in engagement: of interactions and purchases, nothing else."""
        if isinstance(event, contract.Interaction):
            return self._weight_log2(event.kind)
        return self._weight_log2("purchase") if isinstance(event, contract.Purchase) else NOTHING


def _identity(source: str | None, event_id: str) -> int:
    """A 64-bit hash of (source, event_id); never 0, which marks an empty place in the memory."""
    seed = xxh3_64_intdigest(source.encode()) | 1 if source is not None else 0
    return xxh3_64_intdigest(event_id.encode(), seed) or 1


def _refuse(kind: str, reason: str) -> NoReturn:
    raise _RefusedError(kind, reason)


def _called(content: object) -> str:
    """JSON's word for what is no object."""
    if isinstance(content, list):
        return "an array"
    if isinstance(content, str):
        return "a text"
    return "null" if content is None else "true or false" if isinstance(content, bool) else "a number"


def _key_reason(key: bytes | None, customer_id: str) -> str:
    shown = "no key" if key is None else f"the key {key[:64].decode(errors='backslashreplace')!r}"
    return f"has {shown}, but customer_id {customer_id[:64]!r}: the Kafka key must be the customer_id"
