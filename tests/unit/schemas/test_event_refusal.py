"""Why a record is no event, in words that no library chooses."""

import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from segflow.engine.decode.json_text import read, why_not
from segflow.schemas.event import EVENT, EVENTS, TYPES
from segflow.schemas.event_refusal import OTHERWISE, refusal

EVENT_OF = {
    "event_id": "e",
    "customer_id": "c1",
    "occurred_at": "2026-03-02T09:15:00Z",
    "order_id": "o",
    "amount": "1",
    "kind": "visit",
    "score": 1,
    "invoice_id": "i",
    "due_at": "2026-03-02T09:15:00Z",
    "attributes": {},
    "previous_id": "c2",
}
WRONG: list[Any] = [
    *(None, True, 5, -5, 10**600, 1925000000, Decimal("7.5"), Decimal("Infinity"), [], {}, [1], {"a": [1]}),
    *("", "x" * 2000, "\ud800", "yes", "NaN", "-1", "2026-02-30T00:00:00Z", "2026-03-02T25:15:00Z", "2026-03-02"),
]


def refused(content: dict[str, Any]) -> tuple[str, str] | None:
    """The kind and the reason; None where it is an event."""
    try:
        EVENT.validate_python(content)
    except ValidationError as error:
        return refusal(error, content)
    return None


@pytest.mark.parametrize("kind", TYPES)
def test_whatever_is_wrong_with_a_field_is_said_in_our_own_words(kind: str) -> None:
    """Each field of each type, with each of many wrong values, and left out."""
    fields = EVENTS[TYPES.index(kind)].model_fields
    good = {name: EVENT_OF[name] for name in fields if name in EVENT_OF} | {"type": kind}
    assert refused(good) is None
    found = []
    for name in fields:
        if name == "type":
            continue
        found += [refused(good | {name: value}) for value in WRONG]
        if name in good:
            assert refused({key: value for key, value in good.items() if key != name}) == (
                "missing_field",
                f"{name}: is missing",
            )
    reasons = [reason for _, reason in filter(None, found)]
    assert len(reasons) > 40
    for reason in reasons:
        assert OTHERWISE not in reason
        assert not any(word in reason for word in ("Input", "String", "should", "valid", "dictionary", "month"))


@pytest.mark.parametrize(
    ("given", "words"),
    [("Purchase", "type: is 'Purchase', but must be one of "), (None, "type: must be a text, one of ")],
)
def test_an_unknown_type_is_said_beside_those_that_are_known(given: object, words: str) -> None:
    """Whoever wrote it sees at once what it should have been."""
    known = "purchase, refund, interaction, feedback, payment, profile, alias, erase"
    assert refused(EVENT_OF | {"type": given}) == ("unknown_type", words + known)


def test_every_field_that_is_wrong_is_said() -> None:
    """So that a producer is mended in one go."""
    assert refused(EVENT_OF | {"type": "purchase", "amount": -1, "order_id": ""}) == (
        "bad_field",
        "order_id: must not be empty; amount: must be 0 or more",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        ('{"a": 1', "it ends too early, after 7 characters"),
        ('{"a": "b', "it ends too early, after 8 characters"),
        ('{"a": "b\\"', "it ends too early, after 10 characters"),
        ("id,name", "it goes wrong at character 1 of 7"),
        ('{"a": 1} {', "it goes wrong at character 10 of 10"),
        ('{"a": 1, }', "it goes wrong at character 10 of 10"),
        ("[1,\n]", "it goes wrong at character 5 of 5"),
        ("{'a': 1}", "it goes wrong at character 2 of 8"),
        ("NaN", "NaN is no JSON number"),
    ],
)
def test_where_json_goes_wrong_is_said_alike_by_every_version_of_python(text: str, words: str) -> None:
    """Python words it differently from version to version, and since 3.13 points elsewhere at a comma in excess."""
    with pytest.raises(ValueError, match=r"line|NaN") as raised:
        read(text)
    assert why_not(raised.value, text) == words


def test_a_comma_in_excess_is_pointed_at_alike() -> None:
    """As Python 3.13 points at it, and as the versions before did."""
    text = '{"a": 1 , }'
    for at in (8, 10):
        assert why_not(json.JSONDecodeError("x", text, at), text) == "it goes wrong at character 11 of 11"
