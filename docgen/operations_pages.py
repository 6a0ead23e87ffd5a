"""The references for whoever runs it: topics and metrics, from the code that makes them."""

from typing import Final

from docgen.markdown import code, page, paragraph, table
from segflow.schemas.settings import Settings
from segflow.streams.health.metrics import Metrics
from segflow.streams.kafka.topic_kinds import INPUTS, KINDS, WHY
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
}
"""The purpose of each topic, by field of `kafka.topics`."""


def topics_page() -> str:
    """Every topic: what for, partitions, what a new one is made with, what must hold of any."""
    names = Settings.model_validate({}).kafka.topics
    rows = [
        (
            code(getattr(names, role)),
            code(f"kafka.topics.{role}"),
            USE[role],
            "1" if kind.single else "N",
            _configs(kind.made_with) or "the broker's defaults",
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
    """Every metric of /metrics: kind, labels, meaning."""
    metrics = Metrics()
    labels = metric_labels(metrics)
    rows = [
        (
            code(each.name + ("_total" if each.type == "counter" else "")),
            each.type,
            " ".join(map(code, labels[each.name])),
            each.documentation,
        )
        for each in metrics.registry.collect()
    ]
    return page(
        "Metrics",
        paragraph(
            "What a worker serves at `/metrics` for Prometheus, where `worker.http_port` or `--http-port` is set. "
            "Beside these stand the usual `process_` metrics. [Operations](../operations.md#what-to-watch) says which "
            "to watch, and what the other pages are."
        ),
        table(("metric", "kind", "labels", "what it is"), rows),
    )
