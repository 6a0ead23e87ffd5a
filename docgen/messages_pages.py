"""The reference of what crosses the boundary: events in, changes and all else that comes out, from the schemas."""

import json
from typing import Final

from docgen import json_schema
from docgen.json_schema import Schema
from docgen.markdown import code, page, paragraph, sentence, table
from segflow.schemas.export import documents

EXPORTED: Final = "../../schemas/exported"


def events_page() -> str:
    """Every type of event with its fields."""
    root: Schema = json.loads(documents()["events.json"])
    channels = json.loads(documents()["asyncapi.json"])["channels"]
    parts = []
    for name in ("purchases", "interactions"):
        for kind, message in channels[name]["messages"].items():
            event = root["$defs"][message["payload"]["$ref"].rpartition("/")[2]]
            parts += [f"## {kind}", paragraph(f"To {code(channels[name]['address'])}. {message['summary']}")]
            parts.append(_fields(event, root))
    return page(
        "Events",
        paragraph(
            "What segflow reads: one JSON object a record, UTF-8, with the `customer_id` as the Kafka key. "
            "[The contract](../contract.md#events-in) has examples, and says what happens to an event that is sent "
            "twice, late or wrong."
        ),
        paragraph(
            "Fields that are not listed are ignored. A *time* is RFC 3339 with an offset, such as "
            f"`2026-03-02T09:15:00Z`. For programs: [events.json]({EXPORTED}/events.json) (JSON Schema) and "
            f"[asyncapi.json]({EXPORTED}/asyncapi.json)."
        ),
        *parts,
    )


def changes_page() -> str:
    """Changes, alerts, the current segments, dead letters: fields and record headers."""
    exported = documents()
    channels = json.loads(exported["asyncapi.json"])["channels"]
    parts = []
    for name, title in (
        ("changes", "Change"),
        ("alerts", "Alert"),
        ("current", "Current segments"),
        ("dead_letters", "Dead letter"),
    ):
        (message,) = channels[name]["messages"].values()
        root: Schema = json.loads(exported[message["payload"]["$ref"].removeprefix("./")])
        address = channels[name]["address"]
        parts += [
            f"## {title}",
            paragraph(f"On {code(address)}. {channels[name]['description']}"),
            _fields(root, root, less=_change_fields(exported) if name == "alerts" else frozenset()),
        ]
        if "headers" in message:
            parts += [f"Headers of the record, as text ({title.lower()}):", _fields(message["headers"], root)]
        parts += _inner(root) if name == "changes" else []
        parts += _inner(root, only="AtStake") if name == "alerts" else []
    return page(
        "Changes",
        paragraph(
            "What segflow writes. [The contract](../contract.md#changes-out) has an example of a change, and explains "
            "its causes and what subscribers can rely on."
        ),
        paragraph(
            f"For programs: [change.json]({EXPORTED}/change.json), [alert.json]({EXPORTED}/alert.json), "
            f"[current.json]({EXPORTED}/current.json), [dead-letter.json]({EXPORTED}/dead-letter.json) (JSON Schema), "
            f"and [asyncapi.json]({EXPORTED}/asyncapi.json)."
        ),
        *parts,
    )


def _change_fields(exported: dict[str, str]) -> frozenset[str]:
    return frozenset(json.loads(exported["change.json"])["properties"])


def _inner(root: Schema, only: str = "") -> list[str]:
    """The objects within a change, each with its fields."""
    parts = []
    for name, schema in root.get("$defs", {}).items():
        if "properties" in schema and (not only or name == only):
            parts += [f"### {name}", paragraph(sentence(schema.get("description", ""))), _fields(schema, root)]
    return parts


def _fields(schema: Schema, root: Schema, less: frozenset[str] = frozenset()) -> str:
    rows = [
        (
            code(each.name),
            json_schema.kind(each.schema, root),
            "yes" if each.required else _otherwise(each.schema),
            " ".join(each.schema.get("description", "").split()),
        )
        for each in json_schema.fields(schema, root)
        if each.name not in less
    ]
    return table(("field", "type", "required", "meaning"), rows)


def _otherwise(schema: Schema) -> str:
    default = schema.get("default")
    return "no" if default is None else f"no; default {code(json.dumps(default).strip(chr(34)))}"
