"""Whatever a record holds, the messages that come of it fit into a topic: one that Kafka refuses stalls its shard."""

import json
from base64 import b64decode
from hashlib import sha256
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from segflow.engine.columns.messages import Message, Messages
from segflow.engine.columns.oversized import OversizedBatch
from segflow.engine.commit.execute import CommitResult
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.file_run import FileRun, MemoryShard
from segflow.schemas.settings import Settings
from segflow.schemas.worker_settings import RECORD_MAX_BYTES
from segflow.segments.rules import from_settings
from segflow.streams.publish.record_batch import batches
from tests.support.events import event
from tests.support.trials import trials

TOPIC_MAX_BYTES: Final = 2**20 + 12
"""Of a batch: `max.message.bytes` by default."""
LARGEST: Final = Settings.model_validate({"worker": {"record_max_bytes": RECORD_MAX_BYTES}})
lengths = st.one_of(
    st.integers(0, 2_000), st.sampled_from([65_536, 65_537, RECORD_MAX_BYTES, 600_000, 800_000, TOPIC_MAX_BYTES])
)
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256)


def largest(result: CommitResult) -> int:
    """Bytes of the largest message of a commit, in a batch of its own, packed by nothing."""
    listed: list[Message] = [*result.changes, *result.alerts, *result.current, *result.dead]
    listed += [message for _, message in result.handover]
    return max((len(batches(Messages.of([each]), 0, transactional=True)[0].built()) for each in listed), default=0)


def applied(settings: Settings, key: bytes | None, value: bytes | None) -> CommitResult:
    """What a shard makes of one record."""
    shard = MemoryShard(settings, RuleVersions(from_settings(settings)))
    return shard.feed(Decoder(settings, None).decode([value], [key], [7]), 0)


@example(customer="c1", key=600_000, pad=0, broken=False, keyed=False)
@given(customer=ids, key=lengths, pad=lengths, broken=st.booleans(), keyed=st.booleans())
@trials(60)
def test_any_record_gives_messages_that_fit(customer: str, key: int, pad: int, *, broken: bool, keyed: bool) -> None:
    """Keys and values of any length, usable and not."""
    value = json.dumps(event(1, 0, customer=customer) | {"channel": "x" * pad}, ensure_ascii=False).encode()
    value = value[: -1 if broken else None]
    result = applied(LARGEST, customer.encode() if keyed else b"k" * key, value)
    assert bool(result.dead) == (broken or not keyed or len(value) > RECORD_MAX_BYTES)
    assert 0 < largest(result) <= TOPIC_MAX_BYTES


@example(names=["c1", "c2"], pad=RECORD_MAX_BYTES - 1_000)
@example(names=["c1", "c2"], pad=800_000)
@given(names=st.lists(ids, min_size=2, max_size=2, unique=True), pad=lengths)
@trials(30)
def test_an_alias_of_any_length_is_handed_over_in_messages_that_fit(names: list[str], pad: int) -> None:
    """Each message between the shards carries the alias as it was read, and one of them a customer's record."""
    run = FileRun(settings=LARGEST, shards=3)
    log: list[dict[str, Any]] = [event(number, 0, customer=name) for number, name in enumerate(names)]
    alias = event(9, 1, customer=names[0]) | {"type": "alias", "previous_id": names[1], "channel": "x" * pad}
    for line in [*log, alias]:
        for result in run.feed([json.dumps(line, ensure_ascii=False).encode()], 0):
            assert largest(result) <= TOPIC_MAX_BYTES


@pytest.mark.parametrize(("length", "is_cut"), [(1024, False), (1025, True), (600_000, True)])
def test_a_long_key_is_cut_and_told_by_its_length_and_hash(length: int, *, is_cut: bool) -> None:
    """The beginning stands in the letter and is its own key; a key that any customer_id could be stays whole."""
    key = b"k" * length
    (message,) = applied(Settings(), key, json.dumps(event(1, 0)).encode()).dead
    letter: dict[str, Any] = json.loads(message.value)
    assert message.key == b64decode(letter["key"]) == key[:1024]
    assert letter["key_bytes"] == (length if is_cut else None)
    assert letter["key_sha256"] == (sha256(key).hexdigest() if is_cut else None)
    assert letter["cut"] is False


def test_a_batch_that_was_not_unpacked_is_one_letter_with_its_offsets() -> None:
    """From the first to the last; there is no value to show."""
    (message,) = applied(Settings(), None, OversizedBatch.of(3, 7, 2**26)).dead
    letter: dict[str, Any] = json.loads(message.value)
    assert (letter["kind"], letter["offset"], letter["last_offset"]) == ("oversized", 3, 7)
    assert (letter["key"], letter["value"], letter["cut"]) == (None, None, False)
    assert "offsets 3 to 7 are one batch that holds more than 67108864 bytes" in letter["reason"]


def test_a_long_value_is_cut_and_told_by_its_length_and_hash() -> None:
    """As much of it stands in the letter as ever."""
    value = json.dumps(event(1, 0) | {"channel": "x" * 100_000}).encode()
    (message,) = applied(Settings(), b"c1", value).dead
    letter: dict[str, Any] = json.loads(message.value)
    assert b64decode(letter["value"]) == value[:65_536]
    assert (letter["cut"], letter["value_bytes"]) == (True, len(value))
    assert letter["value_sha256"] == sha256(value).hexdigest()
    assert letter["key_bytes"] is None
