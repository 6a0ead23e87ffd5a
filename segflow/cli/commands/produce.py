"""segflow produce: a file of events into Kafka."""

import asyncio
import json
import sys
from time import perf_counter
from typing import Annotated, Final

import typer

from segflow.cli.commands.progress import progress
from segflow.cli.options import SettingsFile, load
from segflow.operations.line_files import LineFiles
from segflow.operations.produce import Sent, produce
from segflow.streams.runtime.connections import kafka_errors

EPILOG: Final = """\b
Example:
  segflow produce history.jsonl.gz --rate 2000

Exit codes: 0 everything sent and acknowledged, 2 usage, settings, a line that is no event, or a failed connection."""


def command(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="JSON Lines, gzip too, in the order given; - is standard input.")
    ],
    *,
    settings: SettingsFile = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="N", help="Events a second at most; without it as fast as Kafka takes them."),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Send lines that are no event too, as they are and without a key; without it they end the run.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
) -> None:
    """Send events to the input topics: purchases and refunds to one, everything else to the other.

    The key is the customer_id, placed as kafka.partitioner says. Every record is acknowledged by all in-sync replicas.
    """
    loaded = load(settings)
    log = LineFiles(files, live=True)
    started = perf_counter()
    with progress("sending", log.total_bytes) as show, kafka_errors(loaded.kafka):

        def on_progress(sent: Sent, done_bytes: int) -> None:
            show(done_bytes, f"{sent.records / (perf_counter() - started):,.0f} events/s")

        sent = asyncio.run(produce(loaded, log, on_progress, raw=raw, rate=rate))
    elapsed_s = perf_counter() - started
    if as_json:
        counts = {"purchases": sent.purchases, "interactions": sent.interactions, "unreadable": sent.unreadable}
        print(json.dumps(counts | {"elapsed_s": round(elapsed_s, 3)}))
        return
    topics = loaded.kafka.topics
    unreadable = f" ({sent.unreadable:,} of them no events)" if sent.unreadable else ""
    sys.stderr.write(
        f"sent {sent.purchases:,} to {topics.purchases}{unreadable}, {sent.interactions:,} to {topics.interactions}; "
        f"{elapsed_s:.1f} s, {sent.records / elapsed_s:,.0f} events/s\n"
    )
