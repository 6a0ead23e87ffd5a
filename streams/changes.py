"""Changes as columns, between the processor that finds them and the encoder that writes them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from segments.facts import Labels

NO_EVENT = -1
"""In `Changes.events`: the change was not caused by an event."""


class Cause(IntEnum):
    """Why a label changed."""

    EVENT = 0
    TIME = 1
    LATE = 2
    RECUT = 3
    DEFINITION = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """k changes, each column of shape (k,) but where said. A customer's changes stand in their order."""

    rows: npt.NDArray[np.intp]  # into the customers of the batch
    dimensions: npt.NDArray[np.intp]  # column in the rules' models
    previous: Labels
    current: Labels
    effective_us: npt.NDArray[np.int64]
    previous_since_us: npt.NDArray[np.int64]
    versions: npt.NDArray[np.int64]
    causes: npt.NDArray[np.uint8]
    events: npt.NDArray[np.int64]  # the event of the batch, or NO_EVENT
    labels: Labels  # (k, models) after the step
    first_us: npt.NDArray[np.int64]  # facts after the step
    last_us: npt.NDArray[np.int64]
    orders: npt.NDArray[np.int64]
    net_minor: npt.NDArray[np.int64]
    next_dimensions: npt.NDArray[np.intp]
    next_labels: Labels
    next_us: npt.NDArray[np.int64]  # NEVER: silence changes nothing more
    old_rules: npt.NDArray[np.bool_]  # made under the rules before the adoption

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def join(cls, parts: Sequence[Self], models: int) -> Self:
        """The parts one after the other."""
        parts = [part for part in parts if len(part)] or [cls.none(models)]
        return cls(**{each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)})

    @classmethod
    def none(cls, models: int) -> Self:
        """No change at all."""
        labels = np.zeros(0, dtype=np.uint8)
        names: dict[str, Any] = {each.name: np.zeros(0, dtype=np.int64) for each in fields(cls)}
        names |= {"previous": labels, "current": labels, "next_labels": labels, "causes": labels}
        names |= {"labels": np.zeros((0, models), dtype=np.uint8), "old_rules": np.zeros(0, dtype=np.bool_)}
        return cls(**names)
