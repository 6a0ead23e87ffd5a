"""Bad input: one dead letter each, a reason to act on, and nothing else is changed (I6 of docs/architecture.md)."""

import json
import random
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import pytest

from segflow.engine.columns.events import INTERACTIONS, PURCHASES, none
from segflow.engine.commit.execute import CommitResult
from segflow.engine.commit.plan import plan_for
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.file_run import MemoryShard
from segflow.schemas.change import DeadLetter
from segflow.schemas.settings import Settings
from segflow.segments.instant import LATEST_US, to_us
from segflow.segments.rules import from_settings
from tests.support.agreement import by_customer, parsed
from tests.support.histories import START

SETTINGS: Final = Settings.model_validate({"rates": {"USD": "0.9"}})
PARTITION: Final = 3
NAMES: Final = (SETTINGS.kafka.topics.purchases, SETTINGS.kafka.topics.interactions)

Record = tuple[bytes | None, bytes | None]
"""Key and value."""


@dataclass(slots=True)
class Inputs:
    """A shard fed from two topics, commit by commit, as a worker feeds it."""

    shard: MemoryShard = field(
        default_factory=lambda: MemoryShard(SETTINGS, RuleVersions(from_settings(SETTINGS)), PARTITION)
    )
    decoders: tuple[Decoder, Decoder] = field(
        default_factory=lambda: (Decoder(SETTINGS, PURCHASES), Decoder(SETTINGS, INTERACTIONS))
    )
    changes: list[dict[str, Any]] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    applied: int = 0
    duplicates: int = 0

    def commit(
        self, purchases: Sequence[Record], interactions: Sequence[Record] = (), future_us: int = LATEST_US
    ) -> CommitResult:
        """One commit of the next records of both topics."""
        head = self.shard.head
        chunks = [
            decoder.decode(
                [value for _, value in records], [key for key, _ in records], range(start, start + len(records))
            )
            if records
            else none()
            for decoder, records, start in zip(
                self.decoders,
                (purchases, interactions),
                (head.purchases.offset, head.interactions.offset),
                strict=True,
            )
        ]
        plan = plan_for(
            SETTINGS,
            head,
            purchases_to=head.purchases.offset + len(purchases),
            interactions_to=head.interactions.offset + len(interactions),
            wall_us=0,
            rules=0,
        )
        plan = msgspec.structs.replace(plan, future_us=future_us)
        result = self.shard.executor.execute(plan, chunks[0], chunks[1], head, self.shard.store)
        self.shard.store.commit(result.write)
        self.changes += parsed(message.value for message in result.changes)
        self.dead += [DeadLetter.model_validate_json(message.value) for message in result.dead]
        self.applied += result.events - result.duplicates
        self.duplicates += result.duplicates
        return result

    def sweep(self) -> None:
        """Everybody up to C."""
        while self.commit([]).swept:
            pass


def event(number: int, day: int = 0, **fields: Any) -> dict[str, Any]:
    """A purchase on that day, unless the fields say otherwise."""
    body = {"event_id": f"e{number}", "customer_id": "c1", "occurred_at": f"2024-02-{day + 1:02}T00:00:00Z"}
    if fields.get("type", "purchase") in ("purchase", "refund"):
        body |= {"type": "purchase", "order_id": "o", "amount": "30.00"}
    return body | fields


def record(body: dict[str, Any]) -> Record:
    """The event under its key."""
    return str(body["customer_id"]).encode(), json.dumps(body, ensure_ascii=False).encode()


def spoilt(**fields: Any) -> Record:
    """A purchase far in the future of the log, with some fields otherwise; None leaves one out."""
    body = {**event(50, occurred_at="2031-01-01T00:00:00Z"), **fields}
    return b"c1", json.dumps({name: value for name, value in body.items() if value is not ...}).encode()


def text(instead: str, of: str = '"30.00"') -> Record:
    """The purchase with a piece of its text otherwise."""
    key, value = spoilt()
    assert value is not None
    assert of.encode() in value
    return key, value.replace(of.encode(), instead.encode())


GOOD: Final = record(event(60, occurred_at="2031-01-01T00:00:00Z"))[1] or b""

