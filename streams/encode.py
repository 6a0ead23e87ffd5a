"""Changes and current segments as JSON bytes.

Not a JSON library for the whole record: a batch has thousands of changes of one shape, most of whose text is one of a
few pieces. What comes from outside (ids) goes through a JSON encoder; everything else is our own plain ASCII.
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
from segments import instant
from segments.model import NO_LABEL
from segments.rules import Rules
from state.record import Customers
from streams.changes import Cause, Changes
from streams.processor import slots_of, upcoming

CHANGE_ID_BYTES: Final = 16
"""128 bits: no two of a trillion changes collide."""
SOURCE: Final = b"segflow"
HOLDOUT_SCALE: Final = 2**64
CAUSES: Final = {cause: cause.name.lower() for cause in Cause}

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
    value: bytes
    headers: list[Header]


class Encoder:
    """Writes what a batch found. `currency` is the settings'; `holdout_share` marks the control group."""

    def __init__(self, currency: str, holdout_share: float) -> None:
        self._currency = currency
        self._digits = minor_digits(currency)
        self._holdout_below = int(holdout_share * HOLDOUT_SCALE)
        self._json = msgspec.json.Encoder()

    def changes(
        self,
        changes: Changes,
        customers: Customers,
        event_ids: Sequence[str],
        rules: Rules,
        old: Rules | None,
        at: Publication,
    ) -> list[Message]:
        """One message a change, in their order; `old`: the rules before an adoption in progress."""
        words = (_Words(rules, self._currency), _Words(old or rules, self._currency))
        position = self._json.encode(at.position).decode()
        after = (
            f',"detected_at":"{instant.to_text(at.detected_us)}","position":{position},"mode":"{at.mode}"}}'.encode()
        )
        mode = ("mode", at.mode.encode())
        effective, since, first, last, then = (
            instant.to_texts(times_us)
            for times_us in (
                changes.effective_us,
                changes.previous_since_us,
                changes.first_us,
                changes.last_us,
                changes.next_us,
            )
        )
        orders, net_minor, versions = (each.tolist() for each in (changes.orders, changes.net_minor, changes.versions))
        moves = zip(changes.dimensions.tolist(), changes.previous.tolist(), changes.current.tolist(), strict=True)
        nexts = zip(changes.next_dimensions.tolist(), changes.next_labels.tolist(), strict=True)
        causes = zip(changes.causes.tolist(), changes.events.tolist(), strict=True)
        labels = map(bytes, changes.labels)
        rows = zip(changes.rows.tolist(), changes.old_rules.tolist(), moves, nexts, causes, labels, strict=True)
        messages = []
        for number, (row, by_old, move, following, (cause, event), codes) in enumerate(rows):
            said = words[by_old]
            customer_id = customers.ids[row]
            key = customer_id.encode()
            moved, told = said.move(*move)
            by = f',"event_id":{self._quoted(event_ids[event])}' if event >= 0 else ""
            stable = (
                f'"customer_id":{self._quoted(customer_id)},{moved},"effective_at":"{effective[number]}",'
                f'"previous_since":{_time(since[number])},"version":{versions[number]},'
                f'"cause":{{"kind":"{CAUSES[cause]}"{by}}},"segments":{said.segments(codes)},'
                f'"facts":{self._facts(first[number], last[number], orders[number], net_minor[number])},'
                f'"next":{said.following(following[0], following[1], then[number])}{said.tail}{self._holdout(key)}'
            ).encode()
            change_id = blake2b(stable, digest_size=CHANGE_ID_BYTES).hexdigest().encode()
            value = b'{"change_id":"%b",%b%b' % (change_id, stable, after)
            headers = [("ce_id", change_id), ("ce_time", effective[number].encode()), *told, mode]
            messages.append(Message(key=key, value=value, headers=headers))
        return messages

    def current(self, rows: Sequence[int], customers: Customers, rules: Rules, detected_us: int) -> list[Message]:
        """The latest segments of the customers `rows`, as they are after the batch."""
        if not rows:
            return []
        taken = np.asarray(rows, dtype=np.intp)
        fixed = customers.fixed[taken]
        slots = slots_of(rules)
        codes = np.ascontiguousarray(fixed["labels"][:, slots])
        facts = customers.facts(taken)
        next_dimension, next_label, next_us = upcoming(rules, facts, fixed["concluded_us"], codes)
        said = _Words(rules, self._currency)
        after = f',"updated_at":"{instant.to_text(detected_us)}"}}'
        since = zip(*(instant.to_texts(fixed["since_us"][:, slot]) for slot in slots.tolist()), strict=True)
        first, last, then = (instant.to_texts(times_us) for times_us in (facts.first_us, facts.last_us, next_us))
        nexts = zip(next_dimension.tolist(), next_label.tolist(), then, strict=True)
        counts = zip(first, last, facts.orders.tolist(), facts.net_minor.tolist(), strict=True)
        columns = zip(rows, fixed["changes"].tolist(), map(bytes, codes), since, counts, nexts, strict=True)
        messages = []
        for row, version, labels, times, known, following in columns:
            customer_id = customers.ids[row]
            key = customer_id.encode()
            value = (
                f'{{"customer_id":{self._quoted(customer_id)},"version":{version},"segments":{said.segments(labels)},'
                f'"since":{said.since(times)},"facts":{self._facts(*known)},"next":{said.following(*following)}'
                f"{said.tail}{self._holdout(key)}{after}"
            )
            messages.append(Message(key=key, value=value.encode(), headers=[]))
        return messages

    def _quoted(self, text: str) -> str:
        return self._json.encode(text).decode()

    def _facts(self, first: str, last: str, orders: int, net_minor: int) -> str:
        return (
            f'{{"first_purchase_at":{_time(first)},"last_purchase_at":{_time(last)},'
            f'"frequency":{orders},"monetary":"{to_text(net_minor, self._digits)}"}}'
        )

    def _holdout(self, key: bytes) -> str:
        """Whether a fixed share of customers, by hash, has this one in the control group."""
        held = self._holdout_below > 0 and xxh3_64_intdigest(key) < self._holdout_below
        return "true" if held else "false"


