"""The interface of all models: a pure function over columns, and its deadline."""

from typing import Final, Protocol

from segflow.segments.cuts import Cuts
from segflow.segments.explain import Case
from segflow.segments.facts import Facts, Labels, Times

NO_LABEL = 255
"""The code of "no label" (null): none yet, or erased; no model has that many labels."""


MODEL: Final = "models."
"""The prefix of the names of other packages' models in lists that also hold names of dimensions."""


FACTS: Final = "facts."
"""Likewise, of built-in models whose facts are kept although their dimension is off."""


class Model(Protocol):
    """One way to divide customers. Labels are mutually exclusive and complete; a code is an index into `labels`.

    The law: a customer's label is constant on [at, deadline) and different at the deadline, or examined there
    again without harm. No clock, no I/O, no state.
    """

    @property
    def name(self) -> str:
        """The dimension."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels by code."""
        ...

    @property
    def start(self) -> int:
        """Code of the label every customer starts with, without a change; NO_LABEL where the model has none."""
        ...

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:
        """Label codes of n customers at their moments `at_us`; `labels`: what earlier models gave there."""
        ...

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:
        """The time at which each label changes if nothing more happens: > `at_us`, NEVER where silence changes nothing.

        `labels` holds the codes at `at_us` of this model and of the models before it.
        """
        ...

    def explain(self, case: Case) -> list[str]:
        """The reasons for a customer's label: sentences, the last of which names it."""
        ...


def label_of(model: Model, code: int) -> str:
    """A label to count by; the text null where there is none."""
    return "null" if code == NO_LABEL else model.labels[code]
