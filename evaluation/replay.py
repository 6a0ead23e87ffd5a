"""A history run through the engine of `segflow run` up to a moment: the alarms raised, and the facts held then."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from segflow.engine.advance.erasures import start_labels
from segflow.engine.commit.execute import CommitResult
from segflow.engine.file_run import FileRun
from segflow.schemas.settings import Settings
from segflow.segments.facts import Facts, Times
from segflow.segments.instant import NEVER, to_us
from segflow.segments.rules import Rules
from segflow.state import record
from segflow.state.store import HOLE

Alarming = Mapping[str, frozenset[str]]
"""The alarming labels by dimension. An alarm begins with the first of them and lasts as long as one of them holds."""


class _Event(msgspec.Struct):
    occurred_at: datetime


class _Change(msgspec.Struct):
    customer_id: str
    dimension: str
    previous: str | None
    current: str | None
    effective_at: datetime


CHANGE: Final = msgspec.json.Decoder(_Change)
EVENT: Final = msgspec.json.Decoder(_Event)


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarms:
    """k alarms of one dimension, in the order in which they were raised; columns of shape (k,)."""

    customers: npt.NDArray[np.int64]  # rows of the replay's customers
    raised_us: Times
    ended_us: Times  # by a purchase; NEVER: still in force at the end of the replay

    def in_force_us(self, customers: int) -> Times:
        """The time at which each customer's alarm in force was raised, shape (customers,); NEVER without one."""
        found = np.full(customers, NEVER, dtype=np.int64)
        held = self.ended_us == NEVER
        found[self.customers[held]] = self.raised_us[held]
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """n customers as the engine left them at `at_us`."""

    at_us: int
    ids: tuple[str, ...]
    facts: Facts
    rules: Rules
    alarms: dict[str, Alarms]  # by dimension


def up_to(batches: Iterable[Sequence[bytes]], at_us: int) -> list[list[bytes]]:
    """The events that had happened by `at_us`, batch by batch. `batches` are lines of JSON."""
    return [[line for line in lines if to_us(EVENT.decode(line).occurred_at) <= at_us] for lines in batches]


def replay(settings: Settings, batches: Iterable[Sequence[bytes]], at_us: int, alarming: Alarming) -> Replay:
    """The replay of all events of `batches`, none of them after `at_us`, then of silence up to `at_us`."""
    run = FileRun(settings)
    log = _Log(alarming)
    records = 0
    for lines in batches:
        for result in run.feed(list(lines), records + 1):
            log.add(result)
        records += len(lines)
    for result in run.finish(at_us):
        log.add(result)
    (shard,) = run.memory_shards
    rules = run.rule_versions.latest
    ids = [each for page in range(shard.head.pages) for each in shard.store.page(page) if each != HOLE]
    customers = record.decode(ids, shard.store.load(ids), start_labels(rules), 0, rules.kept)
    rows = {customer_id: row for row, customer_id in enumerate(ids)}
    return Replay(
        at_us=at_us,
        ids=tuple(ids),
        facts=customers.facts(slice(None)),
        rules=rules,
        alarms={dimension: log.alarms(dimension, rows) for dimension in alarming},
    )


class _Log:
    """The alarms, collected from the changes as a subscriber reads them."""

    def __init__(self, alarming: Alarming) -> None:
        self._alarming = alarming
        self._found: dict[str, list[tuple[str, int, int]]] = {dimension: [] for dimension in alarming}
        self._open: dict[tuple[str, str], int] = {}  # by dimension and customer, its index in `_found`

    def add(self, result: CommitResult) -> None:
        """Add the changes that one step of the run published."""
        for line in result.changes.lines().splitlines():
            change = CHANGE.decode(line)
            labels = self._alarming.get(change.dimension, frozenset())
            if (change.previous in labels) == (change.current in labels):
                continue
            found, key = self._found[change.dimension], (change.dimension, change.customer_id)
            at_us = to_us(change.effective_at)
            if change.current in labels:
                self._open[key] = len(found)
                found.append((change.customer_id, at_us, NEVER))
            else:
                place = self._open.pop(key)
                found[place] = (*found[place][:2], at_us)

    def alarms(self, dimension: str, rows: Mapping[str, int]) -> Alarms:
        """The alarms of one dimension. `rows`: the row of each customer."""
        found = self._found[dimension]
        return Alarms(
            customers=np.array([rows[customer_id] for customer_id, _, _ in found], dtype=np.int64),
            raised_us=np.array([raised_us for _, raised_us, _ in found], dtype=np.int64),
            ended_us=np.array([ended_us for _, _, ended_us in found], dtype=np.int64),
        )
