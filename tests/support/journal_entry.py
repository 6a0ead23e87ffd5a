"""Entries of the journal, for tests that look at nothing but their numbers."""

from typing import Any

from segflow.engine.commit.plan import Plan
from segflow.streams.journal.entry import Entry


def entry_of(sequence: int, *, purchases_to: int = 0, **fields: Any) -> Entry:
    """A commit that published nothing; `fields` of the entry beside."""
    plan = Plan(
        sequence=sequence,
        purchases_to=purchases_to,
        interactions_to=0,
        wall_us=0,
        future_us=0,
        sweep_us=0,
        sweep_limit=0,
        rules=0,
        pages=1,
    )
    numbers = dict.fromkeys(("purchases_from", "interactions_from", "changes", "dead_letters"), 0)
    return Entry(**numbers | {"plan": plan, "adopts": None, "digest": ""} | fields)
