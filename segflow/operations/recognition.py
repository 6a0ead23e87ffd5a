"""Recognises common formats in records that are no events: somebody may have given the wrong file or topic."""

import csv
from typing import Any, Final

from segflow.engine.decode.json_text import is_utf8, read

SHOWN: Final = 5
"""Of its fields or columns a message names so many: enough to recognise one's own data."""


def looks_like(value: bytes) -> str | None:
    """The recognised format of a record, as the end of "this looks like …"; None where there is none."""
    if value[:4] == b"Obj\x01":
        return "an Avro file"
    if value[:4] == b"PAR1":
        return "a Parquet file"
    if value[:1] == b"\x00" and len(value) > 5:
        return "Avro, Protobuf or JSON under a schema registry"
    if not is_utf8(value):
        return None
    text = value.decode()
    try:
        content = read(text)
    except ValueError:
        return _no_json(text)
    return _document(content) if isinstance(content, dict) else _other_json(content)


def _no_json(text: str) -> str | None:
    for delimiter, name in ((",", "CSV"), (";", "CSV with semicolons"), ("\t", "tab-separated values")):
        columns = _columns(text, delimiter)
        if len(columns) >= 3 and not text.lstrip().startswith(("{", "[")):
            return f"{name} (columns {', '.join(columns[:SHOWN])})"
    stripped = text.strip()
    if stripped.startswith(("[", "{")) and not stripped.endswith(("]", "}")):
        return "JSON over several lines: write one object a line (jq -c does)"
    return "XML" if stripped.startswith("<") else None


def _columns(text: str, delimiter: str) -> list[str]:
    """Of its first line."""
    try:
        return next(csv.reader(text.splitlines()[:1], delimiter=delimiter), [])
    except csv.Error:  # a cell beyond all bounds
        return []


def _other_json(content: Any) -> str | None:
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return "a JSON array of objects: write one object a line (jq -c '.[]' does)"
    return None


def _document(content: dict[str, Any]) -> str | None:
    payload = content.get("payload")
    envelope = payload if "schema" in content and isinstance(payload, dict) else content
    by_segment = ("track", "identify", "page", "screen", "group")
    kinds = {
        "Debezium's envelope": "op" in envelope and ("after" in envelope or "before" in envelope),
        "Kafka Connect's JSON with its schema": "schema" in content and "payload" in content,
        "CloudEvents": "specversion" in content,
        "events of Segment": content.get("type") in by_segment and bool({"userId", "anonymousId"} & content.keys()),
        "events of PostHog or Mixpanel": "event" in content
        and "distinct_id" in str(content.get("properties", content)),
        f"JSON of another kind (fields {', '.join(list(content)[:SHOWN])})": bool(content)
        and not {"type", "event_id"} & content.keys(),
    }
    return next((kind for kind, found in kinds.items() if found), None)
