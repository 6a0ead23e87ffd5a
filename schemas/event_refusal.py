"""The reason for which a record is no event, in words of our own.

A dead letter's reason is compared when a commit is executed again, so it must not follow the wording of a library or of
Python, which change with their versions. Each new wording is a new engine (segflow.engine.commit.engine_version).
"""

from typing import Any, Final

from pydantic import ValidationError

from segflow.schemas.event import TYPES

TYPE_SHOWN: Final = 40
"""Characters of an unknown type that are shown."""
KINDS: Final = {"missing": "missing_field", "union_tag_not_found": "missing_field", "union_tag_invalid": "unknown_type"}
"""Kinds of dead letter, by pydantic's type of error."""
OTHER_KIND: Final = "bad_field"
WORDS: Final = {
    "missing": "is missing",
    "union_tag_not_found": "is missing",
    "string_type": "must be a text",
    "string_unicode": "has half a character, which is no text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must be a currency of ISO 4217, such as EUR",  # the one pattern there is
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "dict_type": "must be an object",
    "greater_than_equal": "must be {ge} or more",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be {le} or less",
}
"""By pydantic's type of error, with its context filled in."""
OTHERWISE: Final = "has a value that cannot be used"
"""No field of today's events gives it: a test asks each. A record must not stop its shard for want of a word."""


def refusal(error: ValidationError, content: dict[str, Any]) -> tuple[str, str]:
    """The kind of dead letter, and the whole reason: each field that is wrong.

    Args:
        error: what pydantic found in `content`.
        content: the record's JSON object.
    """
    found: list[Any] = error.errors(include_url=False, include_input=False)
    return KINDS.get(found[0]["type"], OTHER_KIND), "; ".join(_sentence(each, content) for each in found)


def _sentence(found: dict[str, Any], content: dict[str, Any]) -> str:
    if found["type"] == "union_tag_invalid":
        return f"type: {_unknown(content['type'])} one of {', '.join(TYPES)}"
    path = ".".join(str(part) for part in found["loc"][1:]) or "type"
    if found["type"] == "value_error":  # the contract's own
        return f"{path}: {found['ctx']['error']}"
    words = WORDS.get(found["type"], OTHERWISE)
    return f"{path}: {words.format_map(found.get('ctx', {}))}"


def _unknown(given: object) -> str:
    return f"is {given[:TYPE_SHOWN]!r}, but must be" if isinstance(given, str) else "must be a text,"
