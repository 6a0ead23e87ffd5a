"""Customers as columns: what the processor advances, and what a record is decoded to."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from segflow.schemas.rule_dimensions import key_of
from segflow.segments import window
from segflow.segments.attributes import ATTRIBUTE, Attributes
from segflow.segments.facts import Facts, Labels, ScalarT, Times
from segflow.segments.instant import UNKNOWN
from segflow.segments.model import FACTS, MODEL
from segflow.segments.record_section import Kept
from segflow.state import tails
from segflow.state.layout import (
    DIMENSION_SLOTS,
    LAYOUT,
    MODEL_SECTIONS,
    NO_FACTS,
    NO_TIMER,
    RECORD,
    REFUNDS,
    REMEMBERED,
    SECTIONS,
    empty_section,
    model_section,
    needed,
)
from segflow.state.tails import TAILS, Keys


@dataclass(slots=True)
class Customers:
    """n customers as columns. Mutable: the processor advances them in place.

    ids: n customer ids. fixed: shape (n,) of RECORD. seen: for each memory, hashes of remembered event ids,
    shape (n, 16) and (n, 8), uint64, oldest first, 0 beyond `fixed["remembered"]`. sections: those of SECTIONS that
    the settings need or a record has, in their order, then those of models of other packages; each of shape (n,).
    tails: those of TAILS whose sections there are, each of shape (n, entries). keys: of keyed tails, the key of each
    column. unread: shape (n,), what records have of models of other packages that are not asked for
    (state/named_sections.py); None: nothing.
    """

    ids: list[str]
    fixed: npt.NDArray[np.void]
    seen: tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]
    sections: dict[str, npt.NDArray[np.void]] = field(default_factory=dict)
    tails: dict[str, npt.NDArray[np.void]] = field(default_factory=dict)
    keys: dict[str, Keys] = field(default_factory=dict)
    unread: npt.NDArray[np.object_] | None = None

    @classmethod
    def unknown(cls, ids: list[str], start: Labels, rules: int, kept: Iterable[str] = ()) -> Self:
        """Customers nothing is remembered of, with the labels `start` (in record slots) under `rules`.

        `kept`: what is to be kept of them, as Rules.kept names it.
        """
        fixed = np.zeros(len(ids), dtype=RECORD)
        fixed["layout"] = LAYOUT
        fixed["labels"] = start
        fixed["rules"] = rules
        for name in ("concluded_us", "first_us", "last_us", "before_last_us", "since_us"):
            fixed[name] = UNKNOWN
        fixed["timer_us"] = NO_TIMER
        seen = (_no_ids(len(ids), 0), _no_ids(len(ids), 1))
        kept, keys = _sections_and_keys(kept)
        return cls(
            ids,
            fixed,
            seen,
            {name: empty_section(name, len(ids)) for name in kept},
            {name: tails.none(tail, len(ids), keys.get(name, ())) for name, tail in tails.of(kept).items()},
            keys,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: npt.NDArray[np.intp]) -> Self:
        """The customers of `rows`, copied."""
        return self._of([self.ids[row] for row in rows.tolist()], rows)

    def part(self, start: int, stop: int) -> Self:
        """The customers of rows [start, stop), not copied."""
        return self._of(self.ids[start:stop], slice(start, stop))

    def _of(self, ids: list[str], rows: npt.NDArray[np.intp] | slice) -> Self:
        return type(self)(
            ids,
            self.fixed[rows],
            (self.seen[0][rows], self.seen[1][rows]),
            {name: section[rows] for name, section in self.sections.items()},
            {name: entries[rows] for name, entries in self.tails.items()},
            self.keys,
            None if self.unread is None else self.unread[rows],
        )

    def keep(self, kept: Iterable[str]) -> None:
        """Forget all else but what Rules.kept names: sections, labels of other rule dimensions, other attributes."""
        kept = {*kept, *({REFUNDS} & self.sections.keys())}
        names, keys = _sections_and_keys(kept)
        self.sections = {name: self.sections[name] for name in names}
        for name in MODEL_SECTIONS.keys() & self.sections.keys() - kept:
            self.sections[name]["label"] = 0  # of a dimension that is off, and whose facts are kept
            self.sections[name]["since_us"] = UNKNOWN
        for name, tail in tails.of(SECTIONS).items():
            if tail.section not in names:
                self.tails.pop(name, None)
            elif tail.keyed:
                self.tails[name] = tails.with_keys(tail, self.tails[name], self.keys[name], keys[name])
        self.keys = keys

    def forget(self, rows: npt.NDArray[np.intp], start: Labels, rules: int) -> None:
        """Make `rows` what `unknown` gives: nothing of what was remembered of them stays."""
        blank = self.unknown([""], start, rules, ())
        self.fixed[rows] = blank.fixed[0]
        for mine, its in zip(self.seen, blank.seen, strict=True):
            mine[rows] = its[0]
        for name, section in self.sections.items():
            section[rows] = empty_section(name, 1)[0]
        for name, entries in self.tails.items():
            entries[rows] = tails.none(TAILS[name], 1, self.keys.get(name, ()))[0]
        if self.unread is not None:
            self.unread[rows] = b""

    def facts(self, rows: npt.NDArray[np.intp] | slice, sections: Collection[str] | None = None) -> Facts:
        """The facts of `rows`, copied: of the fixed part, and of `sections`; None: of all there are."""
        wanted = self.sections.keys() if sections is None else sections
        own = {
            name: section[name][rows]
            for each, section in self.sections.items()
            if each in wanted
            for name in section.dtype.names or ()
            if name not in NO_FACTS
        }
        more: dict[str, Any] = {}
        if "slots" in self.tails and "window" in wanted:
            more["window"] = window.trimmed(self.tails["slots"][rows])
        if "attributes" in self.tails and "attributes" in wanted:
            more["attributes"] = Attributes(self.keys["attributes"], self.tails["attributes"][rows])
        return facts_of(self.fixed, rows, own=own, **more)

    def kept(self, section: str) -> Kept:
        """One model's section of all these customers, as views: changes are made in place."""
        model = model_section(section)
        entries = {} if model is None else {name: self.tails[name] for name in model.entries}
        return Kept(section=self.sections[section], entries=entries, first_us=self.fixed["first_us"])

    def labels(self, dimensions: Sequence[str], rows: npt.NDArray[np.intp] | slice = slice(None)) -> Labels:
        """Label codes of `rows`, one column a dimension."""
        labels: Labels = np.stack([self._labels(name)[rows] for name in dimensions], axis=1)
        return labels

    def since_us(self, dimensions: Sequence[str], rows: npt.NDArray[np.intp] | slice = slice(None)) -> Times:
        """Since when those labels are true, UNKNOWN from the start; one column a dimension."""
        since_us: Times = np.stack([self._since_us(name)[rows] for name in dimensions], axis=1)
        return since_us

    def move(self, dimension: str, rows: npt.NDArray[np.intp], labels: Labels, at_us: Times) -> None:
        """Give `rows` other labels in one dimension."""
        self._labels(dimension)[rows] = labels
        self._since_us(dimension)[rows] = at_us

    def relabel(self, dimensions: Sequence[str], rows: npt.NDArray[np.intp], labels: Labels) -> None:
        """Write label codes of `rows`, one column a dimension, without anything being since now."""
        for column, dimension in enumerate(dimensions):
            self._labels(dimension)[rows] = labels[:, column]

    def begin(self, dimension: str, rows: npt.NDArray[np.intp]) -> None:
        """Let `rows` begin in a dimension: whatever its label, it is so from the start."""
        self._since_us(dimension)[rows] = UNKNOWN

    def _labels(self, dimension: str) -> Labels:
        """The labels in a dimension, shape (n,), to read and to write."""
        column: Labels = self._column(dimension, "labels", "label")
        return column

    def _since_us(self, dimension: str) -> Times:
        """Since when, likewise."""
        column: Times = self._column(dimension, "since_us", "since_us")
        return column

    def _column(self, dimension: str, in_fixed: str, in_section: str) -> npt.NDArray[ScalarT]:
        column: npt.NDArray[ScalarT]
        if dimension in DIMENSION_SLOTS:
            column = self.fixed[in_fixed][:, DIMENSION_SLOTS.index(dimension)]
        elif dimension in self.sections:
            column = self.sections[dimension][in_section]
        else:
            place = self.keys["rule_labels"].index(key_of(dimension))
            column = self.tails["rule_labels"][in_section][:, place]
        return column


