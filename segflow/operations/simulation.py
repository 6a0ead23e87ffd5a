"""Simulation: customers' labels under another definition, beside those under the present one. Nothing is written."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from segflow.engine.advance.erasures import start_labels
from segflow.engine.commit.population_scan import scan
from segflow.engine.file_run import FileRun
from segflow.schemas.settings import Settings
from segflow.segments.cuts import Cuts
from segflow.segments.facts import Labels
from segflow.segments.instant import LATEST_US, UNKNOWN, to_text
from segflow.segments.model import NO_LABEL
from segflow.segments.recut import PopulationHistograms, kept_cuts, next_cuts
from segflow.segments.rules import Rules, from_settings, recut_policy_of
from segflow.state import record
from segflow.state.customers import Customers
from segflow.state.store import HOLE, Store
from segflow.streams.control.definitions import definition_of, fact_differences
from segflow.streams.control.topic import Control
from segflow.streams.runtime.errors import UsageError

Move = tuple[str, str | None, str | None]
"""Dimension, label before, label after; None: the dimension is not there, or has no label yet."""
OnProgress = Callable[[int, str, int], None]
"""Called with (customers done, a note, of how many)."""
REST: Final = 1.0
"""A pause as long as each slice took: Redis has at most half its time taken, and live commits go in between."""


@dataclass(kw_only=True)
class Comparison:
    """Customers by what they are under two definitions. sample: how many ids of each move are kept."""

    before: Rules
    after: Rules
    sample: int
    customers: int = 0
    cuts: str = ""  # where the cuts of `after` come from
    left_out: int = 0  # events that happened later than the moment of the comparison
    moves: Counter[Move] = field(default_factory=Counter)
    samples: dict[Move, list[str]] = field(default_factory=dict)

    @property
    def dimensions(self) -> list[str]:
        """Those of the new definition, then those it lacks."""
        return list(dict.fromkeys((*self.after.names, *self.before.names)))

    def labels(self, dimension: str) -> list[str | None]:
        """The labels of both definitions, and None where somebody has none."""
        found: dict[str | None, None] = {}
        for rules in (self.before, self.after):
            if dimension in rules.names:
                found |= dict.fromkeys(rules.models[rules.names.index(dimension)].labels)
        ends = {label for move in self.moves if move[0] == dimension for label in move[1:]}
        return [label for label in (*found, None) if label in ends]

    def add(self, ids: Sequence[str], before: Labels, after: Labels) -> None:
        """N customers and their label codes, shape (n, models) of the rules before and after."""
        self.customers += len(ids)
        nothing = np.full(len(ids), NO_LABEL, dtype=np.uint8)
        for name in self.dimensions:
            was = before[:, self.before.names.index(name)] if name in self.before.names else nothing
            now = after[:, self.after.names.index(name)] if name in self.after.names else nothing
            pairs = was.astype(np.int64) << 8 | now
            for pair, first, count in zip(*_unique(pairs), strict=True):
                move = (name, _label(self.before, name, pair >> 8), _label(self.after, name, pair & 255))
                self.moves[move] += count
                kept = self.samples.setdefault(move, [])
                if len(kept) < self.sample and move[1] != move[2]:
                    rows = [first] if self.sample == 1 else np.flatnonzero(pairs == pair)[: self.sample - len(kept)]
                    kept += [ids[row] for row in rows]

    def moved(self, dimension: str) -> int:
        """Customers whose label would be another one."""
        return sum(count for (name, was, now), count in self.moves.items() if name == dimension and was != now)

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return {
            "customers": self.customers,
            "left_out": self.left_out,
            "cuts": self.cuts,
            "dimensions": {
                name: {
                    "labels": {
                        label or "null": {"before": self._count(name, 1, label), "after": self._count(name, 2, label)}
                        for label in self.labels(name)
                    },
                    "moved": self.moved(name),
                    "moves": [
                        {"from": was, "to": now, "customers": count, "sample": self.samples[each, was, now]}
                        for (each, was, now), count in self.moves.most_common()
                        if each == name and was != now
                    ],
                }
                for name in self.dimensions
            },
        }

    def _count(self, dimension: str, end: int, label: str | None) -> int:
        return sum(count for move, count in self.moves.items() if move[0] == dimension and move[end] == label)


def _unique(pairs: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[list[int], list[int], list[int]]:
    values, firsts, counts = np.unique(pairs, return_index=True, return_counts=True)
    return values.tolist(), firsts.tolist(), counts.tolist()


def _label(rules: Rules, dimension: str, code: int) -> str | None:
    return None if code == NO_LABEL else rules.models[rules.names.index(dimension)].labels[code]


def over_stores(
    control: Control,
    settings: Settings,
    stores: Sequence[Store],
    now_us: int,
    sample: int,
    on_progress: OnProgress = lambda *_: None,
) -> Comparison:
    """The customers of all shards' stores under the definition in force and under that of `settings`.

    Both at the same moment: `now_us` or the shard's clock, the later; so what differs is the definition's doing. Reads
    page by page, with pauses.

    Raises:
        UsageError: the new definition needs facts that the records do not have.
    """
    held = [each.content for each in control.definitions]
    missing = fact_differences(held, definition_of(settings, held[-1]))
    if missing:
        raise UsageError(
            "these settings need facts that the records in Redis do not have: "
            + "; ".join(map(str, missing))
            + ". A record holds totals, which cannot be split: simulate over a file of the events instead"
        )
    before = control.rule_versions.latest
    comparison = Comparison(before=before, after=from_settings(settings), sample=sample)
    heads = [store.head() for store in stores]
    clocks_us = [now_us if head is None else max(now_us, head.clock_us) for head in heads]
    pages = [0 if head is None or head.partial else head.pages for head in heads]
    cuts, comparison.cuts = _cuts_of(control, settings, stores, pages, clocks_us)
    comparison.after = comparison.after.with_cuts(cuts)
    population = sum(head.population for head in heads if head is not None)
    for store, count, clock_us in zip(stores, pages, clocks_us, strict=True):
        for number in range(count):
            started_s = time.perf_counter()
            customers = _page(store, number, before, comparison.after)
            facts = customers.facts(slice(None))
            at_us = np.maximum(customers.fixed["concluded_us"], clock_us)
            comparison.add(customers.ids, before.classify(facts, at_us), comparison.after.classify(facts, at_us))
            on_progress(comparison.customers, f"{comparison.customers:,} customers", population)
            time.sleep(REST * (time.perf_counter() - started_s))
    return comparison


def _cuts_of(
    control: Control, settings: Settings, stores: Sequence[Store], pages: Sequence[int], clocks_us: Sequence[int]
) -> tuple[Cuts, str]:
    """The cuts the new definition would have after its first re-cut, where it is the first to want any."""
    old, new = recut_policy_of(control.settings), recut_policy_of(settings)
    kept = kept_cuts(control.rule_versions.latest.cuts, old, new)
    wants_more = (
        (new.quintiles and not old.quintiles)
        or (new.value_shares is not None and old.value_shares is None)
        or (new.clv is not None and old.clv != new.clv)
    )
    if not (new.wanted and (wants_more or not kept.version)):
        return kept, f"version {kept.version}" if kept.version else "fixed"
    found, at_us = PopulationHistograms(), max(clocks_us)
    for store, count in zip(stores, pages, strict=True):
        for number in range(count):
            started_s = time.perf_counter()
            found = found + scan(new, kept.parameters, store, number, number + 1, at_us)
            time.sleep(REST * (time.perf_counter() - started_s))
    cuts = next_cuts(found, at_us, kept, new) or kept
    return cuts, f"of the {found.population} living customers at {to_text(at_us)}"


def _page(store: Store, number: int, *rules: Rules) -> Customers:
    """The customers of one page of the directory, with what all the rules need."""
    ids = [each for each in store.page(number) if each != HOLE]
    stored = {each: value for each, value in zip(ids, store.load(ids), strict=True) if value is not None}
    sections = {name for each in rules for name in each.kept}
    return record.decode(list(stored), list(stored.values()), start_labels(rules[0]), 0, sections)


def over_files(
    before: Settings, after: Settings, batches: Iterator[list[bytes]], until_us: int, sample: int
) -> Comparison:
    """The customers of a log of events, worked through under both definitions, as they are at `until_us` or its end.

    Facts may differ, too: all is made from the log. Events after `until_us` are left out.
    """
    latest_us = LATEST_US if until_us == UNKNOWN else until_us
    wall_us = time.time_ns() // 1000
    runs = tuple(FileRun(each, wall_us=wall_us, refuses_future=True, until_us=latest_us) for each in (before, after))
    records = 0
    for lines in batches:
        for run in runs:
            for _ in run.feed(lines, records + 1):
                pass
        records += len(lines)
    for run in runs:
        for _ in run.finish(until_us):
            pass
    rules = [run.rule_versions.latest for run in runs]
    comparison = Comparison(
        before=rules[0], after=rules[1], sample=sample, cuts=_said(rules[1].cuts), left_out=runs[1].left_out
    )
    shards = [run.memory_shards[0] for run in runs]
    for number in range(shards[0].head.pages):
        both = [_page(shard.store, number, each) for shard, each in zip(shards, rules, strict=True)]
        codes = [customers.labels(each.names) for customers, each in zip(both, rules, strict=True)]
        comparison.add(both[0].ids, codes[0], codes[1])
    return comparison


def _said(cuts: Cuts) -> str:
    return f"version {cuts.version} of the run" if cuts.version else "fixed"
