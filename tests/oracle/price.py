"""price: buys on discount only, or at any price."""

from fractions import Fraction

from tests.oracle.facts import Facts
from tests.oracle.rules import OracleRules


def price_label(facts: Facts, rules: OracleRules) -> str:
    """Return the label of the share of purchases that carried a discount; silence never changes it.

    How the contract is read: every purchase counts, also one of amount zero, and "refunds aside" means that a refund,
    full or not, takes none away again. A share at either limit has reached it: exactly 60 % is `sensitive`, exactly
    20 % `full_price`. What carries a discount is said at `Facts.apply`.
    """
    purchases = len(facts.purchase_times)
    if purchases < rules.price_purchases:
        return "unknown"
    share = Fraction(facts.discounted_purchases, purchases)
    if share >= rules.sensitive_share:
        return "sensitive"
    if share <= rules.full_price_share:
        return "full_price"
    return "mixed"
