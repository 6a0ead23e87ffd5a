"""The exported documents: fresh, sound, and true of what the engine writes."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from segflow.engine.columns.messages import Message
from segflow.engine.file_run import FileRun
from segflow.schemas.change import Change, Current, DeadLetter
from segflow.schemas.export import documents
from segflow.schemas.settings import Settings
from segflow.segments.instant import to_us

ROOT = Path(__file__).parents[3]
DOCUMENTS = {name: json.loads(text) for name, text in documents().items()}
SCHEMAS = sorted(DOCUMENTS.keys() - {"asyncapi.json"})
AFTER_ALL = to_us(datetime(2027, 1, 1, tzinfo=UTC))


def event(number: int, customer_id: str, day: str, **fields: Any) -> dict[str, Any]:
    """Return an event at noon of `day`, a purchase unless the fields say otherwise."""
    body = {
        "type": "purchase",
        "event_id": f"e-{number}",
        "customer_id": customer_id,
        "occurred_at": f"{day}T12:00:00Z",
    }
    return body | ({"order_id": f"o-{number}", "amount": "80.00"} if "type" not in fields else {}) | fields


LOG = [
    event(1, "ann", "2025-01-01"),
    event(2, 'b"ö\\\u2028', "2025-01-02", type="interaction", kind="visit"),
    event(3, "cy", "2025-01-03", type="refund", order_id="o-0", amount=400.25),
    *(event(number, "dot", f"2025-01-{number:02}", discount=1) for number in range(4, 11)),
    event(11, "ann", "2025-02-01", type="refund", order_id="o-1", amount="80", full=True),
    event(12, "ann", "2025-08-01"),
    event(13, "dot", "2025-05-01", occurred_at="2025-05-01T00:00:00.000001+01:00", source="shop", channel="web"),
    event(14, "cy", "2025-09-01", type="feedback", score=3),
    event(15, "cy", "2025-09-02", type="payment", invoice_id="i", due_at="2025-10-01T00:00:00Z", amount=5),
    event(16, "cy", "2025-09-03", type="profile", attributes={"a": 1.5, "b": None, "c": True, "d": "x"}),
]
UNUSABLE = [b"\xff", b"[]", b'{"type": "purchase"}', b"{" + b" " * 70_000 + b"}"]


@pytest.fixture(scope="module")
def published() -> dict[str, list[Message]]:
    """Everything a small log with every cause but recut and definition gives, by channel."""
    run = FileRun(Settings.model_validate({"holdout_share": 0.5}))
    lines = [json.dumps(body, ensure_ascii=False).encode() for body in LOG] + UNUSABLE
    results = [*run.feed(lines, 1), *run.finish(AFTER_ALL)]
    return {
        "changes": [message for result in results for message in result.changes],
        "current": [message for result in results for message in result.current],
        "dead_letters": [message for result in results for message in result.dead],
    }


def test_the_exported_files_are_what_the_models_say() -> None:
    """A change of a model without a new export fails here; `segflow schemas` writes them."""
    written = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "schemas" / "exported").iterdir()}
    assert written == documents(), "stale: run segflow schemas in the project's root"


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_valid_json_schema_2020_12(name: str) -> None:
    """The meta-schema accepts it, and it says which dialect it is in."""
    assert DOCUMENTS[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(DOCUMENTS[name])


def test_every_change_the_engine_writes_is_valid_by_model_and_by_schema(published: dict[str, list[Message]]) -> None:
    """Causes event, time and late, customers with odd names and none of the facts: all as promised."""
    causes = set()
    for message in published["changes"]:
        assert message.value is not None
        change = Change.model_validate_json(message.value)
        Draft202012Validator(DOCUMENTS["change.json"]).validate(json.loads(message.value))
        assert message.key.decode() == change.customer_id
        causes.add(change.cause.kind)
    assert causes == {"event", "time", "late"}


def test_every_current_record_is_valid_by_model_and_by_schema(published: dict[str, list[Message]]) -> None:
    """What `segments.current` gets is as promised."""
    assert published["current"]
    for message in published["current"]:
        assert message.value is not None
        Current.model_validate_json(message.value)
        Draft202012Validator(DOCUMENTS["current.json"]).validate(json.loads(message.value))


def test_every_dead_letter_is_valid_by_model_and_by_schema(published: dict[str, list[Message]]) -> None:
    """Each unusable record gives one, and its bytes come back from it."""
    values = []
    for message in published["dead_letters"]:
        assert message.value is not None
        letter = DeadLetter.model_validate_json(message.value)
        Draft202012Validator(DOCUMENTS["dead-letter.json"]).validate(json.loads(message.value))
        assert letter.value is not None
        values.append(base64.b64decode(letter.value))
        assert letter.cut == (len(values[-1]) == 65_536)
    assert values == [value[:65_536] for value in UNUSABLE]


@pytest.mark.parametrize("channel", ["changes", "current", "dead_letters"])
def test_headers_are_those_the_asyncapi_document_lists(channel: str, published: dict[str, list[Message]]) -> None:
    """No header is missing from the document, none is only there, and each has a value the document allows."""
    (described,) = DOCUMENTS["asyncapi.json"]["channels"][channel]["messages"].values()
    for message in published[channel]:
        headers = {name: value.decode() for name, value in message.headers}
        assert headers.keys() == described.get("headers", {}).get("properties", {}).keys()
        Draft202012Validator(described.get("headers", {})).validate(headers)


@pytest.mark.parametrize("body", LOG, ids=lambda body: body["event_id"])
def test_usable_events_are_valid_by_schema(body: dict[str, Any]) -> None:
    """What the engine accepted above, the exported schema accepts too."""
    Draft202012Validator(DOCUMENTS["events.json"]).validate(body)


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "sale"},
        {"customer_id": ""},
        {"event_id": 7},
        {"order_id": None},
        {"amount": "12,50"},
        {"amount": True},
        {"currency": "eur"},
    ],
    ids=repr,
)
def test_unusable_events_are_not_valid_by_schema(wrong: dict[str, Any]) -> None:
    """A producer who validates before sending finds these without us."""
    assert not Draft202012Validator(DOCUMENTS["events.json"]).is_valid(event(1, "ann", "2025-01-01") | wrong)


@pytest.mark.parametrize("name", ["segflow.yaml", "cdnow.yaml"])
def test_the_example_settings_are_valid_by_schema(name: str) -> None:
    """An editor that checks a settings file by the exported schema accepts the examples."""
    content = yaml.safe_load((ROOT / "examples" / name).read_text(encoding="utf-8"))
    Draft202012Validator(DOCUMENTS["settings.json"]).validate(content)


def test_defaults_in_the_settings_schema_can_be_written_into_the_file() -> None:
    """Each default a schema states is one it accepts: durations as 60d, not as another notation."""
    root = DOCUMENTS["settings.json"]
    for part in (root, *root["$defs"].values()):
        for name, schema in part["properties"].items():
            if "default" in schema:
                whole = schema | {"$defs": root["$defs"]}
                assert Draft202012Validator(whole).is_valid(schema["default"]), f"{part['title']}.{name}"


def test_the_asyncapi_document_has_what_version_3_requires() -> None:
    """The keys AsyncAPI 3.0.0 requires, at each level we use."""
    document = DOCUMENTS["asyncapi.json"]
    assert document["asyncapi"] == "3.0.0"
    assert document["info"].keys() >= {"title", "version"}
    assert all(server.keys() >= {"host", "protocol"} for server in document["servers"].values())
    for channel in document["channels"].values():
        assert channel["address"] == channel["bindings"]["kafka"]["topic"]
        for message in channel["messages"].values():
            assert message.keys() >= {"payload", "contentType"}
            assert message["bindings"]["kafka"]["key"]["type"] == "string"
    actions = {name: operation["action"] for name, operation in document["operations"].items()}
    assert actions == {
        "receive_purchases": "receive",
        "receive_interactions": "receive",
        "send_changes": "send",
        "send_alerts": "send",
        "send_current": "send",
        "send_dead_letters": "send",
    }


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    """Inside the document, or to a schema file beside it."""
    found = list(references(DOCUMENTS["asyncapi.json"]))
    assert found
    for reference in found:
        file, _, pointer = reference.partition("#")
        target = DOCUMENTS[file.removeprefix("./") or "asyncapi.json"]
        for key in pointer.split("/")[1:]:
            target = target[key]
        assert isinstance(target, dict), reference


def test_every_type_of_event_is_in_the_asyncapi_document_once() -> None:
    """The two input channels together have the types of the events' schema, each on its own topic."""
    channels = DOCUMENTS["asyncapi.json"]["channels"]
    types = [name for channel in ("purchases", "interactions") for name in channels[channel]["messages"]]
    assert sorted(types) == sorted(DOCUMENTS["events.json"]["discriminator"]["mapping"])


def references(part: Any) -> Iterator[str]:
    """Every `$ref` in `part`."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for each in part.values():
            yield from references(each)
    if isinstance(part, list):
        for each in part:
            yield from references(each)
