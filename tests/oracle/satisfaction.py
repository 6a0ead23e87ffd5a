"""satisfaction: what they told us."""

from collections.abc import Iterator
from datetime import datetime

from tests.oracle.facts import Facts
from tests.oracle.rules import OracleRules
from tests.oracle.times import moments_after


def satisfaction_label(facts: Facts, at: datetime, rules: OracleRules) -> str:
    """Return what the most recent feedback said, `unknown` without one that is young enough.

    How the contract is read: the most recent one is so by `occurred_at`, not by arrival; at equal times the lowest
    score holds. At an age of exactly 180 days it is `unknown`, as every limit is reached at its value. A feedback that
    is too old does not fall back on anything: every other one is older still.
    """
    if not facts.feedbacks:
        return "unknown"
    told_at = max(moment for moment, _ in facts.feedbacks)
    score = min(score for moment, score in facts.feedbacks if moment == told_at)
    if at - told_at >= rules.feedback_lasts:
        return "unknown"
    if score >= rules.promoter_from:
        return "promoter"
    return "passive" if score >= rules.passive_from else "detractor"


def satisfaction_instants(facts: Facts, rules: OracleRules) -> Iterator[datetime]:
    """Yield when the most recent feedback becomes too old."""
    if facts.feedbacks:
        yield from moments_after(max(moment for moment, _ in facts.feedbacks), [rules.feedback_lasts])
