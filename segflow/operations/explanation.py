"""A customer's labels explained: each dimension's words, and what silence brings it next."""

from dataclasses import dataclass

import numpy as np

from segflow.engine.advance.forecast import forecast
from segflow.segments.explain import Case
from segflow.segments.instant import NEVER, to_text
from segflow.segments.model import NO_LABEL
from segflow.segments.rules import Rules
from segflow.state.customers import Customers


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """One dimension of one customer."""

    dimension: str
    label: str | None
    at: str  # the moment the words are about
    because: list[str]
    next_label: str | None  # what silence alone would make of it; None: nothing else, ever
    next_at: str | None


def explanations(customers: Customers, rules: Rules, currency: str, now_us: int) -> list[Explanation]:
    """Of the one customer in `customers`, at `now_us`; where a change was missed, at the last conclusion."""
    concluded_us = int(customers.fixed["concluded_us"][0])
    facts, codes = customers.facts(np.array([0], dtype=np.intp)), customers.labels(rules.names)
    ahead = forecast(rules, facts, concluded_us, codes)
    due_us = ahead[0].at_us if ahead else NEVER
    at_us = max(now_us, concluded_us) if now_us < due_us else concluded_us
    labels = {
        model.name: None if code == NO_LABEL else model.labels[code]
        for model, code in zip(rules.models, codes[0].tolist(), strict=True)
    }
    found = []
    for model in rules.models:
        case = Case(
            facts=facts,
            at_us=at_us,
            cuts=rules.cuts,
            label=labels[model.name],
            labels=labels,
            currency=currency,
        )
        change = next((change for change in ahead if change.dimension == model.name), None)
        found.append(
            Explanation(
                dimension=model.name,
                label=case.label,
                at=to_text(at_us),
                because=model.explain(case),
                next_label=None if change is None else change.label,
                next_at=None if change is None else to_text(change.at_us),
            )
        )
    return found
