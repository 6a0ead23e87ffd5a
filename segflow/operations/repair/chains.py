"""Each customer's changes in a row: version 1, 2, 3 …, and what one left is what the next takes up."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from segflow.segments.model import NO_LABEL
from segflow.segments.rules import Rules


class PublishedChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The fields of a published change on which its chain depends; others are not read."""

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
    quiet: definitions whose changes were not published: behind one a customer may go on from another label.
    Memory: a version, the labels and their definitions a customer.
    """

    cut: bool
    start: dict[str, str | None]
    quiet: frozenset[int] = frozenset()
    _versions: dict[str, int] = field(default_factory=dict)
    _erased: set[str] = field(default_factory=set)  # of whom no change came since
    _published: dict[tuple[str, str], tuple[str | None, int]] = field(default_factory=dict)
    """By (customer_id, dimension): the label published last, and under which definition."""

    @property
    def customers(self) -> list[str]:
        """The customers who have segments now: those whose latest change does not end them."""
        return [customer for customer in self._versions if customer not in self._erased]

    def add(self, change: PublishedChange) -> str | None:
        """The next published change; what is wrong with it, None where it goes on from the one before."""
        who = change.customer_id
        version = self._versions.get(who)
        if change.version == 1 and who in self._erased:  # what stayed of the customer was let go of
            for dimension in self.start:
                self._published.pop((who, dimension), None)
            version = None
        if version is not None and change.version <= version:
            return f"customer {who!r}: version {change.version} comes again or too late, after version {version}"
        wrong = None
        if change.version != (version or 0) + 1 and not (version is None and self.cut):
            after = f"version {version} is followed by" if version is not None else "the first is"
            wrong = f"customer {who!r}: {after} version {change.version}"
        else:
            place = (who, change.dimension)
            start = self.start.get(change.dimension)
            before, definition = self._published.get(place, (start, 0))
            anew = change.previous_since is None and change.previous == start and change.definition > definition
            unpublished = any(definition < each <= change.definition for each in self.quiet)
            known = place in self._published or not self.cut
            if change.previous != before and known and not (anew or unpublished):
                wrong = (
                    f"customer {who!r}, version {change.version}: {change.dimension} was {before!r}, "
                    f"but the change says {change.previous!r}"
                )
        if change.current is None:
            self._erased.add(who)
        else:
            self._erased.discard(who)
        self._versions[who] = change.version
        self._published[who, change.dimension] = (change.current, change.definition)
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
