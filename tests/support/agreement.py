"""What two runs over one history must agree on."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

MAY_DIFFER = ("change_id", "detected_at", "position", "mode")
"""See docs/contract.md#changes-out; the id is a hash of the rest, so it is checked apart."""


def content(change: dict[str, Any]) -> dict[str, Any]:
    """A change without what may differ between two runs."""
    return {name: value for name, value in change.items() if name not in MAY_DIFFER}


def by_customer(changes: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Each customer's changes in their order: the only order that is promised."""
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for change in changes:
        grouped[change["customer_id"]].append(content(change))
    return dict(grouped)


def parsed(values: Iterable[bytes | None]) -> list[dict[str, Any]]:
    """Published changes as dictionaries."""
    return [json.loads(value) for value in values if value is not None]
