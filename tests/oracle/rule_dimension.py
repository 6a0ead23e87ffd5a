"""Rule dimensions: the first rule that holds names the label.

How the contract is read:

- A customer starts at `otherwise`, without a change: it is what a customer is of whom nothing is known.
- A rule sees the labels of the dimensions before its own in the settings' order, as they are at the same moment.
- Names that stand for facts: `idle` or `recency` (since the latest purchase), `tenure` (since the first), `frequency`
  (orders that count), `monetary` (net money, major units), `purchases`, `full_refunds` (counts).
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from fractions import Fraction

from tests.oracle.expression import Quantity, Scope, Value, holds, instants_of
from tests.oracle.facts import Facts, units_in_one
from tests.oracle.rules import OracleRules
from tests.oracle.times import EPOCH, MICROSECOND


def rule_label(dimension: str, facts: Facts, at: datetime, rules: OracleRules, labels: Mapping[str, str]) -> str:
    """Return the label of the first rule that holds, given the labels of the dimensions before."""
    chosen = rules.rule_dimensions[dimension]
    for label, when in chosen.rules:
        if holds(when, scope_of(facts, at, rules, labels)):
            return label
    return chosen.otherwise


def rule_instants(dimension: str, facts: Facts, rules: OracleRules) -> Iterator[datetime]:
    """Yield the crossings of all comparisons of times in all rules, also those that an earlier rule hides."""
    return instants_of(seen_by(dimension, facts, rules))


def seen_by(dimension: str, facts: Facts, rules: OracleRules) -> Scope:
    """Return a scope in which all rules of a dimension were evaluated, for its crossings; labels do not matter."""
    anywhere = scope_of(facts, facts.last_purchase_at or EPOCH, rules, dict.fromkeys(rules.dimensions, ""))
    for _, when in rules.rule_dimensions[dimension].rules:
        holds(when, anywhere)
    return anywhere


def scope_of(facts: Facts, at: datetime, rules: OracleRules, labels: Mapping[str, str]) -> Scope:
    """Return what a rule may look at."""
    return Scope(
        at=at,
        attributes={name: value for name, (_, value) in facts.attributes.items()},
        names={**labels, **names_of(facts, at, rules)},
    )


def names_of(facts: Facts, at: datetime, rules: OracleRules) -> dict[str, Value]:
    """Return the facts by the names that rules use."""

    def since(moment: datetime | None) -> Quantity | None:
        return None if moment is None else Quantity("span", Fraction((at - moment) // MICROSECOND), Fraction(1))

    return {
        "idle": since(facts.last_purchase_at),
        "recency": since(facts.last_purchase_at),
        "tenure": since(facts.purchase_times[0] if facts.purchase_times else None),
        "frequency": Quantity("number", Fraction(facts.orders)),
        "purchases": Quantity("number", Fraction(len(facts.purchase_times))),
        "full_refunds": Quantity("number", Fraction(facts.full_refunds)),
        "monetary": Quantity("number", Fraction(facts.money_minor, units_in_one(rules.minor_digits))),
    }
