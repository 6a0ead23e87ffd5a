"""Changes and current segments as JSON bytes, written column by column.

`json` is not used for the whole record: a batch has thousands of changes of one shape, and only the ids come from
outside. What comes from outside goes through a JSON encoder; everything else is our own plain ASCII.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import msgspec
import numpy as np
from xxhash import xxh3_64_intdigest

from schemas.change import SPEC
from schemas.currency import minor_digits, to_text
from segments.facts import Facts
from segments.instant import NEVER, to_text as time_text, to_texts
from segments.model import NO_LABEL
from segments.rules import Rules
from state.record import Customers
from streams.changes import Cause, Changes
from streams.processor import slots_of, upcoming

CHANGE_ID_BYTES: Final = 16
"""128 bits: no two of a trillion changes collide."""
CAUSES: Final = {Cause.TIME: "time", Cause.RECUT: "recut", Cause.DEFINITION: "definition"}
SOURCE: Final = "segflow"
HOLDOUT_SCALE: Final = 2**64

Header = tuple[str, bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """Where and when a batch was worked on: what may differ between two runs over one history."""

    detected_us: int
    position: dict[str, int]  # topic -> offset up to which it was read
    mode: str  # live or backfill


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One record to publish."""

    key: bytes
    value: bytes | None
    headers: list[Header]


