"""Compares a shard's state in Redis with the one its commits give in memory (I4 of docs/architecture.md)."""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import redis

from segflow.state import record
from segflow.state.head import Head
from segflow.state.keys import Keys
from segflow.state.layout import NO_TIMER
from segflow.state.memory import MemoryStore
from segflow.state.redis import RedisStore, score
from segflow.state.store import HOLE


def compare(memory: MemoryStore, store: RedisStore, client: redis.Redis, keys: Keys) -> list[str]:
    """Each difference as a text; both must be of the same commit.

    Raises:
        redis.RedisError: Redis cannot be read.
    """
    mine, theirs = memory.head(), store.head()
    assert mine is not None
    found = [*_heads(mine, theirs)]
    timers = 0
    for number in range(mine.pages):
        page = memory.page(number)
        if store.page(number) != page:
            found.append(f"page {number} of the directory differs")
        ids = [customer_id for customer_id in page if customer_id != HOLE]
        values = memory.load(ids)
        for customer_id, expected, stored in zip(ids, values, store.load(ids), strict=True):
            if stored != expected and (stored is None or record.upgraded(stored) != expected):
                found.append(f"the record of customer {customer_id!r} {'is missing' if stored is None else 'differs'}")
        deadlines = record.timers_us(values)
        timers += sum(deadline != NO_TIMER for deadline in deadlines)
        found += _misplaced(ids, deadlines, client.zmscore(keys.timers, ids) if ids else [])
    extra_timers = int(client.zcard(keys.timers)) - timers
    if extra_timers > 0:
        found.append(f"{extra_timers} timers of nobody")
    records = sum(1 for _ in client.scan_iter(keys.pattern(keys.record("")), count=1000))
    redirects = memory.redirects
    found += [
        f"{customer_id!r} was merged into another, and Redis does not say so"
        for (customer_id, expected), stored in zip(redirects.items(), store.load(list(redirects)), strict=True)
        if stored != expected
    ]
    found += _ledger(memory, store, client, keys)
    customers = mine.population - mine.holes + len(redirects)
    if records > customers:
        found.append(f"{records - customers} records of customers who never came or were erased")
    if mine.counted and store.counts() != memory.counts():
        found.append("how many customers have each label is another")
    erased = memory.oldest_erased(sys.maxsize)
    if store.oldest_erased(len(erased) + 1) != erased:
        found.append("the erasures differ")
    return found


def _heads(mine: Head, theirs: Head | None) -> Sequence[str]:
    if theirs is None:
        return ["there is no head"]
    names = [name for name in Head.__struct_fields__ if name not in ("owner", "in_topic")]
    mine, theirs = (msgspec.structs.replace(head, owner="") for head in (mine, theirs))
    return [
        f"the head's {name} is {getattr(theirs, name)!r}, its commits give {getattr(mine, name)!r}"
        for name in names
        if getattr(mine, name) != getattr(theirs, name)
    ]


def _ledger(memory: MemoryStore, store: RedisStore, client: redis.Redis, keys: Keys) -> list[str]:
    """Differences in the merge ledger, which only shard 0 has."""
    ledger = memory.ledger
    held: Any = client.hgetall(keys.merged_into)
    stored = {customer_id.decode(): merged_into.decode() for customer_id, merged_into in held.items()}
    wrong = {
        name for name in {*ledger.values(), *stored.values()} if store.merged_from(name) != memory.merged_from(name)
    }
    return ["the merge ledger differs"] * (stored != ledger or bool(wrong))


def _misplaced(ids: list[str], deadlines: list[int], scores: Sequence[float | None]) -> list[str]:
    return [
        f"the timer of customer {customer_id!r} is at {stored}, its commits give {deadline}"
        for customer_id, deadline, stored in zip(ids, deadlines, scores, strict=True)
        if (None if deadline == NO_TIMER else float(score(deadline))) != stored
    ]
