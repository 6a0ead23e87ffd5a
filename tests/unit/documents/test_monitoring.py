"""deploy/: alerts and dashboard ask for metrics and labels that there are, and lead to pages that there are."""

import re
from typing import Final

import pytest

from docgen.dashboard import dashboard
from docgen.operations_pages import metric_labels
from segflow.streams.health.metrics import Metrics
from tests.support.monitoring import DASHBOARD, DEPLOY, queries, rules
from tests.support.state_page import PAGE, states

METRICS: Final = Metrics()
SUFFIXES: Final = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
SAMPLES: Final = {
    each.name + suffix: {*metric_labels(METRICS)[each.name], *(("le",) if suffix == "_bucket" else ())}
    for each in METRICS.registry.collect()
    for suffix in SUFFIXES.get(each.type, ("",))
}
"""The names of all samples, and their labels."""
OTHERS: Final = {
    "up",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_cpu_seconds_total",
}
"""Prometheus' own, and those of every process."""
SCRAPED: Final = {"job", "instance"}
EXPRESSIONS: Final = [(each["alert"], each["expr"], str(each["annotations"])) for each in rules()] + queries()
BY_NAME = pytest.mark.parametrize(("name", "query", "told"), EXPRESSIONS, ids=lambda value: str(value)[:40])


def named(query: str) -> set[str]:
    """The metrics a query asks for."""
    return set(re.findall(r"\b(?:segflow|process)_\w+|\bup\b", query))


@BY_NAME
def test_a_query_asks_for_metrics_and_labels_that_there_are(name: str, query: str, told: str) -> None:
    """Those of the code; and the text beside it names labels that its result has."""
    metrics = named(query)
    assert metrics, name
    assert metrics <= SAMPLES.keys() | OTHERS
    labels = SCRAPED.union(*(SAMPLES.get(each, set()) for each in metrics))
    matched = re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", query)
    grouped = re.findall(r"\b(?:by|without|on|ignoring) \(([^)]*)\)", query)
    assert {*matched, *(label.strip() for each in grouped for label in each.split(","))} <= labels
    by = re.search(r"\bby \(([^)]*)\)", query)
    left = labels if by is None else {label.strip() for label in by[1].split(",")}
    assert {*re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", told)} <= left


def test_every_alert_is_on_the_page_of_what_can_go_wrong_with_what_to_do() -> None:
    """At its state, or in the table of those that stand for none; on-call looks there first."""
    signs = [quoted for state in states().values() for quoted in state["alert"].quoted]
    rows = re.findall(r"^\| `(Segflow\w+)` \| (.+) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    others = [name for name, *cells in rows if all(cells)]
    assert sorted({*signs, *others}) == sorted(each["alert"] for each in rules())
    assert len(others) == len({*others} - {*signs})


def test_every_metric_is_on_the_dashboard() -> None:
    """In one panel or more."""
    shown = {name for _, query, _ in queries() for name in named(query)}
    every = {each.name for each in METRICS.registry.collect()}
    assert {name for name in every if not any(each.startswith(name) for each in shown)} == set()


def test_the_dashboard_is_as_the_code_gives_it() -> None:
    """`make docs-reference` would change nothing."""
    assert DASHBOARD.read_text(encoding="utf-8") == dashboard(), "stale: run `make docs-reference`"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_how_bad_it_is_what_it_means_and_where_to_read_on(rule: dict[str, dict[str, str]]) -> None:
    """The page is there, with its section."""
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "description", "page"}
    path, _, anchor = rule["annotations"]["page"].partition("#")
    text = (DEPLOY.parent / path).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    assert anchor in {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_every_alert_is_explained() -> None:
    """Each has a row on the page about monitoring; no other has."""
    text = (DEPLOY.parent / "docs" / "how-to" / "monitor.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(Segflow\w+)` \|", text, re.MULTILINE) == [each["alert"] for each in rules()]