class Encoder:
    """Writes what a batch found. `currency` is the settings'; `holdout_share` marks the control group."""

    def __init__(self, currency: str, holdout_share: float) -> None:
        self._currency = currency
        self._digits = minor_digits(currency)
        self._holdout_below = int(holdout_share * HOLDOUT_SCALE)
        self._json = msgspec.json.Encoder()

    def changes(
        self, changes: Changes, customers: Customers, event_ids: Sequence[str], rules: Rules, old: Rules | None, at: Publication
    ) -> list[Message]:
        """One message a change, in their order; `old`: the rules before an adoption in progress."""
        names = [_names(rules), _names(old or rules)]
        tails = [self._rules_tail(rules), self._rules_tail(old or rules)]
        after = f',"detected_at":"{time_text(at.detected_us)}","position":{self._json.encode(at.position).decode()}'
        after = (after + f',"mode":"{at.mode}"}}').encode()
        mode = ("mode", at.mode.encode())
        texts = {name: to_texts(getattr(changes, name)) for name in ("effective_us", "previous_since_us", "first_us", "last_us", "next_us")}
        messages = []
        for row, dimension, previous, current, effective, since, version, cause, event, labels, first, last, orders, net, next_dimension, next_label, then, by_old in zip(
            changes.rows.tolist(),
            changes.dimensions.tolist(),
            changes.previous.tolist(),
            changes.current.tolist(),
            texts["effective_us"],
            texts["previous_since_us"],
            changes.versions.tolist(),
            changes.causes.tolist(),
            changes.events.tolist(),
            changes.labels.tolist(),
            texts["first_us"],
            texts["last_us"],
            changes.orders.tolist(),
            changes.net_minor.tolist(),
            changes.next_dimensions.tolist(),
            changes.next_labels.tolist(),
            texts["next_us"],
            changes.old_rules.tolist(),
            strict=True,
        ):
            table = names[by_old]
            name, label_of = table[dimension]
            customer_id = customers.ids[row]
            next_name, next_of = table[next_dimension]
            stable = (
                f'"customer_id":{self._quoted(customer_id)},"dimension":"{name}",'
                f'"previous":{label_of[previous]},"current":{label_of[current]},'
                f'"effective_at":"{effective}","previous_since":{_time(since)},"version":{version},'
                f'"cause":{self._cause(cause, event, event_ids)},"segments":{_segments(table, labels)},'
                f'"facts":{self._facts(first, last, orders, net)},"next":'
                + (f'{{"dimension":"{next_name}","label":{next_of[next_label]},"at":"{then}"}}' if then else "null")
                + tails[by_old]
                + self._holdout(customer_id)
            ).encode()
            change_id = blake2b(stable, digest_size=CHANGE_ID_BYTES).hexdigest().encode()
            headers = [
                ("ce_specversion", b"1.0"),
                ("ce_type", b"segflow.change"),
                ("ce_source", SOURCE.encode()),
                ("ce_id", change_id),
                ("ce_time", effective.encode()),
                ("ce_datacontenttype", b"application/json"),
                ("dimension", name.encode()),
                ("previous", label_of[previous].strip('"').encode()),
                ("current", label_of[current].strip('"').encode()),
                mode,
            ]
            messages.append(
                Message(
                    key=customer_id.encode(), value=b'{"change_id":"' + change_id + b'",' + stable + after, headers=headers
                )
            )
        return messages

    def current(self, rows: Sequence[int], customers: Customers, rules: Rules, detected_us: int) -> list[Message]:
        """The latest segments of the customers `rows`, as they are after the batch."""
        if not len(rows):
            return []
        taken = np.asarray(rows, dtype=np.intp)
        fixed = customers.fixed[taken]
        slots = slots_of(rules)
        codes = fixed["labels"][:, slots]
        since = [to_texts(fixed["since_us"][:, slot]) for slot in slots.tolist()]
        facts = customers.facts(taken)
        next_dimension, next_label, next_us = upcoming(rules, facts, fixed["concluded_us"], codes)
        names = _names(rules)
        tail = self._rules_tail(rules)
        after = f',"updated_at":"{time_text(detected_us)}"}}'
        columns = zip(
            [customers.ids[row] for row in rows],
            fixed["changes"].tolist(),
            codes.tolist(),
            zip(*since, strict=True),
            to_texts(facts.first_us),
            to_texts(facts.last_us),
            facts.orders.tolist(),
            facts.net_minor.tolist(),
            next_dimension.tolist(),
            next_label.tolist(),
            to_texts(next_us),
            strict=True,
        )
        messages = []
        for customer_id, version, labels, times, first, last, orders, net, dimension, label, then in columns:
            sinces = ",".join(f'"{name}":{_time(text)}' for (name, _), text in zip(names, times, strict=True))
            name, label_of = names[dimension]
            value = (
                f'{{"customer_id":{self._quoted(customer_id)},"version":{version},"segments":{_segments(names, labels)},'
                f'"since":{{{sinces}}},"facts":{self._facts(first, last, orders, net)},"next":'
                + (f'{{"dimension":"{name}","label":{label_of[label]},"at":"{then}"}}' if then else "null")
                + tail
                + self._holdout(customer_id)
                + after
            )
            messages.append(Message(key=customer_id.encode(), value=value.encode(), headers=[]))
        return messages

    def _quoted(self, text: str) -> str:
        return self._json.encode(text).decode()

    def _cause(self, cause: int, event: int, event_ids: Sequence[str]) -> str:
        if cause in CAUSES:
            return f'{{"kind":"{CAUSES[Cause(cause)]}"}}'
        kind = "late" if cause == Cause.LATE else "event"
        return f'{{"kind":"{kind}","event_id":{self._quoted(event_ids[event])}}}'

    def _facts(self, first: str, last: str, orders: int, net_minor: int) -> str:
        return (
            f'{{"first_purchase_at":{_time(first)},"last_purchase_at":{_time(last)},'
            f'"frequency":{orders},"monetary":"{to_text(net_minor, self._digits)}"}}'
        )

    def _rules_tail(self, rules: Rules) -> str:
        return f',"currency":"{self._currency}","definition":{rules.definition},"cuts":{rules.cuts.version},"spec":{SPEC},"holdout":'

    def _holdout(self, customer_id: str) -> str:
        """Whether a fixed share of customers, by hash, has this one in the control group."""
        held = self._holdout_below > 0 and xxh3_64_intdigest(customer_id.encode()) < self._holdout_below
        return "true" if held else "false"


def _names(rules: Rules) -> list[tuple[str, dict[int, str]]]:
    """Each dimension's name, and JSON text of each label code."""
    return [
        (model.name, {code: f'"{label}"' for code, label in enumerate(model.labels)} | {NO_LABEL: "null"})
        for model in rules.models
    ]


def _segments(names: list[tuple[str, dict[int, str]]], labels: Sequence[int]) -> str:
    return "{" + ",".join(f'"{name}":{of[code]}' for (name, of), code in zip(names, labels, strict=True)) + "}"


def _time(text: str) -> str:
    return f'"{text}"' if text else "null"


