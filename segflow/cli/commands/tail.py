"""segflow tail: follow the changes as they come."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from kafka import KafkaConsumer, TopicPartition
from rich.console import Console
from rich.text import Text

from segflow.cli.options import SettingsFile, load
from segflow.operations.printable import printable, printable_json
from segflow.streams.kafka.clients import committed_reader
from segflow.streams.runtime.connections import kafka_errors
from segflow.streams.runtime.errors import UsageError

EPILOG: Final = """\b
Example:
  segflow tail --dimension lifecycle --label at_risk

Exit codes: 0 ended by Ctrl-C or --limit, 2 usage, settings or connection."""
POLL_MS: Final = 1000
"""A poll returns with the first record; this is only how long one waits where there is none."""


def command(
    *,
    settings: SettingsFile = None,
    dimension: Annotated[str | None, typer.Option(metavar="D", help="Only this dimension, such as lifecycle.")] = None,
    label: Annotated[str | None, typer.Option(metavar="L", help="Only changes to this label, such as at_risk.")] = None,
    customer: Annotated[str | None, typer.Option(metavar="C", help="Only this customer_id.")] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Begin with the oldest change there is, not with the next.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Each change as it is in Kafka: JSON Lines.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after N changes.")] = None,
) -> None:
    """Follow the segment changes: committed ones only, each once."""
    loaded = load(settings)
    wanted = Wanted(
        dimension=dimension.encode() if dimension is not None else None,
        current=label.encode() if label is not None else None,
        key=customer.encode() if customer is not None else None,
    )
    console = Console(soft_wrap=True, highlight=False)
    shown = 0
    with suppress(KeyboardInterrupt), kafka_errors(loaded.kafka), closing(committed_reader(loaded.kafka)) as consumer:
        _begin(consumer, loaded.kafka.topics.changes, from_beginning)
        for record in _records(consumer):
            if not wanted.has(record):
                continue
            if as_json:
                sys.stdout.buffer.write(printable_json(record.value.decode()).encode() + b"\n")
                sys.stdout.buffer.flush()
            else:
                console.print(_line(json.loads(record.value)))
            shown += 1
            if shown == limit:
                break


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """The filter of the changes to show; None: any."""

    dimension: bytes | None
    current: bytes | None
    key: bytes | None

    def has(self, record: Any) -> bool:
        """Whether the record is one of them, by its key and headers alone: its value is not parsed."""
        if self.key is not None and record.key != self.key:
            return False
        headers = dict(record.headers)
        return (self.dimension is None or headers.get("dimension") == self.dimension) and (
            self.current is None or headers.get("current") == self.current
        )


def _begin(consumer: KafkaConsumer, topic: str, from_beginning: bool) -> None:
    """All partitions, in no consumer group.

    Raises:
        UsageError: there is no such topic.
    """
    partitions = consumer.partitions_for_topic(topic)
    if not partitions:
        raise UsageError(
            f"the topic {topic} does not exist: make it with `segflow topics --create`, and start a worker"
        )
    parts = [TopicPartition(topic, partition) for partition in sorted(partitions)]
    consumer.assign(parts)
    offsets = consumer.beginning_offsets(parts) if from_beginning else consumer.end_offsets(parts)
    for part, offset in offsets.items():
        consumer.seek(part, offset)


def _records(consumer: KafkaConsumer) -> Iterator[Any]:
    while True:
        for records in consumer.poll(timeout_ms=POLL_MS).values():
            yield from records


def _line(change: dict[str, Any]) -> Text:
    """One change for a person."""
    cause = change["cause"]
    text = Text()
    text.append(change["effective_at"], style="dim")
    text.append("  ")
    text.append(printable(change["customer_id"]), style="cyan")
    text.append(f"  {change['dimension']}  {change['previous'] or '-'} → ")
    text.append(change["current"] or "-", style="bold")
    event = f" {printable(cause['event_id'])}" if cause.get("event_id") else ""
    marks = [
        mark for mark, on in (("backfill", change["mode"] == "backfill"), ("control group", change["holdout"])) if on
    ]
    text.append(f"  {cause['kind']}{event}{''.join(f'  [{mark}]' for mark in marks)}", style="dim")
    return text