# name: the record, its topic, the kind of reason, and words of the reason.
BAD: Final[dict[str, tuple[Record, int, str, Sequence[str]]]] = {
    "not UTF-8": ((b"c1", GOOD[:-2] + b'\xff"}'), PURCHASES, "not_utf8", ["not UTF-8", "byte", "0xff"]),
    "UTF-16": ((b"c1", GOOD.decode().encode("utf-16")), PURCHASES, "not_utf8", ["not UTF-8", "byte 0 is 0xff"]),
    "not JSON": ((b"c1", b"purchase;c1;30.00"), PURCHASES, "not_json", ["not JSON", "character 1 of 17"]),
    "JSON cut short": ((b"c1", GOOD[:-5]), PURCHASES, "not_json", ["not JSON", "ends too early"]),
    "two values": ((b"c1", GOOD + GOOD), PURCHASES, "not_json", ["not JSON", f"character {len(GOOD) + 1} of"]),
    "empty": ((b"c1", b""), PURCHASES, "not_json", ["not JSON", "empty"]),
    "an array": ((b"c1", b"[" + GOOD + b"]"), PURCHASES, "not_object", ["no object", "an array"]),
    "nested without end": (text("[" * 3000 + "]" * 3000), PURCHASES, "too_deep", ["nested deeper than 200"]),
    "a tombstone": ((b"c1", None), PURCHASES, "tombstone", ["tombstone", "send an erase event"]),
    "no type": (spoilt(type=...), PURCHASES, "missing_field", ["type: is missing"]),
    "an unknown type": (
        spoilt(type="sale"),
        PURCHASES,
        "unknown_type",
        ["type: is 'sale'", "one of purchase, refund"],
    ),
    "no event_id": (spoilt(event_id=...), PURCHASES, "missing_field", ["event_id: is missing"]),
    "no customer_id": (spoilt(customer_id=...), PURCHASES, "missing_field", ["customer_id: is missing"]),
    "no occurred_at": (spoilt(occurred_at=...), PURCHASES, "missing_field", ["occurred_at: is missing"]),
    "no amount": (spoilt(amount=...), PURCHASES, "missing_field", ["amount: is missing"]),
    "no order_id": (spoilt(order_id=...), PURCHASES, "missing_field", ["order_id: is missing"]),
    "an empty event_id": (spoilt(event_id=""), PURCHASES, "bad_field", ["event_id: must not be empty"]),
    "a long event_id": (spoilt(event_id="x" * 129), PURCHASES, "bad_field", ["event_id", "at most 128 characters"]),
    "a number as event_id": (spoilt(event_id=5), PURCHASES, "bad_field", ["event_id: must be a text"]),
    "half a character": (text('"e\\ud800"', '"e50"'), PURCHASES, "bad_field", ["event_id: has half a character"]),
    "a naive time": (
        spoilt(occurred_at="2031-01-01T00:00:00"),
        PURCHASES,
        "bad_field",
        ["occurred_at", "no offset", "Z"],
    ),
    "a date": (spoilt(occurred_at="2031-01-01"), PURCHASES, "bad_field", ["occurred_at", "2026-03-02T09:15:00Z"]),
    "no day": (spoilt(occurred_at="2031-02-29T00:00:00Z"), PURCHASES, "bad_field", ["occurred_at: names a day"]),
    "a time of another calendar": (
        spoilt(occurred_at="0001-01-01T00:00:00+01:00"),
        PURCHASES,
        "bad_field",
        ["occurred_at", "1 to 9999"],
    ),
    "a Unix time": (spoilt(occurred_at=1925000000), PURCHASES, "bad_field", ["occurred_at", "must be a time such as"]),
    "NaN": (text("NaN"), PURCHASES, "not_json", ["NaN is no JSON number"]),
    "NaN in a string": (spoilt(amount="NaN"), PURCHASES, "bad_field", ["amount", "no decimal"]),
    "an infinite amount": (text("-Infinity"), PURCHASES, "not_json", ["-Infinity is no JSON number"]),
    "a negative amount": (spoilt(amount=-1), PURCHASES, "bad_field", ["amount: must be 0 or more"]),
    "a negative discount": (
        spoilt(discount="-0.01"),
        PURCHASES,
        "bad_field",
        ["discount: must be 0 or more"],
    ),
    "an amount with a comma": (
        spoilt(amount="12,50"),
        PURCHASES,
        "bad_field",
        ["amount", "'12,50' is no decimal number"],
    ),
    "an amount beyond money": (
        spoilt(amount="1e12"),
        PURCHASES,
        "bad_field",
        ["amount", "must be below 1000000000000"],
    ),
    "an amount beyond numbers": (text("1e1000000"), PURCHASES, "bad_field", ["amount", "must be below"]),
    "an amount beyond exponents": (text("1e99999999999999999999"), PURCHASES, "bad_field", ["amount", "finite"]),
    "an amount beyond digits": (text("9" * 5000), PURCHASES, "bad_field", ["amount", "must be below"]),
    "a truth as amount": (spoilt(amount=True), PURCHASES, "bad_field", ["amount", "must be a decimal"]),
    "no money as amount": (spoilt(amount=None), PURCHASES, "bad_field", ["amount", "must be a decimal"]),
    "a refund of nothing": (spoilt(type="refund", amount=0), PURCHASES, "bad_field", ["amount: must be more than 0"]),
    "a refund full of words": (
        spoilt(type="refund", full="yes"),
        PURCHASES,
        "bad_field",
        ["full: must be true"],
    ),
    "an unknown currency": (
        spoilt(currency="XXX"),
        PURCHASES,
        "unknown_currency",
        ["XXX", "no rate in the settings", "EUR, USD"],
    ),
    "no currency": (spoilt(currency="euro"), PURCHASES, "bad_field", ["currency: must be a currency of ISO 4217"]),
    "another's key": (
        (b"c2", spoilt()[1]),
        PURCHASES,
        "key_mismatch",
        ["the key 'c2'", "'c1'", "must be"],
    ),
    "no key": ((None, spoilt()[1]), PURCHASES, "key_mismatch", ["no key", "must be the customer_id"]),
    "too large": (spoilt(channel="x" * 70_000), PURCHASES, "oversized", ["worker.record_max_bytes = 65536"]),
    "a purchase among interactions": (spoilt(), INTERACTIONS, "wrong_topic", ["purchase", "other input topic"]),
    "a visit among purchases": (
        spoilt(type="interaction", kind="visit"),
        PURCHASES,
        "wrong_topic",
        ["interaction", "other input topic"],
    ),
    "a visit of no kind": (spoilt(type="interaction"), INTERACTIONS, "missing_field", ["kind: is missing"]),
    "a score of eleven": (spoilt(type="feedback", score=11), INTERACTIONS, "bad_field", ["score: must be 10 or less"]),
    "half a score": (spoilt(type="feedback", score=7.5), INTERACTIONS, "bad_field", ["score: must be a whole number"]),
    "a payment never due": (
        spoilt(type="payment", invoice_id="i"),
        INTERACTIONS,
        "missing_field",
        ["due_at: is missing"],
    ),
    "an alias of nobody": (spoilt(type="alias"), INTERACTIONS, "missing_field", ["previous_id: is missing"]),
    "an erase among purchases": (spoilt(type="erase"), PURCHASES, "wrong_topic", ["erase", "other input topic"]),
}