class _Words:
    """The recurring pieces of text under one set of rules, each made once a batch."""

    def __init__(self, rules: Rules, currency: str) -> None:
        self._names = [model.name for model in rules.models]
        self._labels = [dict(enumerate(model.labels)) for model in rules.models]
        self._moves: dict[tuple[int, int, int], tuple[str, tuple[Header, ...]]] = {}
        self._segments: dict[bytes, str] = {}
        versions = f'"definition":{rules.definition},"cuts":{rules.cuts.version}'
        self.tail = f',"currency":"{currency}",{versions},"spec":{SPEC},"holdout":'

    def move(self, dimension: int, previous: int, current: int) -> tuple[str, tuple[Header, ...]]:
        """A move as JSON members, and the headers that go with it."""
        found = self._moves.get((dimension, previous, current))
        if found is None:
            name = self._names[dimension]
            was, now = self._label(dimension, previous), self._label(dimension, current)
            text = f'"dimension":"{name}","previous":{was},"current":{now}'
            headers = (
                ("ce_specversion", b"1.0"),
                ("ce_type", b"segflow.change"),
                ("ce_source", SOURCE),
                ("content-type", b"application/json"),
                ("dimension", name.encode()),
                ("previous", was.strip('"').encode()),
                ("current", now.strip('"').encode()),
            )
            found = self._moves[dimension, previous, current] = (text, headers)
        return found

    def segments(self, codes: bytes) -> str:
        """The labels of one customer, a code a byte, as a JSON object."""
        found = self._segments.get(codes)
        if found is None:
            members = (f'"{name}":{self._label(place, codes[place])}' for place, name in enumerate(self._names))
            found = self._segments[codes] = "{" + ",".join(members) + "}"
        return found

    def since(self, times: Sequence[str]) -> str:
        """Since when each label holds, as a JSON object."""
        return "{" + ",".join(f'"{name}":{_time(text)}' for name, text in zip(self._names, times, strict=True)) + "}"

    def following(self, dimension: int, label: int, then: str) -> str:
        """What silence will bring, as JSON; `then` empty: nothing."""
        if not then:
            return "null"
        return f'{{"dimension":"{self._names[dimension]}","label":{self._label(dimension, label)},"at":"{then}"}}'

    def _label(self, dimension: int, code: int) -> str:
        return "null" if code == NO_LABEL else f'"{self._labels[dimension][code]}"'


def _time(text: str) -> str:
    return f'"{text}"' if text else "null"
