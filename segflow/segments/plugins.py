"""Models that other packages bring, found by name among the entry points `segflow.models` of what is installed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Final, NoReturn, TypedDict

import numpy as np
from pydantic import ConfigDict

from segflow.schemas.model_error import ModelError
from segflow.schemas.section import Section
from segflow.segments.customer_model import CustomerModel
from segflow.segments.cuts import Cuts
from segflow.segments.declaration import Declaration, Package, check
from segflow.segments.explain import Case
from segflow.segments.facts import Fact, Facts, Labels, Times
from segflow.segments.record_section import RecordSection

GROUP: Final = "segflow.models"


@cache
def find(name: str) -> Declaration[Any] | None:
    """The model of that name, None where no installed package has one. Looked up once in a process.

    Raises:
        ModelError: there is one, and it cannot be used.
    """
    found = {"?" if point.dist is None else point.dist.name: point for point in entry_points(group=GROUP, name=name)}
    if not found:
        return None
    if len(found) > 1:
        raise ModelError(
            f"the model {name}: several packages have one, {', '.join(sorted(found))}; uninstall all but one"
        )
    ((package, point),) = found.items()
    where = f"the model {name} of the package {package}"
    try:
        model = point.load()
    except Exception as error:
        raise ModelError(
            f"{where} cannot be loaded: {type(error).__name__}: {error} (entry point {point.value}). Install a version "
            "of the package that is right, or take the model out of `dimensions`"
        ) from error
    if not isinstance(model, CustomerModel):
        raise ModelError(f"{where}: {point.value} is a {type(model).__name__}, and should be a CustomerModel")
    if model.name != name:
        raise ModelError(f"{where}: the entry point and the model must have one name, the model's is {model.name}")
    try:
        declared = model.declared(package)
        check({name: declared})
    except ModelError as error:
        raise ModelError(f"{error} (package {package})") from error
    return declared


def installed(name: str) -> Declaration[Any]:
    """The model of that name.

    Raises:
        ModelError: there is none, or it cannot be used.
    """
    found = find(name)
    if found is None:
        raise ModelError(
            f"the model {name} is not installed here: no package has an entry point of that name in the group {GROUP}"
        )
    return found


class Written(TypedDict):
    """The part of a definition that describes a model of another package."""

    package: str  # the distribution
    version: str  # of the model
    labels: list[str]  # by code
    facts: list[list[str]]  # name and type of each


def written(model: Declaration[Any]) -> Written:
    """The part of a definition that describes `model`, which is of another package."""
    assert model.package is not None
    assert model.section is not None
    return Written(
        package=model.package.name,
        version=model.package.version,
        labels=list(model.labels),
        facts=[[fact.name, fact.kind.__name__] for fact in model.section.facts],
    )


def as_written(name: str, held: Written) -> Declaration[Any]:
    """The model a definition has.

    Where the one installed here is none or another, what is known of it stands in its place: its labels, and an error
    that says what to install, raised when anything is asked of it.
    """
    try:
        found = find(name)
        problem = "it is not installed here"
    except ModelError as error:
        found, problem = None, str(error)
    if found is not None:
        here = written(found)
        if here == held:
            return found
        problem = f"version {here['version']} of the package {here['package']} is installed here"
        if here["version"] == held["version"]:
            problem = "the one installed here has that version, and other labels or facts"
    missing = (
        f"the definition in segments.control has the model {name}, version {held['version']} of the package "
        f"{held['package']}; {problem}. Install that version. To do without the model, or to go on with another "
        f"version, take it out of `dimensions` first, while that version is installed"
    )
    facts = tuple(Fact(fact, getattr(np, kind)) for fact, kind in held["facts"])
    return Declaration(
        name=name,
        settings=_AnySection,
        labels=tuple(held["labels"]),
        build=lambda _own, _common: _Missing(name, tuple(held["labels"]), missing),
        section=RecordSection(bit=None, facts=facts, apply=_refuse(missing), merge=_refuse(missing)),
        package=Package(name=held["package"], version=held["version"]),
        missing=missing,
    )


class _AnySection(Section):
    """A section whose model is not here to check it."""

    model_config = ConfigDict(extra="allow")


@dataclass(frozen=True, slots=True)
class _Missing:
    """In the place of a model that is not here."""

    name: str
    labels: tuple[str, ...]
    problem: str
    start: int = 0

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Raise ModelError."""
        raise ModelError(self.problem)

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:  # noqa: ARG002 - the Model's signature
        """Raise ModelError."""
        raise ModelError(self.problem)

    def explain(self, case: Case) -> list[str]:  # noqa: ARG002 - the Model's signature
        """Raise ModelError."""
        raise ModelError(self.problem)


def _refuse(problem: str) -> Callable[..., NoReturn]:
    def raises(*_: object) -> NoReturn:
        raise ModelError(problem)

    return raises
