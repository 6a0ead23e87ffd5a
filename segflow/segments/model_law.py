"""The law of models, for the tests of a package that brings one: `check_law(MODEL)` raises where it does not hold.

A label is constant on [at, deadline), and at the deadline it is another one or is looked at again without harm. What is
kept does not depend on the order of events, and two customers who are merged are as if all events were of one.
"""

import random
from collections.abc import Sequence
from typing import Any, Final

from segflow.schemas.section import Section
from segflow.segments.customer_model import CustomerModel, Event
from segflow.segments.declaration import Common
from segflow.segments.facts import COLUMNS
from segflow.segments.instant import DAY_US, LATEST_US, NEVER, UNKNOWN

PROBES: Final = 24
"""Moments looked at between a moment and its deadline, most of them soon after it."""
STEPS: Final = 1000
"""Deadlines of one customer's silence; more of them than any table of thresholds has."""
YEAR_US: Final = 365 * DAY_US


class LawError(AssertionError):
    """A model does not keep the law; the message says how, with a customer of whom it does not."""


def check_law(
    model: CustomerModel[Any],
    section: Section | None = None,
    *,
    customers: int = 300,
    seed: int = 0,
    minor_per_major: int = 100,
) -> None:
    """Hold a model to the law, over random customers at random moments.

    Args:
        model: the model.
        section: its settings; the defaults without it.
        customers: how many are drawn; more find more.
        seed: the same one draws the same customers.
        minor_per_major: minor units in one of the currency.

    Raises:
        LawError: it does not hold.
        ModelError: the model cannot be used at all.
    """
    model.declared("under test")
    common = Common(minor_per_major=minor_per_major, slot_us=28 * DAY_US)
    section = model.settings() if section is None else section
    own = section if model.own is None else model.own(section, common)
    dice = random.Random(seed)  # noqa: S311 - nothing is kept secret by it
    for _ in range(customers):
        log = _events(dice)
        kept = _folded(model, log)
        _same(model, kept, _folded(model, dice.sample(log, len(log))), "the order of events matters to `apply`", log)
        if model.facts:
            assert model.merge is not None
            sides = [dice.random() < 0.5 for _ in log]
            halves = [
                _folded(model, [each for each, mine in zip(log, sides, strict=True) if mine is side])
                for side in (True, False)
            ]
            _same(model, kept, model.merge(*halves), "`merge` of two customers is not what all events give one", log)
        _silence(model, own, _facts(model, log, kept), dice)


def _silence(model: CustomerModel[Any], own: Any, facts: Any, dice: random.Random) -> None:
    """The law for one customer, from a moment on, through all deadlines."""
    base_us = facts.last_us if facts.last_us != UNKNOWN else dice.randrange(50 * YEAR_US)
    at_us = base_us + dice.choice([0, -1, 1, -dice.randrange(YEAR_US), dice.randrange(3 * YEAR_US)])
    for _ in range(STEPS):
        label = model.classify(own, facts, at_us)
        if label not in range(len(model.labels)):
            raise LawError(
                f"{model.name}: `classify` gave {label!r}, which is the place of no label; {facts} at {at_us}"
            )
        due_us = model.deadline(own, facts, at_us, label)
        if not due_us > at_us:
            raise LawError(f"{model.name}: `deadline` gave {due_us!r}, which is not after {at_us}; {facts}")
        end_us = min(due_us, LATEST_US + 1)
        spans_us = [min(int(10 ** dice.uniform(0, 15)), end_us - 1 - at_us) for _ in range(PROBES)]
        for probe_us in (at_us, end_us - 1, *(at_us + max(span_us, 0) for span_us in spans_us)):
            other = model.classify(own, facts, probe_us)
            if other != label:
                raise LawError(
                    f"{model.name}: {model.labels[label]} at {at_us} until its deadline {due_us}, but "
                    f"{model.labels[other]} at {probe_us}, before it; {facts}"
                )
        if due_us > LATEST_US:
            return
        at_us = due_us
    raise LawError(f"{model.name}: {STEPS} deadlines, and another one behind them; {facts}")


def _events(dice: random.Random) -> list[Event]:
    """The log of one customer."""
    at_us, log = dice.randrange(20 * YEAR_US, 50 * YEAR_US), []
    for _ in range(dice.randrange(12)):
        at_us += int(10 ** dice.uniform(0, 13.5))
        kind = dice.choice(
            ["purchase", "purchase", "purchase", "refund", "feedback", "payment", "interaction", "profile"]
        )
        is_money = kind in ("purchase", "refund")
        log.append(
            Event(
                type=kind,
                occurred_us=at_us,
                amount_minor=dice.choice([0, 1, 999, 100_000]) if is_money else 0,
                full=kind == "refund" and dice.random() < 0.5,
                discounted=kind == "purchase" and dice.random() < 0.5,
                score=dice.randrange(11) if kind == "feedback" else 0,
                kind=dice.choice(["visit", "view", "cart", "share"]) if kind == "interaction" else "",
            )
        )
    return log


def _start(model: CustomerModel[Any]) -> Any:
    return model.own_facts()._make([fact.kind(fact.start).item() for fact in model.facts])


def _folded(model: CustomerModel[Any], log: Sequence[Event]) -> Any:
    kept = _start(model)
    for event in log:
        kept = kept if model.apply is None else model.apply(kept, event)
    return kept


def _facts(model: CustomerModel[Any], log: Sequence[Event], kept: Any) -> Any:
    """A customer's facts after these events, as the record has them."""
    bought = sorted(event.occurred_us for event in log if event.type == "purchase")
    money = sum({"purchase": 1, "refund": -1}.get(event.type, 0) * event.amount_minor for event in log)
    shared = {
        "first_us": bought[0] if bought else UNKNOWN,
        "last_us": bought[-1] if bought else UNKNOWN,
        "before_last_us": bought[-2] if len(bought) > 1 else UNKNOWN,
        "purchases": len(bought),
        "full_refunds": sum(event.full for event in log),
        "net_minor": money,
    }
    return model.all_facts()._make([*(int(shared[name]) for name in COLUMNS), *kept])


def _same(model: CustomerModel[Any], one: Any, other: Any, problem: str, log: Sequence[Event]) -> None:
    for fact, mine, theirs in zip(model.facts, one, other, strict=True):
        near = abs(mine - theirs) <= 1e-9 * max(abs(mine), abs(theirs)) if isinstance(mine, float) else mine == theirs
        if not near:
            raise LawError(f"{model.name}: {problem}: {fact.name} is {mine} and {theirs}; {list(log)}")


assert NEVER > LATEST_US
