"""Labels translated from one definition to the next: codes count within a model, and models change with settings."""

from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.segments.facts import Labels
from segflow.segments.model import NO_LABEL, Model
from segflow.segments.rules import Rules

REMOVED: Final = NO_LABEL + 1
"""From this code on: labels that the old model has and the new one lacks, in the old one's order."""

Codes = npt.NDArray[np.int16]


def removed_labels(old: Model, new: Model) -> tuple[str, ...]:
    """The labels only the old model has: REMOVED, REMOVED + 1 and so on."""
    return tuple(label for label in old.labels if label not in new.labels)


def translate(old: Rules, new: Rules, codes: Labels) -> Codes:
    """Labels under the `old` rules, as codes of the `new` rules.

    Args:
        old: the rules of `codes`.
        new: the rules to be adopted.
        codes: shape (n, models of `old`).

    Returns:
        Shape (n, models of `new`): the code of the same label, or REMOVED and above where the new rules lack it. A
        new dimension has its neutral label.
    """
    columns = {name: column for column, name in enumerate(old.names)}
    found = np.empty((len(codes), len(new.models)), dtype=np.int16)
    for place, model in enumerate(new.models):
        column = columns.get(model.name)
        found[:, place] = model.start if column is None else _table(old.models[column], model)[codes[:, column]]
    return found


def _table(old: Model, new: Model) -> Codes:
    """The new code of each old one."""
    table = np.full(NO_LABEL + 1, NO_LABEL, dtype=np.int16)
    only_old = removed_labels(old, new)
    for code, label in enumerate(old.labels):
        table[code] = REMOVED + only_old.index(label) if label in only_old else new.labels.index(label)
    return table
