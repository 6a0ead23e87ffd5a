"""docs/contract.md: its examples work, its tables are complete."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from segflow.engine.columns.events import INTERACTIONS, PURCHASES, none
from segflow.engine.commit.execute import Executor
from segflow.engine.commit.plan import plan_for
from segflow.engine.decode import merge_inputs, nobody, records
from segflow.engine.decode.records import Decoder
from segflow.engine.file_run import FileRun, MemoryShard
from segflow.schemas import event_refusal
from segflow.schemas.change import Cause, Change
from segflow.schemas.event import AnyEvent
from segflow.schemas.settings import Settings
from segflow.segments.instant import to_us
from segflow.streams.health.metrics import DEAD_KINDS

DOCUMENT = (Path(__file__).parents[3] / "docs" / "contract.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))


def records_in(block: str) -> list[bytes]:
    """The JSON objects of a code block, each as it stands there, over several lines."""
    found, start = [], 0
    while start < len(block.rstrip()):
        _, end = json.JSONDecoder().raw_decode(block, start)
        found.append(block[start:end].encode())
        start = end + 1  # the line break behind it
    return found


PURCHASE_LINES, INTERACTION_LINES = map(records_in, re.findall(r"```json\n(.*?)```", SECTIONS["Events in"], re.DOTALL))
(CHANGE,) = re.findall(r"```json\n(.*?)```", SECTIONS["Changes out"], re.DOTALL)
SETTINGS = Settings.model_validate({})
GOOD = PURCHASE_LINES[0]
NOW_US = to_us(datetime(2026, 1, 1, tzinfo=UTC))


def table(section: str, heading: str) -> list[list[str]]:
    """Rows of the table whose header starts with `heading`; a cell that is all code without its backquotes."""
    (body,) = re.findall(rf"^\| {re.escape(heading)} \|.*?\n\|[-|]+\|\n((?:\|.*\n)+)", SECTIONS[section], re.MULTILINE)
    return [
        [re.sub(r"^`([^`]+)`$", r"\1", cell.strip()) for cell in row.strip("|").split(" | ")]
        for row in body.splitlines()
    ]


def kind_of(line: bytes) -> str:
    """The type an example event says it has."""
    return str(json.loads(line)["type"])


def happened(event: dict[str, Any]) -> datetime:
    """When an example event happened."""
    return datetime.fromisoformat(event["occurred_at"])


def dead_kind(topic: int, value: bytes | None, key: bytes | None) -> str:
    """The kind of the one dead letter a record gives through the whole engine."""
    chunk = Decoder(SETTINGS, topic).decode([value], [key], [0])
    inputs = (chunk, none()) if topic == PURCHASES else (none(), chunk)
    shard = MemoryShard(SETTINGS, FileRun(SETTINGS).rule_versions)
    head = shard.store.head()
    assert head is not None
    ends = [len(each) for each in inputs]
    plan = plan_for(SETTINGS, head, purchases_to=ends[0], interactions_to=ends[1], wall_us=NOW_US, rules=head.rules)
    result = Executor(SETTINGS, shard.rule_versions, 0).execute(plan, *inputs, head, shard.store)
    (kind,) = result.dead_kinds
    assert len(result.dead) == 1
    return kind


@pytest.mark.parametrize(
    ("topic", "line"),
    [(PURCHASES, line) for line in PURCHASE_LINES] + [(INTERACTIONS, line) for line in INTERACTION_LINES],
    ids=lambda part: kind_of(part) if isinstance(part, bytes) else "",
)
def test_each_example_event_is_read_from_its_topic(topic: int, line: bytes) -> None:
    """The decoder takes it."""
    chunk = Decoder(SETTINGS, topic).decode([line], [json.loads(line)["customer_id"].encode()], [0])
    assert not chunk.unusable


def test_each_type_has_a_row_on_its_topic_and_an_example() -> None:
    """The table of types is that of the models; every field of a type is in its row, or in the one for all."""
    rows = {row[1]: row for row in table("Events in", "topic")}
    common = {row[0] for row in table("Events in", "field")}
    examples = {kind_of(line) for line in PURCHASE_LINES + INTERACTION_LINES}
    models = {get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(AnyEvent)[0])}
    assert rows.keys() == models.keys() == examples
    for name, model in models.items():
        topic, _, fields = rows[name]
        assert topic == getattr(SETTINGS.kafka.topics, model.topic)
        assert all(f"`{field}`" in fields for field in model.model_fields.keys() - common), name


def test_the_example_change_is_what_the_example_events_give() -> None:
    """But for what two runs over one history may differ in."""
    run = FileRun(SETTINGS)
    in_order = sorted(map(json.loads, PURCHASE_LINES + INTERACTION_LINES), key=happened)
    lines = [json.dumps(event).encode() for event in in_order]
    results = [*run.feed(lines, 1), *run.finish(to_us(datetime(2027, 1, 1, tzinfo=UTC)))]
    values = [message.value for result in results for message in result.changes]
    shown = Change.model_validate_json(CHANGE)
    may_differ = {"detected_at", "position", "mode"}
    (given,) = [each for each in map(Change.model_validate_json, values) if each.change_id == shown.change_id]
    assert given.model_dump(exclude=may_differ) == shown.model_dump(exclude=may_differ)


def test_every_field_of_a_change_and_every_cause_is_explained() -> None:
    """Rows in the order of the example, which has each field but the one of settings with strategies."""
    fields = [row[0] for row in table("Changes out", "field")]
    assert [each for each in fields if each != "strategy"] == list(json.loads(CHANGE))
    assert set(fields) == Change.model_fields.keys()
    assert [row[0] for row in table("Changes out", "`cause.kind`")] == list(
        get_args(Cause.model_fields["kind"].annotation)
    )


SAMPLES: dict[str, tuple[int, bytes | None, bytes | None]] = {
    "tombstone": (PURCHASES, None, b"c42"),
    "oversized": (PURCHASES, GOOD + b" " * SETTINGS.worker.record_max_bytes, b"c42"),
    "not_utf8": (PURCHASES, GOOD.replace(b"web", b"\xff"), b"c42"),
    "not_json": (PURCHASES, GOOD.replace(b'"49.90"', b"NaN"), b"c42"),
    "too_deep": (PURCHASES, GOOD.replace(b'"web"', b"[" * 999 + b"]" * 999), b"c42"),
    "not_object": (PURCHASES, b"[" + GOOD + b"]", b"c42"),
    "missing_field": (PURCHASES, GOOD.replace(b'"order_id"', b'"order"'), b"c42"),
    "bad_field": (PURCHASES, GOOD.replace(b"+02:00", b""), b"c42"),
    "unknown_type": (PURCHASES, GOOD.replace(b'"purchase"', b'"sale"'), b"c42"),
    "wrong_topic": (INTERACTIONS, GOOD, b"c42"),
    "unknown_currency": (PURCHASES, GOOD.replace(b"EUR", b"USD"), b"c42"),
    "key_mismatch": (PURCHASES, GOOD, b'"c42"'),
    "future": (PURCHASES, GOOD.replace(b"2025-", b"2999-"), b"c42"),
}
"""A record of each kind of dead letter: input, value, key."""
OF_THE_STATE = {"too_many_invoices", "unsupported_type", "wrong_partition", "nobody"}
"""Kinds that no record is of by itself; tests/unit/segments/test_payment.py, test_alias.py, test_misplaced_keys.py and
test_nobody.py show them."""


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_record_of_each_kind_gives_that_kind_of_dead_letter(kind: str) -> None:
    """One dead letter, of the kind the table describes."""
    topic, value, key = SAMPLES[kind]
    assert dead_kind(topic, value, key) == kind


def test_every_kind_of_dead_letter_has_a_row() -> None:
    """The table has the kinds shown above, and the code has no other."""
    kinds = [row[0] for row in table("Dead letters", "`kind`")]
    code = "".join(Path(str(module.__file__)).read_text(encoding="utf-8") for module in (records, merge_inputs, nobody))
    named = set(re.findall(r'(?:_refuse|Unusable)\(\s*"(\w+)"', code))
    named |= {merge_inputs.MISPLACED, event_refusal.OTHER_KIND, *event_refusal.KINDS.values()}
    assert sorted(kinds) == sorted(SAMPLES.keys() | OF_THE_STATE) == sorted(named)
    assert sorted(DEAD_KINDS) == sorted(kinds)  # so each is counted from the start, as 0


def test_every_row_on_dead_letters_says_what_to_do() -> None:
    """Three filled cells each."""
    assert all(len(row) == 3 and all(row) for row in table("Dead letters", "`kind`"))


def test_every_setting_the_document_names_exists() -> None:
    """`worker.future_max` and the like are paths in the settings."""
    for section, field in re.findall(r"`(kafka|worker|redis|rfm|erase)\.([a-z_]+)`", DOCUMENT):
        assert field in type(getattr(SETTINGS, section)).model_fields
