"""What a model states of itself in its own file; all that the rest of segflow knows of a model is derived from it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from segflow.schemas.section import Section
from segflow.segments.cuts import CUT_FIELDS
from segflow.segments.model import NO_LABEL, Model

LABELS_MOST: Final = NO_LABEL - 1
"""A label is a byte of the record; the largest byte is "no label", and one is left free."""

Own = TypeVar("Own", bound=Section)


class DeclarationError(Exception):
    """A model's declaration cannot be used; the message names the model and says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Common:
    """What all models share of the settings."""

    minor_per_major: int  # minor units in one of the settings' currency
    slot_us: int  # slots of cadence and of windows; slot 0 begins at the Unix epoch


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Declaration(Generic[Own]):
    """One model: its name, its settings, its labels, and how it is built of them.

    It stands in the annotation of the model's field in schemas/settings.py, which is what makes the model known.
    """

    name: str  # of the dimension and of the section of the settings
    settings: type[Own]
    labels: tuple[str, ...]  # as people are told of them, the best first and the neutral one last
    build: Callable[[Own, Common], Model]
    labels_of: Callable[[Own], Iterable[str]] | None = None  # further labels, which the settings name
    cuts: tuple[str, ...] = ()  # fields of Cuts that it looks at
    fact_settings: tuple[str, ...] = ()  # paths of settings that are in the facts it keeps

    def all_labels(self, own: Own) -> tuple[str, ...]:
        """Every label there is under these settings; further ones in alphabetical order, behind the others."""
        further = () if self.labels_of is None else sorted(set(self.labels_of(own)) - set(self.labels))
        return (*self.labels, *further)


def check(declared: Mapping[str, Declaration[Any]]) -> None:
    """Whether declarations can stand beside each other.

    Args:
        declared: by the name of the field of the settings.

    Raises:
        DeclarationError: one cannot be used.
    """
    for name, each in declared.items():
        if each.name != name:
            raise DeclarationError(f"the model {each.name}: its section of the settings is called {name}")
        if not 1 <= len(set(each.labels)) == len(each.labels) <= LABELS_MOST:
            raise DeclarationError(f"the model {name}: it must have 1 to {LABELS_MOST} different labels")
        unknown = set(each.cuts) - CUT_FIELDS
        if unknown:
            raise DeclarationError(f"the model {name}: there are no cuts {', '.join(sorted(unknown))}")
