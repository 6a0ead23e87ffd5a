"""segflow alias: two ids are one customer."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated, Final

import typer

from segflow.cli.options import SettingsFile, load, time_option
from segflow.operations.printable import printable, printable_json
from segflow.operations.single_event import interaction, send
from segflow.streams.runtime.connections import kafka_errors
from segflow.streams.runtime.errors import UsageError

EPILOG: Final = """\b
Example:
  segflow alias visitor-7 c42

Exit codes: 0 sent and acknowledged, 2 usage, settings or connection."""


def command(
    previous: Annotated[str, typer.Argument(metavar="FROM", help="The id that becomes the other one.")],
    customer: Annotated[str, typer.Argument(metavar="INTO", help="The customer_id that stays.")],
    *,
    settings: SettingsFile = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="Since when it is known. Without it: now.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="What was sent, as one JSON object.")] = False,
) -> None:
    """Merge two customers: sends the `alias` event, after which FROM is INTO, with all that is remembered of it.

    Only an erase undoes it, by forgetting both.
    """
    loaded = load(settings)
    if previous == customer:
        raise UsageError("FROM and INTO are the same id: there is nothing to merge")
    event = interaction(loaded, "alias", customer, time_option("--at", at), previous_id=previous)
    with kafka_errors(loaded.kafka):
        sent = asyncio.run(send(loaded, event))
    if as_json:
        print(printable_json(json.dumps(asdict(sent), ensure_ascii=False)))
        return
    old, new = printable(previous), printable(customer)
    print(f"sent: {old} is {new}, as {sent.topic}/{sent.partition}/{sent.offset} (event {event['event_id']})")
    print(
        f"A worker then adds what is remembered of {old} to {new}: every label of {old} becomes null, and later events "
        f"under {old} are those of {new}. If {old} was merged before, or {new} is {old} by now, nothing is merged: the "
        f"first alias wins. `segflow show {old}` says who it is."
    )
