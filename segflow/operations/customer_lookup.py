"""One customer's record, read with the rules its labels were made with."""

from segflow.engine.advance.erasures import start_labels
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.segments.rules import Rules
from segflow.state import record
from segflow.state.customers import Customers
from segflow.streams.runtime.errors import UsageError


def customer_of(rule_versions: RuleVersions, customer_id: str, stored: bytes | None) -> tuple[Customers, Rules]:
    """The customer as one row of columns, and the rules.

    Raises:
        LayoutError: it is no record of this version's.
        UsageError: the control topic lacks its rules.
    """
    latest = rule_versions.latest
    version = int(record.decode([customer_id], [stored], start_labels(latest), latest.version).fixed["rules"][0])
    if not rule_versions.has(version):
        raise UsageError(
            f"the record is of rules {version}, which the control topic lacks: is it of another installation?"
        )
    rules = rule_versions.rules(version)
    return record.decode([customer_id], [stored], start_labels(rules), version, rules.kept), rules
