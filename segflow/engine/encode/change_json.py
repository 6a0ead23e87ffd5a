"""Changes and current segments as JSON bytes.

Not a JSON library for the whole record: a batch has thousands of changes of one shape, most of whose text is one of a
few pieces, so it is put together in columns. What comes from outside (ids) goes through a JSON encoder; everything else
is our own plain ASCII.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest, xxh3_128_digest

from segflow.engine.advance.forecast import next_changes
from segflow.engine.advance.label_codes import REMOVED, Codes, removed_labels
from segflow.engine.columns import messages, text, varint
from segflow.engine.columns.changes import NO_EVENT, Cause, Changes, Shares, Steps
from segflow.engine.columns.messages import Messages
from segflow.engine.columns.text import Text, gathered, joined, whole
from segflow.schemas.change import SPEC
from segflow.schemas.currency import minor_digits
from segflow.segments import instant
from segflow.segments.at_stake import AtStake
from segflow.segments.facts import Labels
from segflow.segments.instant import NEVER, UNKNOWN
from segflow.segments.model import NO_LABEL
from segflow.segments.rules import Rules
from segflow.state.customers import Customers

WORDS_KEPT: Final = 4
"""Pairs of rules whose pieces of text an encoder keeps: while new rules come to customers, a commit has two."""
HOLDOUT_SCALE: Final = 2**64
CAUSES: Final = text.column([b'"cause":{"kind":"%b"' % cause.name.lower().encode() for cause in Cause])
ID_LENGTH: Final = 32  # of a change id: 128 bits in hexadecimal
ALIKE: Final = (
    ("ce_specversion", b"1.0"),
    ("ce_type", b"segflow.change"),
    ("ce_source", b"segflow"),
    ("content-type", b"application/json"),
)
"""Headers that all changes have in common."""
MODES: Final = (b"backfill", b"live")
NO_HEADERS: Final = text.column([messages.written(())])

FLAGS: Final = text.column([b"false", b"true"])

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """The place and time at which a shard's batch was worked on. Only this may differ between two runs of a history."""

    detected_us: int
    position: dict[str, int]  # topic -> offset up to which it was read
    live_from_us: int  # changes from here on are live, those from before backfill; NEVER: all are history
    every_alert: bool = False  # alerts of history, too, of which a worker tells nobody


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """The messages that one shard's batch publishes."""

    changes: Messages  # in their order
    alerts: Messages  # those of the changes that are alerts
    current: Callable[[], Messages]  # makes one for each customer that changed, as it was after its last change
    change_ids: bytes  # hashes of the changes' content, one behind the other


NOTHING: Final = Encoded(changes=messages.NONE, alerts=messages.NONE, current=lambda: messages.NONE, change_ids=b"")


