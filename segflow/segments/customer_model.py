"""A model in a package of its own: plain functions of one customer, which segflow finds by the entry point's name.

    [project.entry-points."segflow.models"]
    weekend_buyer = "weekend_buyer:MODEL"

What such a package imports is in this module. Times are microseconds since 1970 in UTC, money is in minor units.
docs/how-to/add-a-model.md has an example.
"""

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Generic, NamedTuple

import numpy as np

from segflow.schemas.model_error import ModelError
from segflow.schemas.section import Count, Section, Share, Wait
from segflow.segments.cuts import Cuts
from segflow.segments.declaration import Common, Declaration, Own, Package, check_section
from segflow.segments.explain import Case
from segflow.segments.facts import COLUMNS, Fact, Facts, Labels, Rows, Times
from segflow.segments.instant import DAY_US, LATEST_US, NEVER, UNKNOWN, duration_us
from segflow.segments.record_section import Events, Happened, Kept, RecordSection

__all__ = [
    "DAY_US",
    "NEVER",
    "UNKNOWN",
    "Common",
    "Count",
    "CustomerModel",
    "Event",
    "Fact",
    "Section",
    "Share",
    "Wait",
    "after",
    "duration_us",
    "idle_us",
    "orders",
]

NUMBERS: Final = frozenset({np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64})


def orders(facts: Any) -> int:
    """Orders that count: purchases less full refunds, never below zero."""
    return max(int(facts.purchases) - int(facts.full_refunds), 0)


def idle_us(facts: Any, at_us: int) -> int:
    """Time since the latest purchase; 0 without one."""
    return 0 if facts.last_us == UNKNOWN else at_us - int(facts.last_us)


def after(time_us: int, span_us: int) -> int:
    """`time_us` + `span_us`; UNKNOWN, and whatever falls beyond the year 9999, gives NEVER."""
    return int(NEVER) if time_us == UNKNOWN or time_us > LATEST_US - span_us else time_us + span_us


class Event(NamedTuple):
    """One event of one customer, as a model sees it."""

    type: str  # purchase, refund, feedback, payment, interaction, profile
    occurred_us: int
    amount_minor: int  # of a purchase or a refund, in the settings' currency; else 0
    full: bool  # a refund of a whole order
    discounted: bool  # a purchase with a discount
    score: int  # of a feedback, 0 to 10
    kind: str  # of an interaction, as in `visit`


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CustomerModel(Generic[Own]):
    """One way to divide customers, by pure functions of one customer. No clock, no I/O, no state.

    `own` is what the functions get of the settings: what `own` here makes of the section, or the section itself.
    `facts` has first_us, last_us, before_last_us (UNKNOWN: no such purchase), purchases, full_refunds, net_minor, and
    the model's own facts, by name.

    The law: a label is constant on [at, deadline) and another one at the deadline, or looked at again there without
    harm. segments/model_law.py tests a model for it.
    """

    name: str  # of the dimension, of its section of the settings, and of the entry point
    version: str  # another one wherever labels or facts would be other ones; a part of the definition
    settings: type[Own]
    labels: tuple[str, ...]  # the first is where every customer starts
    classify: Callable[[Any, Any, int], int]  # own, facts, at_us -> place in labels
    deadline: Callable[[Any, Any, int, int], int]  # own, facts, at_us, label -> when silence would change it, or NEVER
    explain: Callable[[Any, Any, int, str], Sequence[str]] | None = None  # own, facts, at_us, label -> sentences
    own: Callable[[Own, Common], Any] | None = None  # of the section of the settings, and what all models share
    facts: tuple[Fact[Any], ...] = ()  # sums, counts, extremes: they must not depend on the order of events
    apply: Callable[[Any, Event], Any] | None = None  # facts, event -> facts: a named tuple of the model's own facts
    merge: Callable[[Any, Any], Any] | None = None  # facts, facts -> facts of two customers who are one

    def declared(self, package: str) -> Declaration[Own]:
        """The declaration, as segflow has them of its own models.

        Args:
            package: name of the distribution it is installed from.

        Raises:
            ModelError: it cannot be used.
        """
        self._check()
        one = _OneByOne(self, package)
        section = RecordSection(
            bit=None,
            facts=one.kept,
            columns=("discounted", "score", "interaction") if self.facts else (),
            apply=one.apply if self.facts else None,
            merge=one.merge if self.facts else None,
        )
        return Declaration(
            name=self.name,
            settings=self.settings,
            labels=self.labels,
            build=one.build,
            section=section,
            package=Package(name=package, version=self.version),
        )

    def own_facts(self) -> Any:
        """The class of what `apply` and `merge` get and give: a named tuple of the model's own facts."""
        return _table("OwnFacts", [fact.name for fact in self.facts])

    def all_facts(self) -> Any:
        """The class of what `classify`, `deadline` and `explain` get: a named tuple of all facts."""
        return _table("CustomerFacts", [*COLUMNS, *(fact.name for fact in self.facts)])

    def _check(self) -> None:
        """Whether the parts are what they have to be.

        Raises:
            ModelError: one is not.
        """
        texts = (self.name, self.version, *self.labels)
        if not all(isinstance(text, str) and text for text in texts):
            raise ModelError(f"the model {self.name}: name, version and labels must be texts")
        if not (isinstance(self.settings, type) and issubclass(self.settings, Section)):
            raise ModelError(f"the model {self.name}: settings must be a class made of segflow's Section")
        functions = {"classify": self.classify, "deadline": self.deadline}
        if self.facts:
            functions |= {"apply": self.apply, "merge": self.merge}  # type: ignore[dict-item]  # looked at below
        for name, function in functions.items():
            if not callable(function):
                raise ModelError(f"the model {self.name}: {name} must be a function")
        shared = {fact.name for fact in self.facts} & {*COLUMNS}
        if shared:
            raise ModelError(f"the model {self.name}: all models have {', '.join(sorted(shared))} already")
        check_section(self.name, RecordSection(bit=None, facts=self.facts, apply=_nothing, merge=_nothing))


