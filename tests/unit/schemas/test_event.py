"""What is accepted as an event: by the models, and by the JSON Schema that is exported of them."""

import json
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from segflow.engine.decode.json_text import read
from segflow.schemas.event import EVENT, Feedback, Profile, Purchase, Refund
from segflow.schemas.export import documents

SCHEMA = Draft202012Validator(json.loads(documents()["events.json"]))
COMMON = '"event_id": "e", "customer_id": "c", "occurred_at": "2025-01-01T00:00:00Z"'


def event(fields: str) -> Any:
    """The event of a JSON text: what every event has, and these fields."""
    return EVENT.validate_python(read(f"{{{COMMON}, {fields}}}"))


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        *(("9", 9), ("9.0", 9), ("9e0", 9), ("90e-1", 9), ("-0", 0), ("-0.0", 0), ("0", 0), ("10.000", 10)),
        *((score, None) for score in ("7.5", '"9"', "11", "11.0", "-1", "-1.0", "1e400", "true", "null", "[9]")),
    ],
)
def test_a_score_is_a_whole_number_from_0_to_10_however_it_is_written(score: str, expected: int | None) -> None:
    """The exported schema says the same of each: 9.0 is the whole number 9 in JSON."""
    fields = f'"type": "feedback", "score": {score}'
    assert SCHEMA.is_valid(json.loads(f"{{{COMMON}, {fields}}}")) == (expected is not None)
    if expected is None:
        with pytest.raises(ValidationError):
            event(fields)
    else:
        found = event(fields)
        assert isinstance(found, Feedback)
        assert (found.score, type(found.score)) == (expected, int)


def test_an_optional_field_that_is_null_is_absent() -> None:
    """Of every type; a shop that fills its columns with null sends what it means."""
    fields = '"type": "purchase", "order_id": "o", "amount": 1'
    nulls = ', "discount": null, "currency": null, "source": null, "channel": null'
    assert event(fields + nulls) == event(fields)
    assert isinstance(event(fields + nulls), Purchase)
    fields = '"type": "refund", "order_id": "o", "amount": 1'
    assert event(fields + ', "full": null, "currency": null') == event(fields)
    assert isinstance(event(fields), Refund)
    for text in (f'"type": "purchase", "order_id": "o", "amount": 1{nulls}', f'{fields}, "full": null'):
        assert SCHEMA.is_valid(json.loads(f"{{{COMMON}, {text}}}"))


def test_what_a_profile_cannot_keep_is_left_out_and_the_rest_holds() -> None:
    """A list, an object, a text or a name that is too long: none of them costs the other attributes."""
    attributes = {
        "tags": ["a"],
        "address": {"city": "x"},
        "notes": "x" * 1025,
        "motto": "x" * 1024,
        "": 1,
        "n" * 129: 1,
        "half a character": "\ud800",
        "\udc00": 1,
        "age": 30,
        "gone": None,
        "vip": True,
    }
    content = json.loads(f"{{{COMMON}}}") | {"type": "profile", "attributes": attributes}
    found = EVENT.validate_python(content)
    assert isinstance(found, Profile)
    assert found.attributes == {"motto": "x" * 1024, "age": 30, "gone": None, "vip": True}
    assert SCHEMA.is_valid(content)
    with pytest.raises(ValidationError):
        event('"type": "profile", "attributes": ["age"]')


@pytest.mark.parametrize("offset", ["+05:60", "+05:99", "+24:00", "-24:00", "+99:00", "+5:30", "+0530"])
def test_an_offset_has_hours_below_24_and_minutes_below_60(offset: str) -> None:
    """And what is said of another speaks of the time, not of Python."""
    with pytest.raises(ValidationError, match="is no time such as 2026-03-02T09:15:00Z"):
        EVENT.validate_python(
            {"type": "erase", "event_id": "e", "customer_id": "c", "occurred_at": f"2025-01-01T00:00:00{offset}"}
        )


@pytest.mark.parametrize("moment", ["2025-02-30T00:00:00Z", "2025-13-01T00:00:00Z", "2025-01-01T24:00:00Z"])
def test_a_time_that_no_calendar_has_is_refused_in_words_of_times(moment: str) -> None:
    """Days, months and hours that do not exist."""
    with pytest.raises(ValidationError) as refused:
        EVENT.validate_python({"type": "erase", "event_id": "e", "customer_id": "c", "occurred_at": moment})
    assert "timedelta" not in str(refused.value)
    assert "isoformat" not in str(refused.value)


def test_numbers_keep_their_digits() -> None:
    """An attribute of eighteen digits is not rounded to a float on its way."""
    found = event('"type": "profile", "attributes": {"id": 123456789012345678, "rate": 0.1}')
    assert found.attributes == {"id": 123456789012345678, "rate": Decimal("0.1")}