LOG: Final = [record(event(number, number)) for number in range(4)]
VISITS: Final = [record(event(10 + number, number, type="interaction", kind="visit")) for number in range(4)]


def fed(bad: Record | None, topic: int) -> Inputs:
    """The shard after a log with or without the bad record in its middle, and one commit after it."""
    inputs = Inputs()
    batches = [LOG[:2], VISITS[:2]]
    if bad is not None:
        batches[topic] = [batches[topic][0], bad, batches[topic][1]]
    inputs.commit(batches[PURCHASES], batches[INTERACTIONS])
    inputs.commit(LOG[2:], VISITS[2:])
    inputs.sweep()
    return inputs


@pytest.mark.parametrize("name", BAD)
def test_a_bad_record_gives_one_dead_letter_and_changes_nothing_else(name: str) -> None:
    """The letter says what, where and why; changes, customers and the clock are those of the log without it."""
    (key, value), topic, kind, words = BAD[name]
    inputs, clean = fed((key, value), topic), fed(None, topic)
    (letter,) = inputs.dead
    assert letter.kind == kind
    for word in words:
        assert word in letter.reason
    assert (letter.topic, letter.partition, letter.offset) == (NAMES[topic], PARTITION, 1)
    assert (None if letter.key is None else b64decode(letter.key)) == key
    assert (None if letter.value is None else b64decode(letter.value)) == (None if value is None else value[:65_536])
    assert letter.cut == (kind == "oversized")
    assert (inputs.applied, inputs.duplicates) == (8, 0)
    assert by_customer(inputs.changes) == by_customer(clean.changes)
    found, expected = inputs.shard.head, clean.shard.head
    assert (found.clock_us, found.population) == (expected.clock_us, expected.population)
    assert inputs.shard.store.load(["c1", "c2"]) == clean.shard.store.load(["c1", "c2"])


def test_an_event_of_the_future_is_a_dead_letter_and_does_not_age_anybody() -> None:
    """One bad clock moves neither the shard's clock nor a customer; on the last allowed instant it would."""
    limit_us = to_us(START)
    for ahead, refused in ((0, False), (1, True)):
        inputs = Inputs()
        inputs.commit(LOG[:1], future_us=limit_us)
        before = inputs.shard.head.clock_us
        late = event(50, occurred_at=f"2024-02-20T00:00:00.00000{ahead}Z")
        result = inputs.commit([record(late)], future_us=limit_us)
        assert result.dead_kinds == ["future"] * refused
        assert inputs.shard.head.clock_us == (before if refused else limit_us)
        assert (inputs.applied, inputs.duplicates) == (2 - refused, 0)
        for letter in inputs.dead:
            assert "further ahead of this machine's clock than worker.future_max" in letter.reason
            assert b64decode(letter.value or "") == record(late)[1]


