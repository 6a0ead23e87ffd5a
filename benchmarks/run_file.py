"""`segflow run` over a file: the engine with no server."""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, time_ns
from typing import Final

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.history import History
from schemas.settings import Settings
from streams.allocation import keep_freed_memory
from streams.collector import calm_collector
from streams.line_files import LineFiles
from streams.run import FileRun

ROUNDS: Final = 3
"""With every dimension: so many times each setting, in turn, as the machine is not equally fast all the time."""
TARGET_PER_S: Final = 400_000
"""A core, as the engine uses one."""
KEPT_AT_LEAST: Final = 0.6
"""Of the events a second with lifecycle and rfm alone, so much is to be left with every dimension (issue 4)."""


def run(bench: Bench) -> list[Figure]:
    """One file, read, applied and its changes written to another, as the command does it.

    With every dimension each round does the file twice: with lifecycle and rfm alone, then with all.
    """
    events = bench.sized(bench.events, 1_000_000, 20_000)
    customers = bench.sized(bench.customers, events // 2, events // 2)
    rounds = ROUNDS if bench.all_dimensions and not bench.quick else 1
    calm_collector()
    keep_freed_memory()
    with TemporaryDirectory(prefix="segflow-bench-") as folder:
        source = Path(folder) / "history.jsonl"
        with source.open("wb") as file:
            for lines in History(customers=customers, events=events).lines():
                file.write(b"\n".join(lines.values) + b"\n")
        alone = Settings(clock="event")
        settings = [alone, Settings(clock="event", dimensions=bench.dimensions)] if bench.all_dimensions else [alone]
        found = [[_file(source, each) for each in settings] for _ in range(rounds)]
    name = f"file of {events:,} events, {customers:,} customers"
    paces = [[events / elapsed_s for elapsed_s, _ in one] for one in found]
    (_, changes), (_, most) = found[0][0], found[0][-1]
    figures = [
        Figure(name=name, value=median(one[0] for one in paces), unit="events/s", at_least=TARGET_PER_S),
        Figure(name="its changes", value=changes / events, unit="changes/event"),
    ]
    if not bench.all_dimensions:
        return figures
    return [
        *figures,
        Figure(name="the same with every dimension", value=median(one[1] for one in paces), unit="events/s"),
        Figure(name="its changes", value=most / events, unit="changes/event"),
        Figure(
            name="every dimension / two",
            value=median(one[1] / one[0] for one in paces),
            unit="times",
            at_least=KEPT_AT_LEAST,
        ),
    ]


def _file(source: Path, settings: Settings) -> tuple[float, int]:
    """Seconds that the file took, and how many changes came of it."""
    changes = 0
    first = 0
    started = perf_counter()
    work = FileRun(settings)
    with source.with_name("changes.jsonl").open("wb") as output:
        for lines in LineFiles([str(source)]):
            work.wall_us = time_ns() // 1000
            for outcome in work.feed(lines.values, first):
                output.write(outcome.changes.lines())
                changes += len(outcome.changes)
            first += len(lines.values)
        for outcome in work.finish():
            output.write(outcome.changes.lines())
            changes += len(outcome.changes)
    return perf_counter() - started, changes
