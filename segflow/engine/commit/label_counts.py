"""Customers by dimension and label: the differences that a batch makes. Pure.

Counted as the state changes, so that nobody has to read all customers to know how many have a label.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from segflow.engine.advance.erasures import start_labels
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.segments.facts import Labels
from segflow.segments.model import NO_LABEL
from segflow.segments.rules import Rules
from segflow.state import record
from segflow.state.customers import Customers
from segflow.state.head import Head
from segflow.state.redirect import is_redirect

FEW: Final = 256
"""Up to so many labels a dictionary counts them quicker than sorting does: a handful in a tenth of the time."""
Differences = Counter[tuple[str, str]]
"""By dimension and label: so many customers more; negative: fewer."""


@dataclass(frozen=True, slots=True)
class HeldLabels:
    """The labels of n customers at one moment, as codes under `rules`; NO_LABEL in the rows of nobody."""

    rules: Rules
    codes: Labels  # (n, models)

    @classmethod
    def of(cls, customers: Customers, rules: Rules, counted: npt.NDArray[np.bool_]) -> Self:
        """Those of the rows that are `counted`, shape (n,)."""
        codes = customers.labels(rules.names)
        codes[~counted] = NO_LABEL
        return cls(rules, codes)

    @property
    def nobody(self) -> Self:
        """As many rows, and nobody in them."""
        return type(self)(self.rules, np.full_like(self.codes, NO_LABEL))


class LabelCounts:
    """One batch. Made before its customers are advanced, asked afterwards.

    Args:
        customers: n of the batch.
        known: shape (n,), of whom there is a record.
        rules: of the batch.
        old: those of an adoption, under which customers stand who have not been brought to `rules`.
    """

    def __init__(self, customers: Customers, known: npt.NDArray[np.bool_], rules: Rules, old: Rules | None) -> None:
        self._customers = customers
        if old is None:
            self._before = HeldLabels.of(customers, rules, known)
            self._old = None
        else:
            adopted = customers.fixed["rules"] == rules.version
            self._before = HeldLabels.of(customers, rules, known & adopted)
            self._old = HeldLabels.of(customers, old, known & ~adopted)

    def differences(self, known: npt.NDArray[np.bool_], firsts: npt.NDArray[np.intp]) -> list[Differences]:
        """By shard, once the customers are advanced.

        Args:
            known: shape (n,), of whom there is a record now.
            firsts: shape (shards,), the first row of each shard's customers.
        """
        found = [Differences() for _ in firsts]
        after = HeldLabels.of(self._customers, self._before.rules, known)
        moved = [(self._before, after)]
        if self._old is not None:
            moved.append((self._old, self._old.nobody))
        for before, now in moved:
            for shard, kind, count in _moved(before, now, firsts):
                found[shard][kind] += count
        return found


def are_of(counts: Mapping[tuple[str, str], int], head: Head, rules: Rules) -> bool:
    """Whether a shard's counts are of all its customers, as far as their sums tell; `rules`: those of its head."""
    totals: Counter[str] = Counter()
    for (dimension, _), count in counts.items():
        totals[dimension] += count
    customers = head.population - head.holes
    return head.adopting is not None or all(totals[name] == customers for name in rules.names)


def of_records(values: Sequence[bytes | None], versions: RuleVersions) -> Differences | None:
    """The customers in stored records by dimension and label; None where the rules that one was labelled by are gone.

    Args:
        values: records, redirects and nothing; only records count.
        versions: of the rules.

    Raises:
        LayoutError: a record is of no layout that this version reads.
    """
    stored = [value for value in values if value is not None and not is_redirect(value)]
    found = Differences()
    if not stored:
        return found
    made_by = record.rules_of(stored)
    for version in np.unique(made_by).tolist():
        if not versions.has(version):
            return None
        rules = versions.rules(version)
        alike = [stored[row] for row in np.flatnonzero(made_by == version).tolist()]
        customers = record.decode([""] * len(alike), alike, start_labels(rules), version, rules.kept)
        codes = customers.labels(rules.names)
        for place, model in enumerate(rules.models):
            for code, count in enumerate(np.bincount(codes[:, place]).tolist()):
                if count and code != NO_LABEL:
                    found[model.name, model.labels[code]] += count
    return found


def _moved(
    before: HeldLabels, after: HeldLabels, firsts: npt.NDArray[np.intp]
) -> Iterator[tuple[int, tuple[str, str], int]]:
    """Shard, dimension and label, and the customers more or fewer; both are under the same rules."""
    models = before.rules.models
    rows, dimensions = np.nonzero(before.codes != after.codes)
    if not len(rows):
        return
    shards = np.searchsorted(firsts, rows, side="right") - 1
    places = (shards * len(models) + dimensions) << 8
    for held, sign in ((before, -1), (after, 1)):
        for kind, count in _counted(places | held.codes[rows, dimensions]):
            shard, dimension = divmod(kind >> 8, len(models))
            if kind & NO_LABEL != NO_LABEL:
                model = models[dimension]
                yield shard, (model.name, model.labels[kind & NO_LABEL]), sign * count


def _counted(kinds: npt.NDArray[np.intp]) -> Iterable[tuple[int, int]]:
    """Each kind and how many there are of it."""
    if len(kinds) <= FEW:
        return Counter(kinds.tolist()).items()
    different, counts = np.unique(kinds, return_counts=True)
    return zip(different.tolist(), counts.tolist(), strict=True)
