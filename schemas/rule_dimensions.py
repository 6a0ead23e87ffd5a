"""Dimensions by rules, as settings have them. Each rule is checked when settings are read."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from xxhash import xxh3_64_intdigest

from segflow.schemas.expression import meaning
from segflow.schemas.expression.checking import RESERVED, check
from segflow.schemas.expression.meaning import Condition
from segflow.schemas.expression.syntax import LENGTH_MAX, ExpressionError, names

DIMENSIONS_MAX: Final = 64
"""The most rule dimensions: each is evaluated at every event, and takes 13 bytes of a record."""
ATTRIBUTES_MAX: Final = 64
"""The most attributes that rules may look at: each takes 21 bytes of a record."""

OF_THE_RECORD: Final = frozenset({"window", "attributes", "rules", "refunds"})
"""Sections of a record that are no dimension's; a dimension cannot be called so (state/layout.py)."""
LABEL_PATTERN: Final = r"^[a-z][a-z0-9_]{0,63}$"
"""The pattern of names of labels and dimensions. Such a name needs no quotes in YAML, expressions and metrics."""
Label = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]


class Rule(BaseModel):
    """A label, and the condition under which a customer has it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    label: Label
    when: Annotated[str, StringConstraints(min_length=1, max_length=LENGTH_MAX)]


class RuleDimension(BaseModel):
    """Rules in their order. The first that holds gives the label; `otherwise` where none does."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    rules: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=200)]  # labels are bytes, and one is otherwise's
    otherwise: Label

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels by code: `otherwise`, then those of the rules in their order."""
        return tuple(dict.fromkeys([self.otherwise, *(rule.label for rule in self.rules)]))


class RuleError(ValueError):
    """An error in a rule's expression. `path` is its place below `dimensions`."""

    def __init__(self, path: tuple[str | int, ...], error: ExpressionError) -> None:
        self.path = path
        self.error = error
        super().__init__(f"dimensions.{'.'.join(map(str, path))}: {error}")


@lru_cache(maxsize=4096)
def key_of(name: str) -> int:
    """The key of an attribute or a rule dimension in a record: 32 bits of the name's xxh3-64, never 0."""
    return xxh3_64_intdigest(name.encode()) & 0xFFFF_FFFF or 1


def split(written: Mapping[Any, Any], built_in: Sequence[str]) -> tuple[list[Any], dict[Any, Any]]:
    """The names and the rules of `dimensions` where it is written as a mapping.

    A built-in dimension has no value in the mapping. One that is missing there is put first if a rule looks at it.
    Without any built-in dimension, lifecycle and rfm are put first too.

    Args:
        written: names, and the rules of those that have any.
        built_in: names, in the order in which they are put first.

    Returns:
        The names in their order, and the rules by name.

    Raises:
        ValueError: a built-in dimension has rules.
    """
    rules = {name: spec for name, spec in written.items() if name not in built_in}
    for name in written.keys() - rules.keys():
        if written[name]:
            raise ValueError(
                f"dimensions.{name}: is built in and has no rules; what can be set of it stands in `{name}`"
            )
    listed = [name for name in written if name in built_in]
    wanted = _looked_at(rules) if listed else _looked_at(rules) | {"lifecycle", "rfm"}
    return [*(name for name in built_in if name in wanted and name not in listed), *written], rules


def _looked_at(rules: dict[Any, Any]) -> set[str]:
    """Every name in the rules that can be read. Those that cannot are an error later."""
    found: set[str] = set()
    for spec in rules.values():
        rules_of = spec.get("rules") if isinstance(spec, dict) else None
        for rule in rules_of if isinstance(rules_of, list) else ():
            when = rule.get("when") if isinstance(rule, dict) else None
            found |= names(when) if isinstance(when, str) else set()
    return found


def checked(
    dimensions: tuple[str, ...], rules: Mapping[str, RuleDimension], labels: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[tuple[str, Condition], ...]]:
    """Label and condition of each rule of each rule dimension.

    Args:
        dimensions: in the settings' order.
        rules: of those of them that have any.
        labels: of the models.

    Raises:
        RuleError: an expression is wrong.
        ValueError: a name cannot be used, or there are too many dimensions or attributes.
    """
    return dict(_checked(dimensions, tuple(rules.items()), tuple(labels.items())))


@lru_cache(maxsize=16)  # settings are asked for their rules again and again, and some have thousands
def _checked(
    dimensions: tuple[str, ...],
    given_rules: tuple[tuple[str, RuleDimension], ...],
    given_labels: tuple[tuple[str, tuple[str, ...]], ...],
) -> Mapping[str, tuple[tuple[str, Condition], ...]]:
    rules, labels = dict(given_rules), dict(given_labels)
    if len(rules) > DIMENSIONS_MAX:
        raise ValueError(f"dimensions: there may be {DIMENSIONS_MAX} with rules")
    later = {
        name: f"{name} is not among the dimensions before this one: put it above, in `dimensions`"
        for name in [*labels, *rules]
    }
    before: dict[str, tuple[str, ...]] = {}
    conditions: dict[str, tuple[tuple[str, Condition], ...]] = {}
    for name in dimensions:
        if name not in rules:
            before[name] = labels[name]
            continue
        if name in labels or name in RESERVED | OF_THE_RECORD:
            raise ValueError(f"dimensions.{name}: this name means something in rules already")
        found = []
        for place, rule in enumerate(rules[name].rules):
            try:
                found.append((rule.label, check(rule.when, before, later)))
            except ExpressionError as error:
                raise RuleError((name, "rules", place, "when"), error) from None
        conditions[name] = tuple(found)
        before[name] = rules[name].labels
    attributes = attributes_of(conditions)
    if len(attributes) > ATTRIBUTES_MAX:
        raise ValueError(f"dimensions: rules may look at {ATTRIBUTES_MAX} attributes, these look at {len(attributes)}")
    for kind in (attributes, tuple(rules)):
        if len({key_of(name) for name in kind}) < len(kind):
            raise ValueError("dimensions: two names have the same hash in a record; call one of them otherwise")
    return conditions


def attributes_of(conditions: Mapping[str, tuple[tuple[str, Condition], ...]]) -> tuple[str, ...]:
    """The attributes that rules look at, in alphabetical order."""
    found: set[str] = set()
    for rules in conditions.values():
        for _, condition in rules:
            found |= meaning.attributes(condition)
    return tuple(sorted(found))
