"""The declaration of a model, made in the model's own file. All that segflow knows of a model is derived from it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any, Final, Generic, TypeVar

import numpy as np

from segflow.schemas.model_error import ModelError
from segflow.schemas.section import Section
from segflow.segments.cuts import CUT_FIELDS
from segflow.segments.event_columns import EventColumns
from segflow.segments.model import NO_LABEL, Model
from segflow.segments.record_section import FACT_BYTES_MOST, RecordSection

LABELS_MOST: Final = NO_LABEL - 1
"""A label is a byte of the record; the largest byte is "no label", and one is left free."""

KINDS: Final = (
    np.uint8,
    np.int8,
    np.uint16,
    np.int16,
    np.uint32,
    np.int32,
    np.uint64,
    np.int64,
    np.float64,
)
"""The types of a fact: numbers of a fixed size. No float32: its sums depend on the order of adding."""

Own = TypeVar("Own", bound=Section)


@dataclass(frozen=True, kw_only=True, slots=True)
class Common:
    """The settings that all models share."""

    minor_per_major: int  # minor units in one of the settings' currency
    slot_us: int  # slots of cadence and of windows; slot 0 begins at the Unix epoch


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """The package of a model that is not segflow's own."""

    name: str  # of the distribution, as pip installs it
    version: str  # of the model: a part of the definition


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Declaration(Generic[Own]):
    """One model: its name, its settings, its labels, and how it is built of them.

    It stands in the annotation of the model's field in schemas/settings.py, which is what makes the model known. That
    of a model from another package is made by segments/customer_model.py.
    """

    name: str  # of the dimension and of the section of the settings
    settings: type[Own]
    labels: tuple[str, ...]  # as people see them, the best first and the neutral one last
    build: Callable[[Own, Common], Model]
    labels_of: Callable[[Own], Iterable[str]] | None = None  # further labels, which the settings name
    cuts: tuple[str, ...] = ()  # fields of Cuts that it looks at
    slot: int | None = None  # place of its label in the record's fixed part, for ever; where it has no section
    section: RecordSection | None = None  # what the record keeps for it
    needs: tuple[str, ...] = ()  # models whose sections it looks at, too
    fact_settings: tuple[str, ...] = ()  # paths of settings that are in the facts it keeps
    package: Package | None = None  # where it comes from; None: segflow itself
    missing: str = ""  # why it cannot be used here, where a definition has it all the same (segments/plugins.py)

    def all_labels(self, own: Own) -> tuple[str, ...]:
        """Every label there is under these settings; further ones in alphabetical order, behind the others."""
        further = () if self.labels_of is None else sorted(set(self.labels_of(own)) - set(self.labels))
        return (*self.labels, *further)


def check(declared: Mapping[str, Declaration[Any]]) -> None:
    """Whether declarations can stand beside each other.

    Args:
        declared: by the name of the field of the settings.

    Raises:
        ModelError: one cannot be used.
    """
    for name, each in declared.items():
        if each.name != name:
            raise ModelError(f"the model {each.name}: its section of the settings is called {name}")
        if not 1 <= len(set(each.labels)) == len(each.labels) <= LABELS_MOST:
            raise ModelError(f"the model {name}: it must have 1 to {LABELS_MOST} different labels")
        unknown = set(each.cuts) - CUT_FIELDS
        if unknown:
            raise ModelError(f"the model {name}: there are no cuts {', '.join(sorted(unknown))}")
        unknown = {needed for needed in each.needs if needed not in declared or declared[needed].section is None}
        if unknown:
            raise ModelError(f"the model {name}: there are no sections {', '.join(sorted(unknown))}")
        if (each.slot is None) == (each.section is None):
            raise ModelError(f"the model {name}: its label is in a slot or in a section of the record")
        if each.section is not None and each.package is None:  # of others it was looked at under its own names
            check_section(name, each.section)
    facts = [fact.name for each in declared.values() if each.section is not None for fact in each.section.facts]
    twice = {fact for fact in facts if facts.count(fact) > 1}
    if twice:
        raise ModelError(f"two models have a fact of one name: {', '.join(sorted(twice))}")


def check_section(name: str, section: RecordSection) -> None:
    """Whether a section can stand in the record.

    Raises:
        ModelError: it cannot.
    """
    unknown = set(section.columns) - EventColumns.__annotations__.keys()
    if unknown:
        raise ModelError(f"the model {name}: events have no column {', '.join(sorted(unknown))}")
    kept = {"label", "since_us", "tails"}
    for fact in section.facts:
        if fact.kind not in KINDS:
            known = ", ".join(kind.__name__ for kind in KINDS)
            raise ModelError(f"the model {name}: the fact {fact.name} must be one of {known}")
        if fact.name in kept or not fact.name.isidentifier() or iskeyword(fact.name) or fact.name.startswith("_"):
            raise ModelError(f"the model {name}: a fact cannot be called {fact.name}")
        kept.add(fact.name)
    size = sum(fact.stored.itemsize for fact in section.facts)
    if size > FACT_BYTES_MOST:
        raise ModelError(f"the model {name}: its facts take {size} bytes, at most {FACT_BYTES_MOST} are possible")
    if (section.facts or section.entries) and (section.apply is None or section.merge is None):
        raise ModelError(f"the model {name}: it keeps facts, so it needs `apply` and `merge`")