class Encoder:
    """Writes what a batch found. `currency` is the settings'. For any number of threads."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._digits = minor_digits(currency)
        self._json = msgspec.json.Encoder()
        self._words: tuple[_Words, ...] = ()  # replaced as a whole: commits of several threads share an encoder

    def encode(
        self,
        changes: Changes,
        shares: Shares,
        customers: Customers,
        event_ids: Sequence[str],
        occurred_us: npt.NDArray[np.int64],
        rules: Rules,
        old: Rules | None,
        at: Sequence[Publication],
        later: Changes | None = None,
    ) -> list[Encoded]:
        """The messages of `changes`, made under `rules`: those of each shard, of which `shares` says which they are.

        `event_ids`, `occurred_us`: of the batch's events. `old`: the rules before an adoption in progress. `at`: of
        each shard. `later`: what the same batch changed afterwards under other rules; the segments its customers have
        then are current, not these.
        """
        if not len(changes.steps):
            return [NOTHING] * len(shares)
        words = self._words_of(rules, old or rules)
        *moments, since = text.moments([*_times(changes.steps), changes.moves.previous_since_us])
        steps = self._steps(changes.steps, moments, customers, event_ids, words)
        live = _live(changes, occurred_us, shares, at)
        change_ids, published = self._changes(changes, steps, since, words, shares, at, live)
        passed = None if later is None else later.steps.rows
        current = cache(lambda: self._current(changes.steps, steps, words, shares, at, passed))
        return [
            Encoded(
                changes=its_changes,
                alerts=its_alerts,
                current=lambda shard=shard: current()[shard],  # type: ignore[misc]  # its own, not the last one
                change_ids=change_ids[ID_LENGTH * shares.moves[shard] : ID_LENGTH * shares.moves[shard + 1]],
            )
            for shard, (its_changes, its_alerts) in enumerate(
                zip(
                    published.cut(shares.moves.tolist()),
                    self._alerts(changes, rules, published, shares, live | at[0].every_alert),
                    strict=True,
                )
            )
        ]

    def current(self, customers: Customers, rules: Rules, at: Publication) -> Messages:
        """The segments of every one of `customers` as they are now."""
        fixed = customers.fixed
        labels = customers.labels(rules.names)
        facts = customers.facts(slice(None), rules.looked_at)
        coming = next_changes(rules, facts, fixed["concluded_us"], labels)
        count = len(customers)
        stakes = AtStake.unknown(count)
        steps = Steps(
            rows=np.arange(count),
            effective_us=fixed["concluded_us"],
            causes=np.full(count, Cause.EVENT, dtype=np.uint8),
            events=np.full(count, NO_EVENT),
            labels=labels,
            since_us=customers.since_us(rules.names),
            versions=fixed["changes"].astype(np.int64),
            first_us=facts.first_us,
            last_us=facts.last_us,
            orders=facts.orders,
            net_minor=facts.net_minor,
            last_12_months_minor=stakes.last_12_months_minor,
            clv_minor=stakes.clv_minor,
            next_dimensions=coming.dimensions,
            next_labels=coming.labels,
            next_us=coming.at_us,
        )
        words = self._words_of(rules, rules)
        texts = self._steps(steps, text.moments(_times(steps)), customers, (), words)
        everybody = Shares(np.array([0, count]), np.zeros(2, dtype=np.intp))
        (found,) = self._current(steps, texts, words, everybody, [at])
        return found

    def _words_of(self, rules: Rules, old: Rules) -> "_Words":
        for words in self._words:
            if words.rules is rules and words.old is old:
                return words
        words = _Words(rules, old, self._currency)
        self._words = (words, *self._words[: WORDS_KEPT - 1])
        return words

    def _steps(
        self, steps: Steps, moments: Sequence[Text], customers: Customers, event_ids: Sequence[str], words: "_Words"
    ) -> "_StepTexts":
        """The text that the changes of one step, and the customer's current segments, have in common."""
        ids = [customers.ids[row] for row in steps.rows.tolist()]
        first, last, effective, following = moments
        coming = np.where(steps.next_us == NEVER, 0, words.places(steps.next_dimensions, steps.next_labels))
        labels = (gathered(words.segments, words.places(k, codes)) for k, codes in enumerate(steps.labels.T))
        return _StepTexts(
            keys=text.column([each.encode() for each in ids]),
            who=text.column(self._lines(ids)),
            effective=effective,
            cause=joined(gathered(CAUSES, steps.causes), self._events(steps.events, event_ids)),
            segments=joined(*labels, b"}"),
            after=joined(
                b'"facts":{"first_purchase_at":',
                first,
                b',"last_purchase_at":',
                last,
                b',"frequency":',
                whole(steps.orders),
                b',"monetary":"',
                text.money(steps.net_minor, self._digits),
                b'"},"next":',
                gathered(words.nexts, coming),
                following,
                gathered(words.tails, (coming > 0).astype(np.intp)),
                _holdout(words.rules.holdout_share, ids),
            ),
        )

    def _changes(
        self,
        changes: Changes,
        steps: "_StepTexts",
        since: Text,
        words: "_Words",
        shares: Shares,
        at: Sequence[Publication],
        live: npt.NDArray[np.bool_],
    ) -> tuple[bytes, Messages]:
        """The changes' ids, one behind the other, and the changes."""
        moves, who = changes.moves, changes.moves.steps
        was, now = (words.places(moves.dimensions, codes) for codes in (moves.previous, moves.current))
        effective = gathered(steps.effective, who)
        stable = joined(
            b'"customer_id":',
            gathered(steps.who, who),
            gathered(words.previous, was),
            gathered(words.current, now),
            since,
            b',"version":',
            whole(moves.versions),
            b',"effective_at":',
            effective,
            b",",
            gathered(joined(steps.cause, b"},", steps.segments, b",", steps.after), who),
        )
        change_ids = b"".join([xxh3_128_digest(piece) for piece in text.pieces(stable)]).hex().encode()
        id_column = text.fixed_width(change_ids, ID_LENGTH)
        modes = 2 * _shards(shares) + live  # places in tables with a piece for each shard and each mode
        places = text.column([self._place(each, mode) for each in at for mode in MODES])
        values = joined(b'{"change_id":"', id_column, b'",', stable, gathered(places, modes))
        keys = gathered(steps.keys, who)
        headers = joined(
            varint.encode(len(ALIKE) + 6) + messages.opening("ce_id") + varint.encode(ID_LENGTH),
            id_column,
            messages.opening("ce_time"),
            varint.column(text.lengths(effective) - 2),
            text.unquoted(effective),
            gathered(text.column([_alike(mode) for _ in at for mode in MODES]), modes),
            gathered(words.previous_headers, was),
            gathered(words.current_headers, now),
        )
        return change_ids, Messages(keys, values, headers)

    def _place(self, at: Publication, mode: bytes) -> bytes:
        """The last fields of a change, and its closing brace."""
        detected = instant.to_text(at.detected_us).encode()
        return b',"detected_at":"%b","position":%b,"mode":"%b"}' % (
            detected,
            self._json.encode(at.position),
            mode,
        )

    def _alerts(
        self,
        changes: Changes,
        rules: Rules,
        published: Messages,
        shares: Shares,
        wanted: npt.NDArray[np.bool_],
    ) -> list[Messages]:
        """Those `wanted` of the published changes that are alerts, by shard: with what is at stake."""
        steps, moves = changes.steps, changes.moves
        if not rules.actions.alerts:
            return [messages.NONE] * len(shares)
        chosen = np.flatnonzero(rules.alerts(steps.labels)[moves.steps, moves.dimensions] & wanted)
        if not len(chosen):
            return [messages.NONE] * len(shares)
        lifetime, year, clv = (
            self._money(column[moves.steps[chosen]])
            for column in (steps.net_minor, steps.last_12_months_minor, steps.clv_minor)
        )
        values = joined(
            text.without_end(gathered(published.values, chosen)),
            b',"at_stake":{"lifetime":',
            lifetime,
            b',"last_12_months":',
            year,
            b',"clv":',
            clv,
            b"}}",
        )
        alerts = Messages(gathered(published.keys, chosen), values, gathered(published.headers, chosen))
        return alerts.cut(np.searchsorted(chosen, shares.moves).tolist())

    def _money(self, amounts_minor: npt.NDArray[np.int64]) -> Text:
        """Each amount as a JSON string; UNKNOWN is null."""
        known = np.flatnonzero(amounts_minor != UNKNOWN)
        quoted = joined(b'"', text.money(amounts_minor[known], self._digits), b'"') if len(known) else text.column([])
        places = np.zeros(len(amounts_minor), dtype=np.intp)
        places[known] = np.arange(1, len(known) + 1)
        return gathered(text.end_to_end([text.column([b"null"]), quoted]), places)

    def _current(
        self,
        columns: Steps,
        steps: "_StepTexts",
        words: "_Words",
        shares: Shares,
        at: Sequence[Publication],
        passed: Places | None = None,
    ) -> list[Messages]:
        """By shard, the segments of each customer after the last step."""
        rows = columns.rows
        last = len(rows) - 1 - np.unique(rows[::-1], return_index=True)[1]  # the last step of each customer
        last.sort()
        if passed is not None:
            last = last[~np.isin(rows[last], passed)]
        ends = np.searchsorted(last, shares.steps)
        updated = text.column([b',"updated_at":"%b"}' % instant.to_text(each.detected_us).encode() for each in at])
        moments = text.moments(list(columns.since_us[last].T))
        since = [part for both in zip(words.starts, moments, strict=True) for part in both]
        values = joined(
            b'{"customer_id":',
            gathered(steps.who, last),
            b',"version":',
            whole(columns.versions[last]),
            b",",
            gathered(steps.segments, last),
            b',"since":{',
            *since,
            b"},",
            gathered(steps.after, last),
            gathered(updated, np.repeat(np.arange(len(shares)), np.diff(ends))),
        )
        gone = (columns.labels[last] == NO_LABEL).all(axis=1)  # erased, or merged into another
        if gone.any():
            values = text.blanked(values, gone)
        headers = gathered(NO_HEADERS, np.zeros(len(last), dtype=np.int8))
        return Messages(gathered(steps.keys, last), values, headers).cut(ends.tolist())

    def _lines(self, texts: Sequence[str]) -> list[bytes]:
        """Each text as a JSON string, in which a line break is escaped."""
        return self._json.encode_lines(texts).split(b"\n")[:-1]

    def _events(self, events: npt.NDArray[np.int64], event_ids: Sequence[str]) -> Text:
        """The cause's `event_id` member; empty where the step was no event."""
        happened = np.flatnonzero(events != NO_EVENT)
        named = self._lines([event_ids[event] for event in events[happened].tolist()])
        places = np.zeros(len(events), dtype=np.intp)
        places[happened] = np.arange(1, len(happened) + 1)
        return gathered(text.column([b"", *(b',"event_id":%b' % each for each in named)]), places)


