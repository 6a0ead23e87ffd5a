"""The contract for programs: JSON Schema (2020-12) of events, changes and settings, and AsyncAPI 3.0 of the topics."""

import json
from datetime import timedelta
from typing import Any, Final, get_args

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import DecimalSchema

from segflow.schemas import duration
from segflow.schemas.change import SPEC, Alert, Change, Current, DeadLetter
from segflow.schemas.event import EVENT, AnyEvent, CustomerId, Event
from segflow.schemas.settings import Settings

_EVENT_TYPES: Final[tuple[type[Event], ...]] = get_args(get_args(AnyEvent)[0])
_KAFKA: Final = Settings.model_validate({}).kafka
_KAFKA_BINDING: Final = "0.5.0"
_TEXT: Final = {"type": "string"}
_KEY: Final = TypeAdapter(CustomerId).json_schema() | {"description": "the customer_id in UTF-8"}


class _Schema(GenerateJsonSchema):
    """Pydantic's schemas without titles that repeat a field's name, and with durations as the settings have them."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the base class's signature
        return False

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, timedelta):
            return duration.to_text(dft)
        return [self.encode_default(each) for each in dft] if isinstance(dft, tuple) else super().encode_default(dft)


class _EventSchema(_Schema):
    """Schemas of events, which are read strictly: a number in a string is text, except for money, which says so."""

    def decimal_schema(self, schema: DecimalSchema) -> JsonSchemaValue:  # noqa: ARG002 - the base class's signature
        return {"type": "number"}


def documents() -> dict[str, str]:
    """Every exported document: file name -> JSON text in a stable order, ending in a newline."""
    events = EVENT.json_schema(schema_generator=_EventSchema, mode="validation")
    title = {"title": "Event", "description": "One event a record; `type` says which."}
    contents: dict[str, dict[str, Any]] = {
        "events.json": _versioned(title | events),
        "change.json": _out(Change),
        "alert.json": _out(Alert),
        "current.json": _out(Current),
        "dead-letter.json": _out(DeadLetter),
        "settings.json": _versioned(Settings.model_json_schema(schema_generator=_Schema, mode="validation")),
        "asyncapi.json": _asyncapi(),
    }
    return {name: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for name, content in contents.items()}


def _versioned(schema: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": _Schema.schema_dialect} | schema


def _out(model: type[BaseModel]) -> dict[str, Any]:
    return _versioned(model.model_json_schema(schema_generator=_Schema, mode="serialization"))


def _asyncapi() -> dict[str, Any]:
    """The AsyncAPI document: topics under their default names. segflow receives the inputs and sends the rest."""
    channels = _input_channels() | _output_channels()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "segflow",
            "version": f"{SPEC}.0.0",
            "description": (
                "Customer segments kept up to date in real time. Topic names are the defaults of kafka.topics in "
                f"segflow.yaml. {_KAFKA.topics.journal}, {_KAFKA.topics.control}, {_KAFKA.topics.handover} and "
                f"{_KAFKA.topics.state} are segflow's own: their contents may change with any release."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {"host": _KAFKA.address, "protocol": "kafka", "description": "kafka.address in segflow.yaml"}
        },
        "channels": channels,
        "operations": {
            f"{action}_{name}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{name}"},
                "messages": [{"$ref": f"#/channels/{name}/messages/{each}"} for each in channels[name]["messages"]],
            }
            for name, action in (
                ("purchases", "receive"),
                ("interactions", "receive"),
                ("changes", "send"),
                ("alerts", "send"),
                ("current", "send"),
                ("dead_letters", "send"),
            )
        },
    }


def _input_channels() -> dict[str, Any]:
    topics = _KAFKA.topics
    channels = {}
    for name, topic in (("purchases", topics.purchases), ("interactions", topics.interactions)):
        events = {
            get_args(event.model_fields["type"].annotation)[0]: event for event in _EVENT_TYPES if event.topic == name
        }
        channels[name] = _channel(
            topic,
            f"Events of type {', '.join(events)}. Both inputs must have one number of partitions and one partitioner.",
            {event_type: _event_message(event_type, event) for event_type, event in events.items()},
        )
    return channels


def _event_message(event_type: str, event: type[Event]) -> dict[str, Any]:
    return _message(event_type, _summary(event), f"./events.json#/$defs/{event.__name__}", _KEY)


def _output_channels() -> dict[str, Any]:
    topics = _KAFKA.topics
    dead_key = {"type": "string", "description": "as the unusable record had it; empty where it had none"}
    return {
        "changes": _channel(
            topics.changes,
            "One record a transition of one customer in one dimension, in each customer's order; read it with "
            "isolation.level=read_committed.",
            {"change": _message("change", _summary(Change), "./change.json", _KEY, _change_headers())},
        ),
        "alerts": _channel(
            topics.alerts,
            "The changes that the settings ask to be called for, again, with the money at stake, in the transaction of "
            "the change; read it with isolation.level=read_committed.",
            {"alert": _message("alert", _summary(Alert), "./alert.json", _KEY, _change_headers())},
        ),
        "current": _channel(
            topics.current,
            "The latest segments of each customer. Compacted; a record without a value: the customer was erased, or "
            "is another by now.",
            {"current": _message("current", _summary(Current), "./current.json", _KEY)},
            {"topicConfiguration": {"cleanup.policy": ["compact"]}},
        ),
        "dead_letters": _channel(
            topics.dead_letters,
            "One record for each input record that could not be used. A record without a value, and with the header "
            "`replayed`, says that the record whose dead letter has that offset was sent again.",
            {
                "deadLetter": _message(
                    "deadLetter",
                    _summary(DeadLetter),
                    "./dead-letter.json",
                    dead_key,
                    _headers(
                        {
                            "reason": _TEXT | {"description": "the `kind` of the payload"},
                            "topic": _TEXT | {"description": "the topic it came from"},
                        }
                    ),
                )
            },
        ),
    }


def _change_headers() -> dict[str, Any]:
    """The headers segflow/engine/encode/change_json.py writes, as UTF-8 text."""
    label = _TEXT | {"description": "a label of `dimension`; the text null where there is none"}
    return _headers(
        {
            "dimension": _TEXT | {"description": "as in the payload"},
            "previous": label,
            "current": label,
            "mode": {
                "type": "string",
                "enum": list(get_args(Change.model_fields["mode"].annotation)),
                "description": "as in the payload",
            },
            "ce_specversion": {"type": "string", "const": "1.0"},
            "ce_type": {"type": "string", "const": "segflow.change"},
            "ce_source": {"type": "string", "const": "segflow"},
            "ce_id": _TEXT | {"description": "`change_id`"},
            "ce_time": {"type": "string", "format": "date-time", "description": "`effective_at`"},
            "content-type": {"type": "string", "const": "application/json"},
        }
    )


def _headers(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _channel(
    topic: str, description: str, messages: dict[str, Any], binding: dict[str, Any] | None = None
) -> dict[str, Any]:
    kafka = {"topic": topic} | (binding or {}) | {"bindingVersion": _KAFKA_BINDING}
    return {"address": topic, "description": description, "messages": messages, "bindings": {"kafka": kafka}}


def _message(
    name: str, summary: str, payload: str, key: dict[str, Any], headers: dict[str, Any] | None = None
) -> dict[str, Any]:
    message = {"name": name, "summary": summary, "contentType": "application/json", "payload": {"$ref": payload}}
    bindings = {"bindings": {"kafka": {"key": key, "bindingVersion": _KAFKA_BINDING}}}
    return message | ({"headers": headers} if headers is not None else {}) | bindings


def _summary(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())
