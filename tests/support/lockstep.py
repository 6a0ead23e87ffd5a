"""The oracle and the engine over one log, step by step."""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.file_run import MemoryShard
from segflow.schemas.settings import Settings
from segflow.segments.instant import UNKNOWN, to_us
from segflow.segments.rules import from_settings
from tests.oracle.simulation import Event, OracleRules, Shard, Sweep
from tests.support.agreement import by_customer, parsed
from tests.support.events import Log

SETTINGS = Settings()

Changes = dict[str, list[dict[str, Any]]]


class Engine:
    """One shard of the product over the memory store, driven step by step."""

    def __init__(self, product_settings: Settings = SETTINGS) -> None:
        self.rule_versions = RuleVersions(from_settings(product_settings))
        self.shard = MemoryShard(product_settings, self.rule_versions)
        self.decoder = Decoder(product_settings, None)
        self.changes: list[dict[str, Any]] = []

    def feed(self, log: Log) -> None:
        """One batch."""
        chunk = self.decoder.decode([json.dumps(event).encode() for event in log], None, range(len(log)))
        assert not chunk.unusable
        self.changes += parsed(message.value for message in self.shard.feed(chunk, wall_us=0).changes)

    def sweep(self, until: datetime | None = None) -> None:
        """Everybody up to max(C, until)."""
        for result in self.shard.sweep(UNKNOWN if until is None else to_us(until), wall_us=0):
            self.changes += parsed(message.value for message in result.changes)


def fed(*log: dict[str, Any], product_settings: Settings | None = None) -> Engine:
    """An engine that had these events, each in a batch of its own; default settings without others."""
    engine = Engine(product_settings or SETTINGS)
    for each in log:
        engine.feed([each])
    return engine


class Oracle:
    """One shard of the oracle, driven likewise."""

    def __init__(self, rules: OracleRules | None = None) -> None:
        self.shard = Shard(rules or OracleRules())
        self.changes: list[dict[str, Any]] = []

    def take(self, event: dict[str, Any]) -> None:
        """One event, as the oracle reads it: numbers stay decimals."""
        self.changes += self.shard.step(Event(json.loads(json.dumps(event), parse_float=Decimal)))

    def sweep(self, until: datetime | None = None) -> None:
        """Everybody up to max(C, until)."""
        self.changes += self.shard.step(Sweep(until))


def cut(log: Log, sizes: list[int]) -> Iterator[Log]:
    """The log in batches of the given sizes, over and over."""
    start = turn = 0
    while start < len(log):
        stop = start + sizes[turn % len(sizes)]
        yield log[start:stop]
        start, turn = stop, turn + 1


def in_batches(
    engine: Engine, oracle: Oracle, log: Log, sizes: list[int], until: datetime | None
) -> tuple[Changes, Changes]:
    """What both make of the log, which the engine gets in batches, swept to `until`."""
    for event in log:
        oracle.take(event)
    oracle.sweep(until)
    for batch in cut(log, sizes):
        engine.feed(batch)
    engine.sweep(until)
    return by_customer(engine.changes), by_customer(oracle.changes)


def at_every_prefix(engine: Engine, oracle: Oracle, log: Log) -> Iterator[tuple[Changes, Changes]]:
    """What both have made of it after each event, swept to the clock."""
    for event in log:
        oracle.take(event)
        oracle.sweep()
        engine.feed([event])
        engine.sweep()
        yield by_customer(engine.changes), by_customer(oracle.changes)


def under_sweeps(
    engine: Engine, oracle: Oracle, log: Log, sweeps: list[tuple[int, datetime]]
) -> tuple[Changes, Changes]:
    """What both make of the log where everybody is swept to some moment after the event of some place."""
    for place, event in enumerate(log):
        oracle.take(event)
        engine.feed([event])
        for when in (moment for at, moment in sweeps if at == place):
            oracle.sweep(when)
            engine.sweep(when)
    oracle.sweep()
    engine.sweep()
    return by_customer(engine.changes), by_customer(oracle.changes)