def _alike(mode: bytes) -> bytes:
    """The headers that all changes of a mode have in common."""
    return b"".join(messages.header(*each) for each in (*ALIKE, ("mode", mode)))


def _shards(shares: Shares) -> Places:
    """The place of each change's shard."""
    return np.repeat(np.arange(len(shares)), np.diff(shares.moves))


def _live(
    changes: Changes, occurred_us: npt.NDArray[np.int64], shares: Shares, at: Sequence[Publication]
) -> npt.NDArray[np.bool_]:
    """A mask of the live changes: both `effective_at` and the causing event are at or after `live_from_us`."""
    steps = changes.moves.steps
    effective_us, causing = changes.steps.effective_us[steps], changes.steps.events[steps]
    since_us = effective_us.copy()
    happened = causing != NO_EVENT
    since_us[happened] = np.minimum(since_us[happened], occurred_us[causing[happened]])
    live: npt.NDArray[np.bool_] = since_us >= np.array([each.live_from_us for each in at])[_shards(shares)]
    return live


def _holdout(share: float, ids: Sequence[str]) -> Text | bytes:
    """Whether a fixed share of customers, by hash, has this one in the control group."""
    below = int(share * HOLDOUT_SCALE)
    if not below:
        return b"false"
    held = [xxh3_64_intdigest(customer_id.encode()) < below for customer_id in ids]
    return gathered(FLAGS, np.array(held, dtype=np.int8))


