"""The classes of value that a run makes of its population, beside those the oracle makes of every customer's money."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from segflow.schemas.settings import Settings
from tests.oracle.customer import Customer
from tests.oracle.rules import OracleRules
from tests.oracle.simulation import Event, Shard
from tests.oracle.value import is_counted, population_cuts
from tests.support.histories import START, written
from tests.support.quantile_run import EVERY, run

RULES = OracleRules(dimensions=("value",))
# The contract's: bins are so far apart at most, and a cut that would move by less than this share stays.
BIN, STAYS = Fraction(101, 100), Fraction(5, 100)


def population(seed: int) -> list[dict[str, Any]]:
    """A year of 250 customers in time order: some return an order, some more than they paid, many fall silent."""
    rng = np.random.default_rng(seed)
    log: list[dict[str, Any]] = []
    for number, second in enumerate(np.sort(rng.integers(0, 365 * 86_400, 1800))):
        refunded = rng.random() < 0.15
        customer = int(250 * rng.power(2)) * int(second) // (365 * 86_400)  # later ones come later
        log.append(
            {
                "type": "refund" if refunded else "purchase",
                "event_id": f"e{number}",
                "customer_id": f"c{customer if rng.random() < 0.7 else int(250 * rng.power(2))}",
                "occurred_at": written(START + timedelta(seconds=int(second))),
                "order_id": "o",
                "amount": f"{rng.lognormal(3.5, 1.2) + 0.01:.2f}",
            }
            | ({"full": bool(rng.random() < 0.5)} if refunded else {})
        )
    return log


def customers_at_boundaries(log: list[dict[str, Any]]) -> Iterator[tuple[datetime, list[Customer]]]:
    """Yield each boundary that the log passes, with everybody as of the events before it."""
    shard = Shard(RULES)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    period: int | None = None
    for event in log:
        passed = (datetime.fromisoformat(event["occurred_at"]) - epoch) // EVERY
        if period is not None and passed > period:
            yield epoch + passed * EVERY, list(shard.customers.values())
        period = passed
        shard.step(Event(event))


@pytest.mark.parametrize("seed", [1, 2])
def test_cuts_of_value_are_a_bin_from_the_exact_ones_or_have_stayed(seed: int) -> None:
    """At every boundary: of the living with an order, their positive net money."""
    settings = Settings.model_validate({"dimensions": ("value",), "recut": {"min_population": 30, "every": "30d"}})
    assert settings.recut.every == EVERY
    log = population(seed)
    rule_versions = run(log, batch=300, settings=settings)[0].rule_versions
    versions = [rule_versions.rules(version).cuts for version in range(rule_versions.latest.version + 1)]
    held = [Fraction(cut) for cut in reversed(versions.pop(0).value_minor)]
    moved = 0
    for boundary, customers in customers_at_boundaries(log):
        counted = [each.facts.money_minor for each in customers if is_counted(each.facts, boundary, RULES)]
        exact = population_cuts(counted, RULES)
        found = [Fraction(cut) for cut in reversed(versions[0].value_minor)] if versions else held
        if not all(is_right(new, of, old) for new, of, old in zip(found, exact, held, strict=True)):
            found = held  # no new version here: it belongs to a later boundary
        elif versions:
            versions.pop(0)
            moved += 1
        for new, of, old in zip(found, exact, held, strict=True):
            assert is_right(new, of, old)
        held = found
    assert moved > 3
    assert not versions


def is_right(new: Fraction, exact: Fraction, old: Fraction) -> bool:
    """Whether a cut is the lower end of the bin of the exact one, or the old one that this is close to."""
    if exact / BIN <= new <= exact:
        return True
    return new == old and abs(exact / old - 1) <= STAYS * BIN + (BIN - 1)
