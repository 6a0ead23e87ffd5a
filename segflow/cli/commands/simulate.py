"""segflow simulate: customers' labels under other settings, before those settings are in force."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import time_ns
from typing import Annotated, Final

import msgspec
import typer
from rich import box
from rich.table import Table
from rich.text import Text

from segflow.cli.commands import lookups
from segflow.cli.commands.progress import progress
from segflow.cli.options import SettingsFile, load, time_option
from segflow.cli.tables import table_console
from segflow.operations.line_files import LineFiles
from segflow.operations.migration_matrix import svg
from segflow.operations.printable import printable, printable_json
from segflow.operations.simulation import Comparison, over_files, over_stores
from segflow.schemas.settings import Settings
from segflow.segments.instant import UNKNOWN
from segflow.state import lookup, redis_connection
from segflow.state.keys import Keys
from segflow.state.layout import LayoutError
from segflow.state.redis import RedisStore
from segflow.streams.runtime.connections import address, kafka_errors, redis_errors
from segflow.streams.runtime.errors import UsageError
from segflow.streams.runtime.memory import tune_process_memory

EPILOG: Final = """\b
Examples:
  segflow simulate --settings new.yaml
  segflow simulate --settings new.yaml --before segflow.yaml 2026.jsonl.gz --svg moves.svg

Exit codes: 0 shown, 2 usage, settings, connection, or the settings need facts that Redis does not hold."""
SAMPLE_MAX: Final = 1000
"""Ids a move; more is a job for the changes themselves."""


def command(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="Events as JSON Lines; without a file the customers in Redis."),
    ] = None,
    *,
    settings: SettingsFile = None,
    before: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With files: the settings to compare with; the defaults without it. In Redis: those in force.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="With files: judge at this RFC 3339 time, not at the last event; later ones are left out.",
        ),
    ] = None,
    sample: Annotated[int, typer.Option(min=0, max=SAMPLE_MAX, metavar="N", help="Customers named for each move.")] = 3,
    picture: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Draw the matrices into this file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
) -> None:
    """Say how many customers would be in each segment, who would move from where to where. Changes nothing.

    Reads Redis in slices with pauses, beside workers that go on, and publishes nothing.
    """
    loaded = load(settings)
    tune_process_memory()
    try:
        if files:
            old = load(before) if before is not None else Settings(currency=loaded.currency, rates=loaded.rates)
            comparison = over_files(old, loaded, _batches(files), time_option("--until", until), sample)
        else:
            if before is not None or until is not None:
                raise UsageError("--before and --until go with files: in Redis it is the definition in force, and now")
            comparison = _in_redis(loaded, sample)
    except (LayoutError, msgspec.MsgspecError) as error:
        raise UsageError(f"what Redis holds cannot be read: {error}") from error
    if picture is not None:
        try:
            picture.write_text(svg(comparison), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{picture}: cannot be written: {error}") from error
    if as_json:
        print(printable_json(json.dumps(comparison.as_json(), ensure_ascii=False)))
    else:
        _print(comparison)


def _batches(files: list[str]) -> Iterator[list[bytes]]:
    log = LineFiles(files)
    with progress("events", log.total_bytes) as show:
        for lines in log:
            yield lines.values
            show(lines.done_bytes, "")


def _in_redis(settings: Settings, sample: int) -> Comparison:
    with (
        kafka_errors(settings.kafka),
        redis_errors(settings.redis),
        closing(redis_connection.servers(settings.redis)) as servers,
        progress("customers", None) as show,
    ):
        installation = lookup.installation(servers, settings.redis.prefix)
        if installation is None:
            raise UsageError(
                f"no worker has run yet on Redis at {address(settings.redis)} with redis.prefix {settings.redis.prefix}"
            )
        control = lookups.in_force(settings)
        prefix = settings.redis.prefix
        stores = [RedisStore(servers, Keys(prefix, number)) for number in range(installation.partitions)]
        now_us = time_ns() // 1000 if settings.clock == "wall" else int(UNKNOWN)
        try:
            return over_stores(control, settings, stores, now_us, sample, show)
        finally:
            for store in stores:
                store.close()


def _print(comparison: Comparison) -> None:
    console = table_console()
    console.print(f"{comparison.customers:,} customers, cuts: {comparison.cuts}", markup=False)
    if comparison.left_out:
        console.print(f"{comparison.left_out:,} events are later than --until and left out")
    for name in comparison.dimensions:
        moved = comparison.moved(name)
        console.print(f"\n{name}: {moved:,} would move", style="bold", markup=False)
        console.print(_table(comparison, name))
        for (each, was, now), ids in sorted(comparison.samples.items(), key=lambda item: str(item[0])):
            if each == name and ids:
                named = ", ".join(map(printable, ids))
                console.print(f"  {was or '-'} to {now or '-'}: {named}", markup=False, soft_wrap=True)


def _table(comparison: Comparison, dimension: str) -> Table:
    """Rows: what they are; columns: what they would be."""
    labels = comparison.labels(dimension)
    table = Table(box=box.SIMPLE, title="rows: now, columns: then", title_justify="left", title_style="dim")
    table.add_column("")
    for label in labels:
        table.add_column(label or "-", justify="right")
    table.add_column("all", justify="right")
    for was in labels:
        counts = [comparison.moves[dimension, was, now] for now in labels]
        cells = [
            Text(f"{count:,}" if count else "", style="" if was == now else "bold")
            for now, count in zip(labels, counts, strict=True)
        ]
        table.add_row(was or "-", *cells, f"{sum(counts):,}")
    columns = [sum(comparison.moves[dimension, was, now] for was in labels) for now in labels]
    table.add_section()
    table.add_row("all", *(f"{count:,}" for count in columns), f"{sum(columns):,}")
    return table