@dataclass(frozen=True, kw_only=True, slots=True)
class _StepTexts:
    """Pieces of text of m steps."""

    keys: Text
    who: Text  # the customer id as a JSON string
    effective: Text
    cause: Text  # without the brace behind it
    segments: Text
    after: Text  # facts and what comes behind them


class _Words:
    """The recurring pieces of text under `rules`, `old` being the rules before them.

    One table a kind of piece, all with the same places: one for each label of each model, one for its null, and one for
    each label that the old rules had and these lack.
    """

    def __init__(self, rules: Rules, old: Rules, currency: str) -> None:
        self.rules, self.old = rules, old
        before = {model.name: model for model in old.models}
        gone = [removed_labels(before.get(model.name, model), model) for model in rules.models]
        counts = [len(model.labels) + 1 + len(more) for model, more in zip(rules.models, gone, strict=True)]
        self._firsts = np.cumsum([1, *counts])[:-1]
        self._nulls = self._firsts + np.array([len(model.labels) for model in rules.models])
        words = [
            (model.name.encode(), label.encode() if label is not None else None, b"," if place else b'"segments":{')
            for place, model in enumerate(rules.models)
            for label in (*model.labels, None, *gone[place])
        ]
        quoted = [(name, b"null" if label is None else b'"%b"' % label, start) for name, label, start in words]
        self.segments = _table(b'%b"%b":%b' % (start, name, label) for name, label, start in quoted)
        self.previous = _table(b',"dimension":"%b","previous":%b' % (name, label) for name, label, _ in quoted)
        self.current = _table(
            b',"current":%b%b,"previous_since":' % (quote, self._strategy(name, label))
            for (name, label, _), (_, quote, _) in zip(words, quoted, strict=True)
        )
        self.nexts = _table(b'{"dimension":"%b","label":%b,"at":' % (name, label) for name, label, _ in quoted)
        self.previous_headers = _table(
            messages.header("dimension", name) + messages.header("previous", label or b"null")
            for name, label, _ in words
        )
        self.current_headers = _table(messages.header("current", label or b"null") for _, label, _ in words)
        self.tails = text.column(
            [
                b'%b,"currency":"%b","definition":%d,"cuts":%d,"spec":%d,"holdout":'
                % (end, currency.encode(), rules.definition, rules.cuts.version, SPEC)
                for end in (b"", b"}")  # of `next`, where there is one
            ]
        )
        names = [name.encode() for name in rules.names]
        self.starts = [b'"%b":' % name if not place else b',"%b":' % name for place, name in enumerate(names)]

    def _strategy(self, name: bytes, label: bytes | None) -> bytes:
        """The member of a change into the label, empty where it has no strategy."""
        found = self.rules.actions.strategies.get((name.decode(), (label or b"").decode()))
        return b"" if found is None else b',"strategy":{"name":"%b","priority":%d}' % (found[0].encode(), found[1])

    def places(self, dimensions: Places | int, codes: Labels | Codes) -> Places:
        """The places of the labels `codes` in the tables; from REMOVED on they are those of the old rules."""
        nulls = self._nulls[dimensions]
        known = np.where(codes == NO_LABEL, nulls, self._firsts[dimensions] + codes)
        places: Places = np.where(codes >= REMOVED, nulls + 1 + codes - REMOVED, known)
        return places


def _times(steps: Steps) -> list[npt.NDArray[np.int64]]:
    """The columns of times of which `_steps` needs the text."""
    return [steps.first_us, steps.last_us, steps.effective_us, steps.next_us]


def _table(pieces: Iterable[bytes]) -> Text:
    """The pieces from place 1 on; nothing at 0."""
    return text.column([b"", *pieces])
