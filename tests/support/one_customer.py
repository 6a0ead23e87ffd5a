"""One customer's events, so many days after a first day, and the customer's way through a dimension."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.file_run import MemoryShard
from segflow.schemas.settings import Settings
from segflow.segments.rules import from_settings
from tests.support.agreement import parsed
from tests.support.histories import written

FIRST = datetime(2024, 1, 4, tzinfo=UTC)  # day 19,726 since 1970; slot 704 is days 19,712 to 19,739
END_OF_TIME_US: Final = 4 * 10**17
"""The year 14645: whatever silence brings has come by then."""


def event(number: int, days: float, name: str, **fields: Any) -> dict[str, Any]:
    """An event so many days after FIRST."""
    if name == "purchase":
        fields = {"order_id": "o", "amount": 10} | fields
    body = {"event_id": f"e{number}", "customer_id": "c", "type": name}
    return body | {"occurred_at": written(FIRST + timedelta(days=days))} | fields


def purchases(*on: float) -> list[dict[str, Any]]:
    """A purchase on each of these days after FIRST."""
    return [event(number, day, "purchase") for number, day in enumerate(on)]


def changes(log: list[dict[str, Any]], product: Settings, sizes: Iterable[int] = (100,)) -> list[dict[str, Any]]:
    """What a shard publishes when it reads the log in batches of those sizes, then sees silence to the end of time."""
    shard, decoder = MemoryShard(product, RuleVersions(from_settings(product))), Decoder(product, None)
    found: list[dict[str, Any]] = []
    start = 0
    for size in [*sizes, len(log)]:
        batch = [json.dumps(event).encode() for event in log[start : start + size]]
        chunk = decoder.decode(batch, None, range(len(batch)))
        assert not chunk.unusable
        found += parsed(message.value for message in shard.feed(chunk, wall_us=0).changes)
        start += size
    for result in shard.sweep(END_OF_TIME_US, wall_us=0):
        found += parsed(message.value for message in result.changes)
    return found


def course(log: list[dict[str, Any]], dimension: str, **more: Any) -> list[tuple[str, str, str]]:
    """The customer's way through one dimension: when, to what, why; with that dimension alone."""
    found = changes(log, Settings.model_validate({"dimensions": [dimension], **more}))
    assert [change["previous"] for change in found[1:]] == [change["current"] for change in found[:-1]]
    return [(change["effective_at"], change["current"], change["cause"]["kind"]) for change in found]
