"""JSON Schema in words: what a field of an exported schema takes."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from docgen.markdown import code
from segflow.schemas.duration import PATTERN

Schema = dict[str, Any]
BOUND_UNTOLD: Final = 10**6
"""A bound this far out is there against overflow, and says nothing to a reader."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object."""

    name: str
    schema: Schema
    required: bool


def resolved(schema: Schema, root: Schema) -> Schema:
    """`schema`, with the definition it refers to in place of the reference; what stands beside a reference stays."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Schema = root
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return resolved(found, root) | {name: value for name, value in schema.items() if name != "$ref"}


def fields(schema: Schema, root: Schema) -> Iterator[Field]:
    """The fields of an object, in order."""
    required = schema.get("required", [])
    for name, each in schema.get("properties", {}).items():
        yield Field(name, resolved(each, root), name in required)


def kind(schema: Schema, root: Schema) -> str:
    """The values that a schema takes, in a few words."""
    schema = resolved(schema, root)
    if "const" in schema:
        return code(_text(schema["const"]))
    if "enum" in schema:
        return " ".join(code(_text(each)) for each in schema["enum"])
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return _choice(schema[choice], root)
    if schema.get("pattern") == PATTERN:
        return "duration"
    if isinstance(schema.get("type"), list):
        return " or ".join(kind(schema | {"type": each}, root) for each in schema["type"])
    return _plain(schema, root)


def _plain(schema: Schema, root: Schema) -> str:
    described: dict[str, Callable[[], str]] = {
        "array": lambda: _array(schema, root),
        "boolean": lambda: "true or false",
        "integer": lambda: "whole number" + _bounds(schema),
        "null": lambda: "null",
        "number": lambda: "number" + _bounds(schema),
        "object": lambda: _object(schema, root),
        "string": lambda: "time" if schema.get("format") == "date-time" else "text" + _length(schema),
    }
    return described[schema["type"]]() if "type" in schema else "any"


def _choice(choices: list[Schema], root: Schema) -> str:
    texts = list(dict.fromkeys(kind(each, root) for each in choices if each.get("type") != "null"))
    numbers = [each for each in texts if each.startswith("number")]
    if numbers and len(texts) == 2 and any(each.startswith("text") for each in texts):
        texts = [numbers[0].replace("number", "decimal", 1)]
    null = ["null"] if any(each.get("type") == "null" for each in choices) else []
    return " or ".join(texts + null)


def _array(schema: Schema, root: Schema) -> str:
    if "prefixItems" in schema:
        count = len(schema["prefixItems"])
        return f"list of {count}: {kind(schema['prefixItems'][0], root)}"
    return f"list of {kind(schema.get('items', {}), root)}"


def _object(schema: Schema, root: Schema) -> str:
    if "properties" in schema:
        return "object"
    patterns = schema.get("patternProperties", {})
    value = next(iter(patterns.values()), schema.get("additionalProperties"))
    return f"mapping of names to {kind(value, root)}" if isinstance(value, dict) else "mapping"


def _bounds(schema: Schema) -> str:
    named = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    bounds = {name: schema[name] for name in named if name in schema and abs(schema[name]) < BOUND_UNTOLD}
    low, high = bounds.get("minimum"), bounds.get("maximum")
    above, below = bounds.get("exclusiveMinimum"), bounds.get("exclusiveMaximum")
    words = [
        f"{word} {_number(bound)}"
        for word, bound in (("at least", low), ("above", above), ("at most", high), ("below", below))
        if bound is not None
    ]
    if low is not None and high is not None:
        words = [f"{_number(low)} to {_number(high)}"]
    return ", " + ", ".join(words) if words else ""


def _length(schema: Schema) -> str:
    low, high = schema.get("minLength"), schema.get("maxLength")
    if low is not None and high is not None:
        return f", {low} to {high} characters"
    return f", at most {high} characters" if high is not None else ""


def _number(bound: float) -> str:
    return f"{int(bound):,}" if float(bound).is_integer() else str(bound)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
