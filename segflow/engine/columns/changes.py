"""Changes as columns, between the processor that finds them and the encoder that writes them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from segflow.segments.facts import Labels, Rows, Times

NO_EVENT = -1
"""In `Steps.events`: the step was not an event."""


class Cause(IntEnum):
    """The cause of a change."""

    EVENT = 0
    TIME = 1
    LATE = 2
    RECUT = 3
    DEFINITION = 4
    ERASE = 5
    MERGE = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """m steps (one event, one deadline, one adoption of one customer) at which labels changed; columns of shape (m,).

    A customer's steps stand in their order. `labels`, `since_us` and the facts are as they are after the step.
    """

    rows: npt.NDArray[np.intp]  # into the customers of the batch
    effective_us: Times
    causes: npt.NDArray[np.uint8]
    events: npt.NDArray[np.int64]  # the event of the batch, or NO_EVENT
    labels: Labels  # (m, models)
    since_us: Times  # (m, models)
    versions: npt.NDArray[np.int64]  # the customer's version
    first_us: Times
    last_us: Times
    orders: npt.NDArray[np.int64]
    net_minor: npt.NDArray[np.int64]
    last_12_months_minor: npt.NDArray[np.int64]  # as segments.at_stake has it, of alerts only
    clv_minor: npt.NDArray[np.int64]
    next_dimensions: npt.NDArray[np.intp]
    next_labels: Labels
    next_us: Times  # NEVER: silence changes nothing more

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Moves:
    """k changes: one dimension moving in one step; columns of shape (k,), steps ascending, then the settings' order.

    `previous` are codes as in `label_codes.translate`: a label that the rules no longer have is REMOVED or above.
    """

    steps: npt.NDArray[np.intp]
    dimensions: npt.NDArray[np.intp]  # column in the rules' models
    previous: npt.NDArray[np.int16]
    current: Labels
    previous_since_us: Times
    versions: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True, slots=True)
class Shares:
    """The boundaries of shards in columns of changes: shard i has rows [i] to [i + 1]; each of shape (shards + 1,)."""

    steps: npt.NDArray[np.intp]
    moves: npt.NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.steps) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """The changes of a batch, and the steps that made them."""

    steps: Steps
    moves: Moves

    def __len__(self) -> int:
        return len(self.moves)

    @classmethod
    def join(cls, parts: Sequence[Self], models: int) -> Self:
        """The parts one after the other."""
        if not parts:
            return cls.none(models)
        firsts = np.cumsum([0, *(len(part.steps) for part in parts[:-1])])
        moves = [
            replace(part.moves, steps=part.moves.steps + first)
            for part, first in zip(parts, firsts.tolist(), strict=True)
        ]
        return cls(steps=_join([part.steps for part in parts]), moves=_join(moves))

    def by_shard(self, firsts: npt.NDArray[np.intp]) -> tuple[Self, Shares]:
        """The changes of several shards, those of one behind those of another, each in their order.

        `firsts`: shape (shards,), the first row of each shard's customers.
        """
        shards = np.searchsorted(firsts, self.steps.rows, side="right") - 1
        moved = shards[self.moves.steps]
        counts = (np.bincount(each, minlength=len(firsts)) for each in (shards, moved))
        shares = Shares(*(np.concatenate(([0], np.cumsum(count))) for count in counts))
        if len(firsts) == 1:
            return self, shares
        order, move_order = np.argsort(shards, kind="stable"), np.argsort(moved, kind="stable")
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        moves = _take(self.moves, move_order)
        return type(self)(steps=_take(self.steps, order), moves=replace(moves, steps=places[moves.steps])), shares

    def part(self, shares: Shares, shard: int, first_row: int, first_event: int) -> Self:
        """Those of one shard, as if there were no other."""
        steps = _take(self.steps, slice(*shares.steps[shard : shard + 2]))
        moves = _take(self.moves, slice(*shares.moves[shard : shard + 2]))
        events = np.where(steps.events == NO_EVENT, NO_EVENT, steps.events - first_event)
        return type(self)(
            steps=replace(steps, rows=steps.rows - first_row, events=events),
            moves=replace(moves, steps=moves.steps - shares.steps[shard]),
        )

    @classmethod
    def none(cls, models: int) -> Self:
        """No change at all."""
        rows, numbers = np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.int64)
        codes = np.zeros(0, dtype=np.uint8)
        steps = Steps(
            rows=rows,
            effective_us=numbers,
            causes=codes,
            events=numbers,
            labels=np.zeros((0, models), dtype=np.uint8),
            since_us=np.zeros((0, models), dtype=np.int64),
            versions=numbers,
            first_us=numbers,
            last_us=numbers,
            orders=numbers,
            net_minor=numbers,
            last_12_months_minor=numbers,
            clv_minor=numbers,
            next_dimensions=rows,
            next_labels=codes,
            next_us=numbers,
        )
        moves = Moves(
            steps=rows,
            dimensions=rows,
            previous=codes.astype(np.int16),
            current=codes,
            previous_since_us=numbers,
            versions=numbers,
        )
        return cls(steps=steps, moves=moves)


Table = TypeVar("Table", Steps, Moves)


def _join(parts: Sequence[Table]) -> Table:
    """Columns of equal tables, one after the other."""
    return type(parts[0])(
        **{each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(parts[0])}
    )


def _take(table: Table, rows: Rows | slice) -> Table:
    """The given rows of every column."""
    return type(table)(**{each.name: getattr(table, each.name)[rows] for each in fields(table)})