def _nothing(*_: object) -> None:
    """In the place of a function that is not looked at."""


def _table(name: str, fields: list[str]) -> Any:
    """A class of named tuples."""
    return namedtuple(name, fields)  # noqa: PYI024 - the fields are the model's


class _OneByOne:
    """The functions of a CustomerModel over columns: a loop in Python over customers, a microsecond or more each.

    That is slow beside segflow's own models, which work on whole columns. The functions have the form they have, with
    numbers and named tuples in and out, so that they can be compiled one day.
    """

    def __init__(self, model: CustomerModel[Any], package: str) -> None:
        self.model = model
        self.package = package
        self.kept = tuple(Fact(f"{model.name}.{fact.name}", fact.kind, fact.start) for fact in model.facts)
        self.own_facts, self.all_facts = model.own_facts(), model.all_facts()

    def build(self, own: Any, common: Common) -> "_Columns":
        """The model under these settings."""
        return _Columns(self, own if self.model.own is None else self.call("own", self.model.own, own, common))

    def call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of the model.

        Raises:
            ModelError: it raises anything.
        """
        try:
            return function(*arguments)
        except Exception as error:
            about = ", ".join(str(each) for each in arguments[1:])
            raise self.error(f"`{name}` raised {type(error).__name__}: {error}; called for {about}") from error

    def error(self, problem: str) -> ModelError:
        """A message that says whose fault it is."""
        return ModelError(
            f"the model {self.model.name} {self.model.version} (package {self.package}): {problem}. Take it out of "
            "`dimensions`, or install a version of the package that is right"
        )

    def customers(self, facts: Facts) -> Iterator[Any]:
        """Each customer's facts."""
        columns = [getattr(facts, name).tolist() for name in COLUMNS]
        columns += [facts[fact].tolist() for fact in self.kept]
        return map(self.all_facts._make, zip(*columns, strict=True))

    def apply(self, kept: Kept, happened: Happened, _slot_us: int) -> None:
        """Apply events to the model's facts, in place."""
        kinds = (
            ("purchase", happened.purchases),
            ("refund", happened.refunds),
            ("feedback", happened.feedback),
            ("payment", happened.payments),
        )
        for kind, events in kinds:
            self._apply(kept, events, [kind] * len(events.rows))
        others = happened.others
        named = others.of(others.more["interaction"]).tolist()
        self._apply(kept, others, ["interaction" if kind else "profile" for kind in named])

    def _apply(self, kept: Kept, events: Events, types: list[str]) -> None:
        if not types:
            return
        more = events.more
        columns = (
            types,
            events.occurred_us.tolist(),
            events.amounts_minor.tolist(),
            events.of(events.batch.full).tolist(),
            events.of(more["discounted"]).tolist(),
            events.of(more["score"]).tolist(),
            events.of(more["interaction"]).tolist(),
        )
        told = map(Event._make, zip(*columns, strict=True))
        held = self._own(kept, events.rows)
        assert self.model.apply is not None
        after_them = [self.call("apply", self.model.apply, each, event) for each, event in zip(held, told, strict=True)]
        self._write(kept, events.rows, after_them, "apply")

    def merge(self, kept: Kept, rows: Rows, other: Kept) -> None:
        """Merge the facts of `other`, row by row, into those of `rows`, in place."""
        assert self.model.merge is not None
        pairs = zip(self._own(kept, rows), self._own(other, np.arange(len(rows))), strict=True)
        self._write(kept, rows, [self.call("merge", self.model.merge, *pair) for pair in pairs], "merge")

    def _own(self, kept: Kept, rows: Rows) -> list[Any]:
        columns = [kept[fact][rows].tolist() for fact in self.kept]
        return list(map(self.own_facts._make, zip(*columns, strict=True)))

    def _write(self, kept: Kept, rows: Rows, found: list[Any], name: str) -> None:
        for place, fact in enumerate(self.kept):
            try:
                values = [each[place] for each in found]
                exact = fact.kind in NUMBERS
                if exact and any(int(value) != value for value in values):
                    raise ValueError(f"{fact.name} is no whole number")  # noqa: TRY301 - told with the others
                kept[fact][rows] = np.array(values, dtype=fact.kind)
            except (TypeError, ValueError, IndexError, OverflowError) as error:
                problem = f"`{name}` gave what cannot be kept, {found[:1]!r}: {error}"
                raise self.error(problem) from error


