"""Words for price."""

from segflow.segments.explain.case import Case, explain
from segflow.segments.models.price import Price
from segflow.segments.share import SHARES_PER_ONE


@explain.register
def _(model: Price, case: Case) -> list[str]:
    purchases, discounted = case.fact("purchases"), case.fact("discounted")
    lines = [f"{purchases} purchases, {discounted} of them with a discount (refunds aside)."]
    if case.label == "unknown":
        return [*lines, f"Fewer than {model.min_purchases} (min_purchases) say too little: unknown."]
    share = f"{100 * discounted / purchases:.4g} %"
    sensitive, full = (f"{100 * each / SHARES_PER_ONE:g} %" for each in (model.sensitive_from, model.full_price_up_to))
    reason = {
        "sensitive": f"{share} is {sensitive} (sensitive_from) or more: sensitive.",
        "full_price": f"{share} is {full} (full_price_up_to) or less: full_price.",
        "mixed": f"{share} is more than {full} (full_price_up_to), and less than {sensitive} (sensitive_from): mixed.",
    }
    return [*lines, reason[str(case.label)]]
