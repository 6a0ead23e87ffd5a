"""`segflow run` over a file: the engine with no server; beside it a loop with no logic."""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, time_ns
from typing import Final, NamedTuple

import msgspec

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.history import History
from segflow.engine.file_run import FileRun
from segflow.operations.line_files import LineFiles
from segflow.schemas.settings import Settings
from segflow.streams.runtime.memory import tune_process_memory

ROUNDS: Final = 3
"""The table has their medians."""
TARGET_PER_S: Final = 400_000
"""A core, as the engine uses one."""
KEPT_AT_LEAST: Final = 0.6
"""Of the events a second with lifecycle and rfm alone, so much is to be left with every dimension (issue 4)."""


class _Line(msgspec.Struct, gc=False):
    """The fields that every program over such a file needs."""

    event_id: str
    customer_id: str
    occurred_at: str
    amount: str | float | None = None


def run(bench: Bench) -> list[Figure]:
    """One file, read, applied and its changes written to another, as the command does it.

    Each round does the file twice, as the machine is not equally fast all the time: with lifecycle and rfm alone, then
    by the loop with no logic or, where asked for, with every dimension.
    """
    events = bench.sized(bench.events, 1_000_000, 20_000)
    customers = bench.sized(bench.customers, events // 2, events // 2)
    rounds = 1 if bench.quick else ROUNDS
    tune_process_memory()
    with TemporaryDirectory(prefix="segflow-bench-") as folder:
        source = Path(folder) / "history.jsonl"
        with source.open("wb") as file:
            for lines in History(customers=customers, events=events).lines():
                file.write(b"\n".join(lines.values) + b"\n")
        two, most = Settings(clock="event"), Settings(clock="event", dimensions=bench.dimensions)
        found = [_round(source, two, most if bench.all_dimensions else None) for _ in range(rounds)]
    pace = [events / of_two.elapsed_s for of_two, _ in found]
    beside = [events / other.elapsed_s for _, other in found]
    first, other = found[0]
    figures = [
        Figure(
            name=f"file of {events:,} events, {customers:,} customers",
            value=median(pace),
            unit="events/s",
            at_least=TARGET_PER_S,
        ),
        Figure(name="its changes", value=first.changes / events, unit="changes/event"),
    ]
    times = median(one / another for one, another in zip(pace, beside, strict=True))
    if not bench.all_dimensions:
        return [
            *figures,
            Figure(name="bare loop (ceiling)", value=median(beside), unit="events/s"),
            Figure(name="run / bare loop", value=times, unit="times"),
        ]
    return [
        *figures,
        Figure(name="the same with every dimension", value=median(beside), unit="events/s"),
        Figure(name="its changes", value=other.changes / events, unit="changes/event"),
        Figure(name="every dimension / two", value=1 / times, unit="times", at_least=KEPT_AT_LEAST),
    ]


class _Run(NamedTuple):
    elapsed_s: float
    events: int
    changes: int
    size_bytes: int  # of the changes


def _round(source: Path, two: Settings, most: Settings | None) -> tuple[_Run, _Run]:
    """The file with two dimensions and then with most, or by the loop with no logic."""
    run = _file(source, two)
    return run, _bare(source, run) if most is None else _file(source, most)


def _file(source: Path, settings: Settings) -> _Run:
    """The file, as the command does it."""
    changes = 0
    first = 0
    started = perf_counter()
    work = FileRun(settings)
    with source.with_name("changes.jsonl").open("wb") as output:
        for lines in LineFiles([str(source)]):
            work.wall_us = time_ns() // 1000
            for result in work.feed(lines.values, first):
                output.write(result.changes.lines())
                changes += len(result.changes)
            first += len(lines.values)
        for result in work.finish():
            output.write(result.changes.lines())
            changes += len(result.changes)
        size_bytes = output.tell()
    return _Run(perf_counter() - started, first, changes, size_bytes)


def _bare(source: Path, run: _Run) -> _Run:
    """The same lines, four fields taken out of each, and as many bytes written as `run` wrote, with nothing between."""
    decode = msgspec.json.Decoder(_Line).decode
    started = perf_counter()
    with source.with_name("changes.jsonl").open("wb") as output:
        for lines in LineFiles([str(source)]):
            found = [decode(line) for line in lines.values]
            output.write(bytes(run.size_bytes * len(found) // run.events))
    return run._replace(elapsed_s=perf_counter() - started)
