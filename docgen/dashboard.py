"""The Grafana dashboard: written by a command, kept in `deploy/grafana/`, held to the metrics by tests."""

import json
from dataclasses import dataclass
from typing import Any, Final

COLUMNS: Final = 24
"""Grafana's grid is so wide."""
HEIGHT: Final = 8
STAT_HEIGHT: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One picture: queries with the legend of each."""

    title: str
    queries: dict[str, str]  # PromQL by legend
    unit: str = "short"  # as Grafana names it
    stat: bool = False  # one number, in the place of a course over time
    stacked: bool = False
    signed: bool = False  # below zero, too
    text: str = ""


def _p(title: str, legend: str, query: str, **more: Any) -> Panel:
    """A panel of one query."""
    return Panel(title=title, queries={legend: query}, **more)


ROWS: Final[dict[str, tuple[Panel, ...]]] = {
    "Does it work?": (
        _p("Shards acquired", "acquired", "count(segflow_taken == 1) or vector(0)", stat=True),
        _p("Shards there are", "shards", "max(segflow_shards)", stat=True),
        _p("Kafka answers", "workers", 'sum(segflow_up{server="kafka"})', stat=True, text="Workers that it answers."),
        _p("Redis answers", "workers", 'sum(segflow_up{server="redis"})', stat=True, text="Workers that it answers."),
        _p("Shards with another copy", "shards", "sum(segflow_recoverable)", stat=True, text="Beside Redis' own."),
        _p("Furthest behind", "shard", "max(segflow_freshness_seconds)", stat=True, unit="s"),
        _p("Dead letters, 1 h", "records", "sum(increase(segflow_dead_letters_total[1h]))", stat=True),
    ),
    "What goes in and out?": (
        _p("Events", "a second", "sum(rate(segflow_events_total[$__rate_interval]))", unit="cps"),
        _p(
            "Changes by dimension",
            "{{dimension}}",
            "sum by (dimension) (rate(segflow_changes_total[$__rate_interval]))",
            unit="cps",
            stacked=True,
        ),
        _p(
            "Changes by cause",
            "{{cause}}",
            "sum by (cause) (rate(segflow_changes_total[$__rate_interval]))",
            unit="cps",
            stacked=True,
        ),
        _p(
            "Dead letters by reason",
            "{{reason}}",
            "sum by (reason) (increase(segflow_dead_letters_total[$__rate_interval])) > 0",
            text="Records that cannot be used. Empty where there are none.",
        ),
        _p(
            "Share of records that cannot be used",
            "{{instance}}",
            "max by (instance) (segflow_dead_letter_share)",
            unit="percentunit",
            text="Of the last one to two minutes, by worker.",
        ),
        Panel(
            title="Repeated, late and outdated events",
            queries={
                "repeated": "sum(rate(segflow_duplicates_total[$__rate_interval]))",
                "late": "sum(rate(segflow_late_total[$__rate_interval]))",
                "before an erase": "sum(rate(segflow_outdated_total[$__rate_interval]))",
                "under both ids of a merge": "sum(rate(segflow_merged_repeats_total[$__rate_interval]))",
                "attributes left out": "sum(rate(segflow_attributes_left_out_total[$__rate_interval]))",
            },
            unit="cps",
        ),
        Panel(
            title="Silence looked at, customers merged",
            queries={
                "timers": "sum(rate(segflow_swept_total[$__rate_interval]))",
                "brought under new rules": "sum(rate(segflow_adopted_total[$__rate_interval]))",
                "merged": "sum(rate(segflow_merged_total[$__rate_interval]))",
                "messages between shards": "sum(rate(segflow_handed_over_total[$__rate_interval]))",
            },
            unit="cps",
        ),
    ),
    "Who are the customers?": (
        _p(
            "Customers by label: $dimension",
            "{{label}}",
            'sum by (label) (segflow_customers{dimension="$dimension"})',
            stacked=True,
            text="Exact, counted as commits change them.",
        ),
        _p(
            "Changes by new label: $dimension",
            "{{label}}",
            'sum by (label) (rate(segflow_changes_total{dimension="$dimension"}[$__rate_interval]))',
            unit="cps",
            stacked=True,
        ),
    ),
    "Does it keep up?": (
        _p("Records to work", "{{input}}", "sum by (input) (segflow_lag_records)", stacked=True),
        _p("Behind, by shard", "{{shard}}", "max by (shard) (segflow_freshness_seconds)", unit="s"),
        _p("Waits for its commit, by shard", "{{shard}}", "max by (shard) (segflow_uncommitted_seconds)", unit="s"),
        _p("Most overdue timer, by shard", "{{shard}}", "max by (shard) (segflow_timer_lag_seconds)", unit="s"),
        Panel(
            title="Time of a commit",
            queries={
                f"{share:.0%}": f"histogram_quantile({share}, sum by (le) "
                "(rate(segflow_commit_seconds_bucket[$__rate_interval])))"
                for share in (0.5, 0.99)
            },
            unit="s",
        ),
        _p(
            "Time of a commit's steps, mean",
            "{{step}}",
            "sum by (step) (rate(segflow_step_seconds_sum[$__rate_interval])) / "
            "sum by (step) (rate(segflow_step_seconds_count[$__rate_interval]))",
            unit="s",
        ),
        _p(
            "Records a commit, mean",
            "records",
            "sum(rate(segflow_batch_records_sum[$__rate_interval])) / "
            "sum(rate(segflow_batch_records_count[$__rate_interval]))",
        ),
        _p(
            "Longest run of one customer's events, 99 % of commits",
            "events",
            "histogram_quantile(0.99, sum by (le) (rate(segflow_longest_run_events_bucket[$__rate_interval])))",
            text="They are applied one after the other: a hot customer slows its shard down.",
        ),
        _p(
            "Commits by worker",
            "{{instance}}",
            "sum by (instance) (rate(segflow_commits_total[$__rate_interval]))",
            unit="cps",
            stacked=True,
        ),
        _p(
            "Age of the newest event, by shard",
            "{{shard}}",
            "time() - max by (shard) (segflow_clock_seconds)",
            unit="s",
        ),
        _p("Commits so far, by shard", "{{shard}}", "max by (shard) (segflow_sequence)"),
    ),
    "Who works, and with what?": (
        _p("Parked shards, by reason", "{{shard}}: {{reason}}", "max by (shard, reason) (segflow_parked) > 0"),
        _p("Shards by worker", "{{instance}}", "sum by (instance) (segflow_taken)", stacked=True),
        Panel(
            title="Shards acquired, released, fenced; records copied, commits replayed",
            queries={
                "acquired": "sum(increase(segflow_takes_total[$__rate_interval]))",
                "released after an error": "sum(increase(segflow_retakes_total[$__rate_interval]))",
                "fenced by {{by}}": "sum by (by) (increase(segflow_fenced_total[$__rate_interval]))",
                "records copied": "sum(increase(segflow_copied_total[$__rate_interval]))",
                "commits replayed": "sum(increase(segflow_reexecuted_total[$__rate_interval]))",
                "lost by Redis": "sum(increase(segflow_rollbacks_total[$__rate_interval]))",
            },
        ),
        _p("Memory by worker", "{{instance}}", 'process_resident_memory_bytes{job="segflow"}', unit="bytes"),
        _p(
            "Processor by worker",
            "{{instance}}",
            'rate(process_cpu_seconds_total{job="segflow"}[$__rate_interval])',
            unit="percentunit",
        ),
        _p(
            "Clock, ahead of a server's",
            "{{instance}} {{server}}",
            "segflow_clock_offset_seconds",
            unit="s",
            signed=True,
        ),
        _p("Memory of Redis", "{{kind}}", "max by (kind) (segflow_redis_memory_bytes)", unit="bytes"),
        _p("Open files by worker", "{{instance}}", 'process_open_fds{job="segflow"}'),
    ),
}


def dashboard() -> str:
    """The dashboard as JSON, to be imported into Grafana 10 or later."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        panels.append({"type": "row", "title": title, "collapsed": False, "gridPos": _place(0, y, COLUMNS, 1)})
        y += 1
        width = COLUMNS // (len(row) if row[0].stat else 2 if len(row) % 3 else 3)
        height = STAT_HEIGHT if row[0].stat else HEIGHT
        for number, panel in enumerate(row):
            line, place = divmod(number, COLUMNS // width)
            panels.append(_panel(panel) | {"gridPos": _place(place * width, y + line * height, width, height)})
        y += height * -(-len(row) // (COLUMNS // width))
    for number, each in enumerate(panels, start=1):
        each["id"] = number
    content = {
        "uid": "segflow",
        "title": "segflow",
        "description": "Written by `make docs-reference` from docgen/dashboard.py: change it there.",
        "tags": ["segflow"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_SOURCE, _DIMENSION]},
        "panels": panels,
    }
    return json.dumps(content, indent=2) + "\n"


_SOURCE: Final = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
_DIMENSION: Final = {
    "name": "dimension",
    "label": "dimension",
    "type": "query",
    "datasource": {"type": "prometheus", "uid": "${source}"},
    "query": {"query": "label_values(segflow_customers, dimension)", "refId": "dimension"},
    "refresh": 2,
}


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    least = {} if panel.signed else {"min": 0}
    custom = {} if panel.stat else {"fillOpacity": 10, "stacking": {"mode": "normal" if panel.stacked else "none"}}
    return {
        "type": "stat" if panel.stat else "timeseries",
        "title": panel.title,
        "description": panel.text,
        "datasource": source,
        "targets": [
            {"refId": chr(ord("A") + number), "expr": query, "legendFormat": legend, "datasource": source}
            for number, (legend, query) in enumerate(panel.queries.items())
        ],
        "fieldConfig": {"defaults": {"unit": panel.unit, **least, "custom": custom}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}} if not panel.stat else {},
    }
