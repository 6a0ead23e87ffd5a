"""One customer's record, read with the rules its labels were made with."""

from segments.rules import Rules
from state import record
from state.customers import Customers
from streams.erasing import start_labels
from streams.rulebook import Rulebook
from streams.usage_error import UsageError


def customer_of(rulebook: Rulebook, customer_id: str, stored: bytes | None) -> tuple[Customers, Rules]:
    """The customer as one row of columns, and the rules.

    Raises:
        LayoutError: it is no record of this version's.
        UsageError: the control topic lacks its rules.
    """
    latest = rulebook.latest
    version = int(record.decode([customer_id], [stored], start_labels(latest), latest.version).fixed["rules"][0])
    if not rulebook.has(version):
        raise UsageError(
            f"the record is of rules {version}, which the control topic lacks: is it of another installation?"
        )
    rules = rulebook.rules(version)
    return record.decode([customer_id], [stored], start_labels(rules), version, rules.kept), rules