def test_a_repeat_is_counted_and_is_no_dead_letter() -> None:
    """The second of two equal events changes nothing and is not bad."""
    inputs = Inputs()
    inputs.commit([LOG[0], LOG[0]])
    assert (inputs.applied, inputs.duplicates, inputs.dead) == (1, 1, [])


def random_event(dice: random.Random) -> tuple[dict[str, Any], int]:
    """A valid event and its topic; ids come up again."""
    body: dict[str, Any] = {
        "event_id": f"e{dice.randrange(30)}",
        "customer_id": f"c{dice.randrange(2000)}",
        "occurred_at": f"20{dice.randrange(20, 26)}-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}T00:00:00Z",
    }
    kind = dice.choice(
        ["purchase", "purchase", "refund", "interaction", "interaction", "feedback", "payment", "profile"]
    )
    body["type"] = kind
    if kind in ("purchase", "refund"):
        return body | {"order_id": "o", "amount": dice.choice([1, "20.00", 99.5, "250"])}, PURCHASES
    more: dict[str, dict[str, Any]] = {
        "interaction": {"kind": "visit"},
        "feedback": {"score": 8},
        "payment": {"invoice_id": "i", "due_at": body["occurred_at"], "amount": 1},
        "profile": {"attributes": {"a": 1}},
    }
    return body | more[kind], INTERACTIONS


def mutated(dice: random.Random, value: bytes) -> bytes:
    """The bytes with something wrong in a few places; some are still an event."""
    for _ in range(dice.randrange(1, 4)):
        place = dice.randrange(len(value) + 1)
        match dice.randrange(5):
            case 0:
                value = value[:place] + dice.randbytes(1) + value[place + 1 :]
            case 1:
                value = value[:place] + value[place + 1 :]
            case 2:
                value = (
                    value[:place]
                    + dice.choice([b'"', b"{", b"[", b",", b"\\", b"9", b"e", b"-", b"\xf0"])
                    + value[place:]
                )
            case 3:
                value = value[:place]
            case _:
                value = value.replace(*dice.choice([(b"1", b"null"), (b'"', b""), (b"Z", b"+25:00"), (b":", b"::")]), 1)
    return value


@pytest.mark.slow
def test_a_hundred_thousand_random_and_spoilt_records_lose_no_good_one() -> None:
    """Each is applied, a duplicate, or a dead letter; the changes are those of the good records alone."""
    dice = random.Random(20_240_220)
    log: list[tuple[int, Record, bool]] = []  # topic, record, whether it was left as it was
    for _ in range(100_000):
        body, topic = random_event(dice)
        key, value = record(body)
        assert value is not None
        lot = dice.random()
        if lot < 0.5:
            value = mutated(dice, value)
        elif lot < 0.6:
            value = dice.randbytes(dice.randrange(60))
        elif lot < 0.62:
            topic, key = dice.choice([(1 - topic, key), (topic, b"c-1"), (topic, None)])
        log.append((topic, (key, value), lot >= 0.62))
    everything, clean = Inputs(), Inputs()
    refused = 0
    for start in range(0, len(log), 5000):
        batch = log[start : start + 5000]
        inputs = [[(each, good) for topic, each, good in batch if topic == side] for side in (PURCHASES, INTERACTIONS)]
        before = everything.shard.head
        result = everything.commit([each for each, _ in inputs[0]], [each for each, _ in inputs[1]])
        letters = everything.dead[-len(result.dead) :]
        dead = {(letter.topic, letter.offset) for letter in letters}
        assert len(dead) == len(letters)
        kept: list[list[Record]] = []
        for name, position, records in zip(NAMES, (before.purchases, before.interactions), inputs, strict=True):
            bad = [(name, position.offset + place) in dead for place in range(len(records))]
            assert not any(is_bad and good for is_bad, (_, good) in zip(bad, records, strict=True))
            kept.append([each for is_bad, (each, _) in zip(bad, records, strict=True) if not is_bad])
            refused += sum(bad)
        clean.commit(kept[0], kept[1])
    everything.sweep()
    clean.sweep()
    assert refused == len(everything.dead) > 30_000
    assert everything.applied + everything.duplicates + len(everything.dead) == len(log)
    assert everything.duplicates > 1000
    assert clean.dead == []
    assert (clean.applied, clean.duplicates) == (everything.applied, everything.duplicates)
    assert by_customer(clean.changes) == by_customer(everything.changes)
    assert len(everything.changes) > 10_000
    assert all(letter.reason and letter.kind for letter in everything.dead)
