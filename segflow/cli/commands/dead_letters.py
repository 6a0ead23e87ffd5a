"""segflow dead-letters: records that could not be used, listed, counted, read, sent again."""

import asyncio
import json
import re
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import typer
from aiokafka.errors import ProducerFenced
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from segflow.cli.options import SettingsFile, load, moment_option
from segflow.cli.tables import table_console
from segflow.operations.dead_letters.counts import Counts
from segflow.operations.dead_letters.letters import Letter, Wanted, letters
from segflow.operations.dead_letters.readable import readable, text_of
from segflow.operations.dead_letters.replay import Outcome, Replay
from segflow.operations.printable import printable, printable_json
from segflow.operations.recognition import looks_like
from segflow.schemas.settings import Settings
from segflow.segments.instant import NEVER, UNKNOWN, to_text
from segflow.streams.kafka import topics
from segflow.streams.runtime.connections import kafka_errors
from segflow.streams.runtime.errors import UsageError

EPILOG: Final = """\b
Examples:
  segflow dead-letters --count --since 24h
  segflow dead-letters commerce.purchases/3/1042 --raw
  segflow dead-letters --reason unknown_currency --replay

Exit codes: 0 done, 1 some records could not be sent again (said on standard error), 2 usage, settings or connection."""
RECORD: Final = re.compile(r"([A-Za-z0-9._-]{1,249})/(\d{1,9})/(\d{1,18})", re.ASCII)
REFUSED_SHOWN: Final = 10
"""Records that could not be sent again, by name: enough to see what they are."""


def command(
    record: Annotated[
        str | None,
        typer.Argument(metavar="RECORD", help="Only of this record: TOPIC/PARTITION/OFFSET, as the list names it."),
    ] = None,
    *,
    settings: SettingsFile = None,
    reason: Annotated[
        list[str] | None,
        typer.Option("--reason", metavar="KIND", help="Only of this kind, such as bad_field; repeatable."),
    ] = None,
    topic: Annotated[
        str | None, typer.Option(metavar="T", help="Only of this input: purchases, interactions or the topic's name.")
    ] = None,
    partition: Annotated[int | None, typer.Option(min=0, metavar="N", help="Only of this partition.")] = None,
    customer: Annotated[
        str | None, typer.Option(metavar="C", help="Only with this key, or this customer_id in what can be read.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only found from then on: a time, or a duration before now, such as 24h."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only found before then, likewise.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="List no more than N.")] = None,
    count: Annotated[bool, typer.Option("--count", help="Count them by reason.")] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Show each record's own bytes too: text where it is text, else hex.")
    ] = False,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay",
            help="Send the records to their inputs again, after a fix; each once, however often it is typed.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: JSON Lines, or one object.")] = False,
) -> None:
    """List the records that could not be used, and why; count them; read them; send them again after a fix.

    Only --replay writes anything. A record that still cannot be used comes back as a new dead letter.
    """
    loaded = load(settings)
    if sum((count, raw, replay)) > 1:
        raise UsageError("--count, --raw and --replay go one at a time")
    if limit is not None and (count or replay):
        raise UsageError("--limit is for the list: --count and --replay take all that match")
    source = _source(loaded, record, topic, partition)
    wanted = Wanted(
        kinds=frozenset(reason or ()),
        topic=source[0],
        partition=source[1],
        offset=source[2],
        customer=customer,
        since_us=moment_option("--since", since, UNKNOWN),
        until_us=moment_option("--until", until, NEVER),
    )
    with kafka_errors(loaded.kafka):
        partitions = _partitions(loaded, of_inputs=replay)
        if replay:
            _replay(loaded, partitions, wanted, as_json=as_json)
        elif count:
            _count(asyncio.run(_counted(loaded, partitions, wanted)), as_json=as_json)
        else:
            asyncio.run(_list(loaded, partitions, wanted, limit, raw=raw, as_json=as_json))


def _source(
    settings: Settings, record: str | None, topic: str | None, partition: int | None
) -> tuple[str | None, int | None, int | None]:
    """Topic, partition and offset asked for."""
    if record is None:
        names = settings.kafka.topics
        return (
            {"purchases": names.purchases, "interactions": names.interactions}.get(topic or "", topic),
            partition,
            None,
        )
    if topic is not None or partition is not None:
        raise UsageError("RECORD says topic and partition already: leave --topic and --partition out")
    found = RECORD.fullmatch(record)
    if found is None:
        raise UsageError(f"{record!r} names no record: write TOPIC/PARTITION/OFFSET, such as commerce.purchases/3/1042")
    return found[1], int(found[2]), int(found[3])


def _partitions(settings: Settings, *, of_inputs: bool) -> int:
    """The partitions of the dead letters. `of_inputs`: the inputs must have as many, or keys would go astray.

    Raises:
        UsageError: the topics are not there, or not right.
    """
    report = topics.check(settings)
    there = report.topics["dead_letters"].partitions
    if not there or (of_inputs and there != report.partitions):
        raise UsageError("\n".join(report.problems))
    return there


