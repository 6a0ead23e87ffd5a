"""The references for whoever runs it: topics and metrics, from the code that makes them."""

from typing import Final

from prometheus_client import Metric

from docgen.markdown import bullet, code, page, paragraph, table
from segflow.schemas.settings import Settings
from segflow.streams.health.metrics import Metrics
from segflow.streams.kafka.topic_kinds import INPUTS, KINDS, WHY, configuration
from segflow.streams.kafka.topics import DEFAULT_PARTITIONS

USE: Final = {
    "purchases": "in: `purchase` and `refund`",
    "interactions": "in: all other events",
    "changes": "out: every change",
    "current": "out: each customer's latest segments",
    "alerts": "out: the changes that `alerts` asks for, with the money at stake",
    "dead_letters": "out: records that cannot be used, each with a reason",
    "journal": "segflow's own: what each commit did",
    "control": "segflow's own: definitions, cuts, fitted parameters",
    "handover": "segflow's own: what shards leave to each other when two customers become one",
    "state": "segflow's own: what Redis has of each shard, so that a lost Redis is copied from it",
}
"""The purpose of each topic, by field of `kafka.topics`."""


METRIC_GROUPS: Final = {
    "Does it work?": (
        "segflow_up",
        "segflow_taken",
        "segflow_parked",
        "segflow_uncommitted_seconds",
        "segflow_recoverable",
        "segflow_clock_offset_seconds",
        "segflow_redis_memory_bytes",
        "segflow_shards",
    ),
    "Does it keep up?": (
        "segflow_freshness_seconds",
        "segflow_timer_lag_seconds",
        "segflow_lag_records",
        "segflow_clock_seconds",
    ),
    "What comes in?": (
        "segflow_events",
        "segflow_duplicates",
        "segflow_late",
        "segflow_outdated",
        "segflow_attributes_left_out",
        "segflow_dead_letters",
        "segflow_dead_letter_share",
    ),
    "What comes out?": ("segflow_changes", "segflow_customers", "segflow_swept", "segflow_adopted"),
    "What happens to merged customers?": ("segflow_merged", "segflow_merged_repeats", "segflow_handed_over"),
    "What do commits cost?": (
        "segflow_commits",
        "segflow_sequence",
        "segflow_batch_records",
        "segflow_longest_run_events",
        "segflow_commit_seconds",
        "segflow_step_seconds",
    ),
    "What was repaired, or refused?": (
        "segflow_takes",
        "segflow_retakes",
        "segflow_fenced",
        "segflow_rollbacks",
        "segflow_copied",
        "segflow_reexecuted",
    ),
}
"""The metrics by the question that they answer, without `_total`, in the order in which an operator asks."""

METRIC_NOTES: Final = (
    (
        "**Sum `segflow_customers` over all workers.** The counts are exact. While new rules are brought to customers, "
        "those who still wait count under their old labels. Where a shard's counts are missing, because an older "
        "version began its state or Redis lost them, the log says so and the gauge is absent. `segflow rebuild` counts "
        "again."
    ),
    "**`segflow_fenced_total`** also rises where the server was rolled back.",
    (
        "**Steps of a small commit:** `decode` has only what the batch of shards left to do; `execute` has all that "
        "the batch has to do."
    ),
    "**`segflow_freshness_seconds`** is under a second when a shard keeps up.",
    "**Gauges with a `shard`** are those of the shards a worker holds. They move with the shard to another worker.",
    "**`segflow_lag_records`** counts no transaction markers, and no aborted records at the end of an input.",
    (
        "**`segflow_clock_offset_seconds` of `kafka`** is absent where Kafka does not say what time it is: in clusters "
        "without KRaft, and where segflow's user may not describe the cluster."
    ),
    "**How often:** the timer lag comes from a look at Redis each second, the lag from a look at Kafka every two.",
)
"""Notes below the table: all that does not fit into one line of it."""


def topics_page() -> str:
    """Every topic: what for, partitions, what a new one is made with, what must hold of any."""
    names = Settings.model_validate({}).kafka.topics
    rows = [
        (
            code(getattr(names, role)),
            code(f"kafka.topics.{role}"),
            USE[role],
            "1" if kind.single else "N",
            _configs(configuration(role, Settings.model_validate({}))) or "the broker's defaults",
            f"{_configs(kind.required)}: {WHY[role]}",
        )
        for role, kind in KINDS.items()
    ]
    return page(
        "Topics",
        paragraph(
            f"N is the number of shards, and the same for every topic but one. `segflow topics --create` makes "
            f"{DEFAULT_PARTITIONS} partitions unless `--partitions` says otherwise. N cannot change later. How long "
            f"{code(getattr(names, INPUTS[0]))} and {code(getattr(names, INPUTS[1]))} are kept is yours to decide: "
            "[How long to keep the inputs](../operations.md#how-long-to-keep-the-inputs)."
        ),
        table(("topic", "setting of its name", "what for", "partitions", "made with", "must be"), rows),
    )


def _configs(configs: dict[str, str]) -> str:
    return ", ".join(code(f"{name}={value}") for name, value in configs.items())


def metric_labels(metrics: Metrics) -> dict[str, tuple[str, ...]]:
    """The names of each metric's labels, by the metric's name without `_total`."""
    labels = {each._name: each._labelnames for each in vars(metrics).values() if hasattr(each, "_labelnames")}  # noqa: SLF001 - prometheus_client has no other way to ask
    return labels | {each.name: tuple(each._labelnames) for each in metrics.shards.collect()}  # noqa: SLF001 - as above


def metrics_page() -> str:
    """Every metric of /metrics by what it answers: kind, labels, meaning."""
    metrics = Metrics()
    labels = metric_labels(metrics)
    families = {each.name: each for each in metrics.registry.collect()}
    grouped = [name for names in METRIC_GROUPS.values() for name in names]
    if sorted(grouped) != sorted(families):
        message = f"METRIC_GROUPS and the metrics differ in {sorted(set(grouped) ^ set(families))}"
        raise ValueError(message)
    return page(
        "Metrics",
        paragraph(
            "What a worker serves at `/metrics` for Prometheus, where `worker.http_port` or `--http-port` is set. "
            "Beside these stand the usual `process_` metrics. [Operations](../operations.md#what-to-watch) says what "
            "the other pages are, [Monitor segflow](../how-to/monitor.md) has alert rules and a dashboard."
        ),
        *(
            part
            for heading, names in METRIC_GROUPS.items()
            for part in (f"## {heading}", _metric_table([families[name] for name in names], labels))
        ),
        "## What else is there to know?",
        "\n".join(map(bullet, METRIC_NOTES)),
    )


def _metric_table(families: list[Metric], labels: dict[str, tuple[str, ...]]) -> str:
    rows = [
        (
            code(each.name + ("_total" if each.type == "counter" else "")),
            each.type,
            " ".join(map(code, labels[each.name])),
            each.documentation,
        )
        for each in families
    ]
    return table(("metric", "kind", "labels", "what it is"), rows)
