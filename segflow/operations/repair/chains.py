"""Each customer's changes in a row: version 1, 2, 3 …, and what one left is what the next takes up."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from segflow.segments.model import NO_LABEL
from segflow.segments.rules import Rules


class Told(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What of a published change its chain depends on; other fields are not read."""

    change_id: str
    customer_id: str
    dimension: str
    previous: str | None
    current: str | None
    previous_since: str | None = None
    version: int
    definition: int = 0


@dataclass(kw_only=True, slots=True)
class Chains:
    """The chains of one shard's customers, as published, change by change.

    cut: the topic's beginning is gone, so that a customer's first change there may have any version.
    start: by dimension the label a customer begins with: at first, and again when the dimension was off meanwhile.
    quiet: definitions whose changes were not told: behind one a customer may go on from another label.
    Memory: a version, the labels and their definitions a customer.
    """

    cut: bool
    start: dict[str, str | None]
    quiet: frozenset[int] = frozenset()
    _versions: dict[str, int] = field(default_factory=dict)
    _erased: set[str] = field(default_factory=set)  # of whom no change came since
    _told: dict[tuple[str, str], tuple[str | None, int]] = field(default_factory=dict)
    """By (customer_id, dimension): the label told last, and under which definition."""

    def add(self, told: Told) -> str | None:
        """The next published change; what is wrong with it, None where it goes on from the one before."""
        who = told.customer_id
        version = self._versions.get(who)
        if told.version == 1 and who in self._erased:  # what stayed of the customer was let go of
            for dimension in self.start:
                self._told.pop((who, dimension), None)
            version = None
        if version is not None and told.version <= version:
            return f"customer {who!r}: version {told.version} comes again or too late, after version {version}"
        wrong = None
        if told.version != (version or 0) + 1 and not (version is None and self.cut):
            after = f"version {version} is followed by" if version is not None else "the first is"
            wrong = f"customer {who!r}: {after} version {told.version}"
        else:
            place = (who, told.dimension)
            start = self.start.get(told.dimension)
            before, definition = self._told.get(place, (start, 0))
            anew = told.previous_since is None and told.previous == start and told.definition > definition
            untold = any(definition < each <= told.definition for each in self.quiet)
            known = place in self._told or not self.cut
            if told.previous != before and known and not (anew or untold):
                wrong = (
                    f"customer {who!r}, version {told.version}: {told.dimension} was {before!r}, but the change says "
                    f"{told.previous!r}"
                )
        if told.current is None:
            self._erased.add(who)
        else:
            self._erased.discard(who)
        self._versions[who] = told.version
        self._told[who, told.dimension] = (told.current, told.definition)
        return wrong


def starts_of(definitions: Iterable[Rules]) -> dict[str, str | None]:
    """By dimension of any of the definitions, the label a customer begins with."""
    return {name: label for rules in definitions for name, label in start_of(rules).items()}


def start_of(rules: Rules) -> dict[str, str | None]:
    """By dimension, the label a customer begins with."""
    codes = rules.start.tolist()
    return {
        model.name: None if code == NO_LABEL else model.labels[code]
        for model, code in zip(rules.models, codes, strict=True)
    }
