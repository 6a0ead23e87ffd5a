"""Customers by dimension and label, counted by reading all of a shard's records."""

from collections import Counter

from segflow.engine.advance.erasures import start_labels
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.segments.model import NO_LABEL
from segflow.state import record
from segflow.state.store import HOLE, Store


def scanned(store: Store, rule_versions: RuleVersions) -> dict[tuple[str, str], int]:
    """Each record under the version of the rules it was last classified by."""
    head = store.head()
    counts: Counter[tuple[str, str]] = Counter()
    for number in range(0 if head is None else head.pages):
        ids = [customer_id for customer_id in store.page(number) if customer_id != HOLE]
        for customer_id, value in zip(ids, store.load(ids), strict=True):
            latest = rule_versions.latest
            (version,) = record.decode([customer_id], [value], start_labels(latest), 0).fixed["rules"].tolist()
            rules = rule_versions.rules(version)
            customers = record.decode([customer_id], [value], start_labels(rules), version, rules.kept)
            for model, label in zip(rules.models, customers.labels(rules.names)[0].tolist(), strict=True):
                if label != NO_LABEL:
                    counts[model.name, model.labels[label]] += 1
    return dict(counts)
