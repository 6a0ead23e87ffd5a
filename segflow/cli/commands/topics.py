"""segflow topics: describe, check, create."""

import json
import sys
from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich import box
from rich.table import Table

from segflow.cli.options import SettingsFile, load
from segflow.cli.tables import table_console
from segflow.operations.topic_migration import migrate as migrate_topics
from segflow.schemas import duration
from segflow.state import redis_connection
from segflow.streams.kafka import topics
from segflow.streams.kafka.topic_kinds import KINDS, READ, SIZE_LIMIT
from segflow.streams.kafka.topics_report import Topic, TopicsReport, compaction_lag, kept_for
from segflow.streams.runtime.connections import kafka_errors, redis_errors
from segflow.streams.runtime.errors import UsageError
from segflow.streams.worker import installation

EPILOG: Final = """\b
Example:
  segflow topics --create --partitions 8

Exit codes: 0 the topics are as they must be, 1 something is wrong (said on standard error), 2 usage, settings or
connection."""
PARTITIONS_MAX: Final = 10_000


def command(
    *,
    settings: SettingsFile = None,
    create: Annotated[
        bool, typer.Option("--create", help="Make the topics that are missing; existing ones stay as they are.")
    ] = False,
    migrate: Annotated[
        bool,
        typer.Option(
            "--migrate",
            help="Bring existing topics to what new ones are made with, where that is safe. What it will do is said "
            "without it, too, as a warning.",
        ),
    ] = False,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=PARTITIONS_MAX,
            metavar="N",
            help=f"Partitions of new topics; without it as the inputs have, else {topics.DEFAULT_PARTITIONS}.",
        ),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept",
            metavar="TOPIC",
            help="Go on with the topic that has this name now, though workers used another one: changes, current, "
            "alerts or dead-letters, deleted and made again; journal or control, restored.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Describe segflow's topics and check them: partitions, compaction, retention, size.

    Each partition of the inputs is one shard. Their number can grow later (`segflow reshard`), but not shrink.
    """
    loaded = load(settings)
    if partitions is not None and not create:
        raise UsageError("--partitions goes with --create")
    roles = [_role(name) for name in accept or ()]
    with kafka_errors(loaded.kafka):
        try:
            made = topics.create(loaded, partitions) if create else []
            report = topics.check(loaded)
            altered, refused = migrate_topics(loaded, report) if migrate else ([], [])
            report = topics.check(loaded) if altered else report
        except topics.TopicsError as error:
            sys.stderr.write(f"segflow: {error}\n")
            raise typer.Exit(1) from error
    if roles:
        with (
            kafka_errors(loaded.kafka),
            redis_errors(loaded.redis),
            redis_connection.servers(loaded.redis) as servers,
        ):
            installation.accept(servers, loaded, report, roles)
    if as_json:
        print(json.dumps({"made": made, "altered": altered, **asdict(report)}))
    else:
        for name in made:
            print(f"made {name}")
        for line in altered:
            print(line)
        for role in roles:
            print(f"accepted {report.topics[role].name}")
        table_console().print(_table(report))
        for problem in [*report.problems, *report.warnings, *refused]:
            sys.stderr.write(f"segflow: {problem}\n")
    if report.problems or refused:
        raise typer.Exit(1)


def _role(name: str) -> str:
    role = name.replace("-", "_")
    if role not in KINDS or role in READ:
        names = ", ".join(each.replace("_", "-") for each in KINDS if each not in READ)
        raise UsageError(
            f"--accept is {name!r}, but must be one of {names}. For an input, `segflow reset` says where to go on"
        )
    return role


def _table(report: TopicsReport) -> Table:
    table = Table(box=box.SIMPLE)
    for title in ("topic", "for", "partitions", "cleanup", "kept", "largest batch"):
        numeric = title in ("partitions", "largest batch")
        table.add_column(title, overflow="fold", justify="right" if numeric else "left")
    for topic in report.topics.values():
        there = topic.partitions > 0
        table.add_row(
            topic.name,
            topic.role.replace("_", " "),
            str(topic.partitions) if there else "missing",
            topic.configs.get("cleanup.policy", ""),
            _kept(topic) if there else "",
            f"{int(limit):,} bytes" if (limit := topic.configs.get(SIZE_LIMIT)) else "",
        )
    return table


def _kept(topic: Topic) -> str:
    """The retention of a topic, for a person."""
    if topic.configs.get("cleanup.policy") == "compact":
        lag = compaction_lag(topic)
        older = "" if lag is None else f", older ones for {duration.to_text(lag)} at most"
        return f"the latest of each key{older}"
    return kept_for(topic)
