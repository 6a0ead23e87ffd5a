"""segflow erase: forget a customer, and see it done."""

import asyncio
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Annotated, Any, Final

import typer

from segflow.cli.options import SettingsFile, load, time_option
from segflow.operations.erase.beyond_reach import Copy, copies
from segflow.operations.erase.reach import Reach
from segflow.operations.printable import printable, printable_json
from segflow.operations.single_event import SentEvent, interaction, send
from segflow.schemas import duration
from segflow.schemas.settings import Settings
from segflow.state import redis_connection
from segflow.state.redis_servers import RedisServers
from segflow.streams.kafka import topics
from segflow.streams.runtime.connections import kafka_errors, redis_errors
from segflow.streams.runtime.errors import UsageError

EPILOG: Final = """\b
Example:
  segflow erase c42 --wait

Exit codes: 0 sent, and with --wait gone from all that segflow can reach; 1 with --wait: not gone in time (said on
standard error); 2 usage, settings or connection."""
POLL_S: Final = 0.2
"""Between two looks at Redis: a commit takes some milliseconds, and nobody is in a hurry within a second."""


class NotGoneError(Exception):
    """An erase was sent, and something is still held."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gone:
    """An erase that was waited for: seconds since it was sent."""

    ids: list[str]
    redis_s: float
    current_s: float
    left: list[Copy]


def command(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer_id.")],
    *,
    settings: SettingsFile = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When it was asked for: events from before stay out. Without it: now."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until it is done; then say what may still have a copy, and how long.")
    ] = False,
    timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="How long --wait waits: a worker may be behind.")
    ] = "60s",
    as_json: Annotated[bool, typer.Option("--json", help="The outcome as one JSON object.")] = False,
) -> None:
    """Forget a customer: sends the `erase` event, after which segflow holds nothing of them.

    Whichever of several merged ids is given, all are forgotten together. Nothing brings the customer back.
    """
    loaded = load(settings)
    event = interaction(loaded, "erase", customer, time_option("--at", at))
    try:
        timeout_s = duration.parse(timeout).total_seconds()
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from error
    if not wait:
        with kafka_errors(loaded.kafka):
            sent = asyncio.run(send(loaded, event))
        _say_sent(loaded, sent, as_json=as_json, gone=None)
        return
    try:
        with ExitStack() as stack:
            stack.enter_context(kafka_errors(loaded.kafka))
            stack.enter_context(redis_errors(loaded.redis))
            servers = stack.enter_context(redis_connection.servers(loaded.redis))
            sent, gone = asyncio.run(_erase(loaded, servers, event, timeout_s))
    except NotGoneError as error:
        sys.stderr.write(f"segflow: {error}\n")
        raise typer.Exit(1) from error
    _say_sent(loaded, sent, as_json=as_json, gone=gone)
    if not as_json:
        _say_gone(gone)


async def _erase(
    settings: Settings, servers: RedisServers, event: dict[str, Any], timeout_s: float
) -> tuple[SentEvent, Gone]:
    """Send it, and wait until nothing in reach has the customer.

    Raises:
        NotGoneError: something has, after `timeout_s`.
    """
    reach = await Reach.open(settings, servers, event["customer_id"])
    sent = await send(settings, event)
    started_s = monotonic()
    while held := reach.in_redis():
        if monotonic() - started_s > timeout_s:
            raise _not_gone(settings, reach, sent, held)
        await asyncio.sleep(POLL_S)
    redis_s = monotonic() - started_s
    while held := await reach.in_current():
        if monotonic() - started_s > timeout_s:
            raise _not_gone(settings, reach, sent, [f"the segments of {each}" for each in held])
        await asyncio.sleep(POLL_S)
    current_s = monotonic() - started_s
    left = copies(topics.check(settings), reach.server().info("persistence"), merged=len(reach.ids) > 1)
    return sent, Gone(ids=reach.ids, redis_s=round(redis_s, 1), current_s=round(current_s, 1), left=left)


def _not_gone(settings: Settings, reach: Reach, sent: SentEvent, held: list[str]) -> NotGoneError:
    what = printable(", ".join(held))
    if reach.offset_read(sent.partition) <= sent.offset:
        why = (
            f"the shard {sent.partition} has not read the erase ({sent.topic}/{sent.partition}/{sent.offset}) yet: is "
            "a worker running, and how far behind is it? See `segflow doctor`. The erase stays where it is"
        )
    else:
        names = settings.kafka.topics
        why = (
            f"the shard {sent.partition} has read the erase. Either events since then began a new customer (see "
            f"`segflow show`), or the erase could not be used (see `segflow dead-letters "
            f"{names.interactions}/{sent.partition}/{sent.offset}`)"
        )
    return NotGoneError(f"sent, but still there: {what}; {why}")


def _say_sent(settings: Settings, sent: SentEvent, *, as_json: bool, gone: Gone | None) -> None:
    if as_json:
        left = None if gone is None else [each._asdict() for each in gone.left]
        outcome = asdict(sent) | {"gone": None if gone is None else asdict(gone) | {"left": left}}
        print(printable_json(json.dumps(outcome, ensure_ascii=False)))
        return
    customer, event = printable(sent.event["customer_id"]), sent.event
    print(f"sent: erase of {customer}, as {sent.topic}/{sent.partition}/{sent.offset} (event {event['event_id']})")
    if gone is None:
        print(
            "A worker then makes every label of the customer null, which is the receipt on "
            f"{settings.kafka.topics.changes}, and holds nothing more. Events from before {event['occurred_at']} that "
            f"come later stay out, for {duration.to_text(settings.erase.remembered_for)}. `segflow erase --wait` says "
            "when it is done."
        )


def _say_gone(gone: Gone) -> None:
    ids = ", ".join(map(printable, gone.ids))
    print(f"gone from Redis after {gone.redis_s} s: {ids}")
    print(
        f"gone from the current segments after {gone.current_s} s: the latest record is a tombstone, or there is none"
    )
    print("what may still have a copy, and how long:")
    for each in gone.left:
        print(f"  {each.where}: {each.how_long}")