async def _all(settings: Settings, partitions: int, wanted: Wanted) -> AsyncIterator[Letter]:
    for partition in range(partitions):
        async for letter in letters(settings, partition, wanted):
            yield letter


async def _counted(settings: Settings, partitions: int, wanted: Wanted) -> Counts:
    counts = Counts()
    async for letter in _all(settings, partitions, wanted):
        counts.add(letter)
    return counts


async def _list(
    settings: Settings, partitions: int, wanted: Wanted, limit: int | None, *, raw: bool, as_json: bool
) -> None:
    console, shown = Console(soft_wrap=True, highlight=False), 0
    async for letter in _all(settings, partitions, wanted):
        if as_json:
            print(printable_json(json.dumps(_content(letter, raw=raw), ensure_ascii=False)))
        else:
            console.print(_line(letter))
            for line in _raw(letter) if raw else ():
                console.print(Text(f"    {line}"))
        shown += 1
        if shown == limit:
            return
    if not shown:
        sys.stderr.write("segflow: no dead letter matches; `segflow dead-letters --count` says which there are\n")


def _line(letter: Letter) -> Text:
    content = letter.content
    text = Text()
    text.append(to_text(letter.found_us), style="dim")
    text.append(f"  {printable(content.source)}")
    text.append(f"  {printable(content.kind)}", style="bold")
    key = "no key" if content.key is None else printable(content.key.decode(errors="backslashreplace"))
    text.append(f"  {key}", style="cyan")
    text.append(f"  {printable(content.reason)}")
    text.append("  [sent again]" if letter.replayed else "", style="dim")
    return text


def _raw(letter: Letter) -> list[str]:
    """The record itself, for a person."""
    content = letter.content
    if content.value is None:
        return ["(no value)"]
    lines = list(readable(content.value))
    if content.cut:
        lines.append(f"(cut: the first {len(content.value):,} bytes)")
    kind = looks_like(content.value)
    return [*lines, f"(this looks like {printable(kind)})"] if kind else lines


def _content(letter: Letter, *, raw: bool) -> dict[str, Any]:
    """A dead letter as in Kafka, and when it was found, and whether it was sent again."""
    content = letter.content
    found: dict[str, Any] = {
        "found_at": to_text(letter.found_us),
        "replayed": letter.replayed,
        "reason": content.reason,
        "kind": content.kind,
        "topic": content.topic,
        "partition": content.partition,
        "offset": content.offset,
        "key": _base64(content.key),
        "value": _base64(content.value),
        "cut": content.cut,
    }
    if raw:
        found |= {"key_text": text_of(content.key), "value_text": text_of(content.value)}
    return found


def _base64(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


def _count(counts: Counts, *, as_json: bool) -> None:
    if as_json:
        kinds = {
            kind: {
                "count": each.count,
                "replayed": each.replayed,
                "first_found_at": to_text(each.first.found_us),
                "latest_found_at": to_text(each.latest.found_us),
                "latest": each.latest.content.source,
                "latest_reason": each.latest.content.reason,
            }
            for kind, each in counts.largest_first()
        }
        print(printable_json(json.dumps(kinds, ensure_ascii=False)))
        return
    table = Table(box=box.SIMPLE)
    for title in ("reason", "records", "sent again", "first", "latest", "the latest one"):
        right = title in ("records", "sent again")
        table.add_column(title, overflow="fold", justify="right" if right else "left")
    for kind, each in counts.largest_first():
        times = (to_text(each.first.found_us), to_text(each.latest.found_us))
        latest = f"{each.latest.content.source}: {each.latest.content.reason}"
        cells = (kind, f"{each.count:,}", f"{each.replayed:,}", *times, latest)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    table_console().print(table)


def _replay(settings: Settings, partitions: int, wanted: Wanted, *, as_json: bool) -> None:
    try:
        outcome = asyncio.run(_replayed(settings, partitions, wanted))
    except ProducerFenced as error:
        raise UsageError(
            "another `segflow dead-letters --replay` of this installation has begun, and goes on in the place of this "
            "one. What this one sent is marked"
        ) from error
    if as_json:
        refused = [{"record": letter.content.source, "why": why} for letter, why in outcome.refused]
        print(json.dumps({"sent": outcome.sent, "sent_before": outcome.before, "refused": refused}))
    else:
        print(f"{outcome.sent:,} sent again; {outcome.before:,} had been sent before")
    for letter, why in outcome.refused[:REFUSED_SHOWN]:
        sys.stderr.write(f"segflow: {printable(letter.content.source)} cannot be sent again: {why}\n")
    if len(outcome.refused) > REFUSED_SHOWN:
        sys.stderr.write(f"segflow: and {len(outcome.refused) - REFUSED_SHOWN:,} more\n")
    if outcome.refused:
        raise typer.Exit(1)


async def _replayed(settings: Settings, partitions: int, wanted: Wanted) -> Outcome:
    async with Replay(settings, partitions) as running:
        return await running.run(wanted)