def facts_of(fixed: npt.NDArray[np.void], rows: npt.NDArray[np.intp] | slice, **more: Any) -> Facts:
    """The facts of `rows` of fixed parts, and `more` of them, named as in Facts."""
    return Facts(
        first_us=fixed["first_us"][rows],
        last_us=fixed["last_us"][rows],
        before_last_us=fixed["before_last_us"][rows],
        purchases=fixed["purchases"][rows].astype(np.int64),
        full_refunds=fixed["full_refunds"][rows].astype(np.int64),
        net_minor=fixed["net_minor"][rows],
        **more,
    )


def _sections_and_keys(kept: Iterable[str]) -> tuple[list[str], dict[str, Keys]]:
    """The sections that keep what is named, in their order, and of keyed tails the keys of what is named."""
    named = {name.removeprefix(FACTS) for name in kept} - {*DIMENSION_SLOTS}
    inside = {name for name in named if name not in SECTIONS}
    attributes = {name.removeprefix(ATTRIBUTE) for name in inside if name.startswith(ATTRIBUTE)}
    models = {name.removeprefix(MODEL) for name in inside if name.startswith(MODEL)}
    rules = {name for name in inside if not name.startswith((ATTRIBUTE, MODEL))}
    sections = named | ({"attributes"} if attributes else set()) | ({"rules"} if rules else set())
    keys = {"attributes": tuple(sorted(map(key_of, attributes))), "rule_labels": tuple(sorted(map(key_of, rules)))}
    return [*needed(sections), *sorted(models)], keys


def _no_ids(rows: int, memory: int) -> npt.NDArray[np.uint64]:
    return np.zeros((rows, REMEMBERED[memory]), dtype=np.uint64)
