"""Changes and current segments as JSON bytes.

Not a JSON library for the whole record: a batch has thousands of changes of one shape, most of whose text is one of a
few pieces. What comes from outside (ids) goes through a JSON encoder; everything else is our own plain ASCII.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import numpy as np
from xxhash import xxh3_64_intdigest, xxh3_128_hexdigest

from schemas.change import SPEC
from schemas.currency import minor_digits, to_text
from segments import instant
from segments.model import NO_LABEL
from segments.rules import Rules
from state.record import Customers
from streams.changes import NO_EVENT, Cause, Changes, Moves, Steps
from streams.processor import slots_of, upcoming

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


class Message(NamedTuple):
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

    def encode(
        self,
        changes: Changes,
        customers: Customers,
        event_ids: Sequence[str],
        rules: Rules,
        old: Rules | None,
        at: Publication,
    ) -> tuple[list[Message], list[Message]]:
        """One message a change, in their order; and one for each customer that changed, as it was after its last.

        `old`: the rules before an adoption in progress.
        """
        if not len(changes):
            return [], []
        steps = self._steps(
            changes.steps, customers, event_ids, (_Words(rules, self._currency), _Words(old or rules, self._currency))
        )
        return self._changes(changes.moves, steps, at), self._current(changes.steps, steps, at)

    def current(self, customers: Customers, rules: Rules, at: Publication) -> list[Message]:
        """The segments of every one of `customers` as they are now."""
        fixed = customers.fixed
        slots = slots_of(rules)
        labels = fixed["labels"][:, slots]
        facts = customers.facts(slice(None))
        next_dimensions, next_labels, next_us = upcoming(rules, facts, fixed["concluded_us"], labels)
        count = len(customers)
        steps = Steps(
            rows=np.arange(count),
            effective_us=fixed["concluded_us"],
            causes=np.full(count, Cause.EVENT, dtype=np.uint8),
            events=np.full(count, NO_EVENT),
            labels=labels,
            since_us=fixed["since_us"][:, slots],
            versions=fixed["changes"].astype(np.int64),
            first_us=facts.first_us,
            last_us=facts.last_us,
            orders=facts.orders,
            net_minor=facts.net_minor,
            next_dimensions=next_dimensions,
            next_labels=next_labels,
            next_us=next_us,
            old_rules=np.zeros(count, dtype=np.bool_),
        )
        words = _Words(rules, self._currency)
        return self._current(steps, self._steps(steps, customers, (), (words, words)), at)

    def _steps(
        self, steps: Steps, customers: Customers, event_ids: Sequence[str], words: tuple["_Words", "_Words"]
    ) -> list["_Step"]:
        """The text that the changes of one step, and the customer's current segments, have in common."""
        first, last, then = (instant.to_texts(each) for each in (steps.first_us, steps.last_us, steps.next_us))
        known = zip(first, last, steps.orders.tolist(), steps.net_minor.tolist(), strict=True)
        nexts = zip(steps.next_dimensions.tolist(), steps.next_labels.tolist(), then, strict=True)
        causes = zip(steps.causes.tolist(), steps.events.tolist(), strict=True)
        effective = instant.to_texts(steps.effective_us)
        labels = map(bytes, np.ascontiguousarray(steps.labels))
        rows = zip(steps.rows.tolist(), steps.old_rules.tolist(), effective, causes, labels, known, nexts, strict=True)
        texts = []
        for row, by_old, moment, (cause, event), codes, facts, following in rows:
            said = words[by_old]
            customer_id = customers.ids[row]
            key = customer_id.encode()
            segments = said.segments(codes)
            by = f',"event_id":{self._quoted(event_ids[event])}' if event >= 0 else ""
            after = f'"facts":{self._facts(*facts)},"next":{said.following(*following)}{said.tail}{self._holdout(key)}'
            texts.append(
                _Step(
                    words=said,
                    key=key,
                    effective=moment.encode(),
                    who=f'"customer_id":{self._quoted(customer_id)}',
                    segments=segments,
                    then=f'"effective_at":"{moment}","cause":{{"kind":"{CAUSES[cause]}"{by}}},"segments":{segments},{after}',
                    after=after,
                )
            )
        return texts

    def _changes(self, moves: Moves, steps: list["_Step"], at: Publication) -> list[Message]:
        position = self._json.encode(at.position).decode()
        end = f',"detected_at":"{instant.to_text(at.detected_us)}","position":{position},"mode":"{at.mode}"}}'.encode()
        mode = ("mode", at.mode.encode())
        columns = zip(
            moves.steps.tolist(),
            moves.dimensions.tolist(),
            moves.previous.tolist(),
            moves.current.tolist(),
            instant.to_texts(moves.previous_since_us),
            moves.versions.tolist(),
            strict=True,
        )
        messages = []
        for number, dimension, previous, current, since, version in columns:
            step = steps[number]
            moved, told = step.words.move(dimension, previous, current)
            stable = f'{step.who},{moved},"previous_since":{_time(since)},"version":{version},{step.then}'.encode()
            change_id = xxh3_128_hexdigest(stable).encode()
            value = b'{"change_id":"%b",%b%b' % (change_id, stable, end)
            headers = [("ce_id", change_id), ("ce_time", step.effective), *told, mode]
            messages.append(Message(step.key, value, headers))
        return messages

    def _current(self, columns: Steps, steps: list["_Step"], at: Publication) -> list[Message]:
        last = dict(zip(columns.rows.tolist(), range(len(steps)), strict=True))  # the last step of each customer
        taken = np.fromiter(last.values(), dtype=np.intp, count=len(last))
        since = zip(*(instant.to_texts(each) for each in columns.since_us[taken].T), strict=True)
        end = f',"updated_at":"{instant.to_text(at.detected_us)}"}}'
        messages = []
        for number, version, times in zip(taken.tolist(), columns.versions[taken].tolist(), since, strict=True):
            step = steps[number]
            value = (
                f'{{{step.who},"version":{version},"segments":{step.segments},'
                f'"since":{step.words.since(times)},{step.after}{end}'
            )
            messages.append(Message(step.key, value.encode(), []))
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


class _Step(NamedTuple):
    """Pieces of text of one step."""

    words: "_Words"
    key: bytes
    effective: bytes
    who: str
    segments: str
    then: str  # a change's members from effective_at on, but for those that may differ
    after: str  # those from facts on


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