@dataclass(frozen=True, eq=False)
class _Columns:
    """The model over columns, as all of segflow sees it."""

    one: _OneByOne
    own: Any

    @cached_property
    def name(self) -> str:
        return self.one.model.name

    @cached_property
    def labels(self) -> tuple[str, ...]:
        return self.one.model.labels

    @property
    def start(self) -> int:
        return 0

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: Mapping[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into `labels`, shape (n,).

        Raises:
            ModelError: the model's function raises, or gives no label.
        """
        one, codes = self.one, np.zeros(len(at_us), dtype=np.uint8)
        for row, (customer, moment_us) in enumerate(zip(one.customers(facts), at_us.tolist(), strict=True)):
            code = one.call("classify", one.model.classify, self.own, customer, moment_us)
            if not isinstance(code, int | np.integer) or not 0 <= code < len(self.labels):
                raise one.error(f"`classify` gave {code!r}, which is the place of no label; called for {customer}")
            codes[row] = code
        return codes

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: Mapping[str, Labels]) -> Times:  # noqa: ARG002 - the Model's signature
        """Deadlines of n customers, shape (n,) of int64 microseconds; NEVER where silence changes nothing.

        Raises:
            ModelError: the model's function raises, or gives a time that is not after `at_us`.
        """
        one, due_us = self.one, np.full(len(at_us), NEVER, dtype=np.int64)
        customers = zip(one.customers(facts), at_us.tolist(), labels[self.name].tolist(), strict=True)
        for row, (customer, moment_us, code) in enumerate(customers):
            due = one.call("deadline", one.model.deadline, self.own, customer, moment_us, code)
            if not isinstance(due, int | np.integer) or due <= moment_us:
                raise one.error(f"`deadline` gave {due!r}, which is not after {moment_us}; called for {customer}")
            due_us[row] = due if due <= LATEST_US else NEVER
        return due_us

    def explain(self, case: Case) -> list[str]:
        """The model's own words, and the label."""
        one, ending = self.one, f"The {self.name} is {case.label}."
        if one.model.explain is None:
            return [ending]
        (customer,) = one.customers(case.facts)
        sentences = one.call("explain", one.model.explain, self.own, customer, case.at_us, case.label)
        return [*map(str, sentences), ending]
