"""`segflow run` over a file: the engine with no server."""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, time_ns

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.history import History
from schemas.settings import Settings
from streams.line_files import LineFiles
from streams.run import FileRun


def run(bench: Bench) -> list[Figure]:
    """One file, read, applied and its changes written to another, as the command does it."""
    events = bench.sized(bench.events, 1_000_000, 20_000)
    customers = bench.sized(bench.customers, events // 2, events // 2)
    with TemporaryDirectory(prefix="segflow-bench-") as folder:
        source = Path(folder) / "history.jsonl"
        with source.open("wb") as file:
            for lines in History(customers=customers, events=events).lines():
                file.write(b"\n".join(lines.values) + b"\n")
        changes = 0
        first = 0
        started = perf_counter()
        work = FileRun(Settings(clock="event", dimensions=bench.dimensions))
        with (Path(folder) / "changes.jsonl").open("wb") as output:
            for lines in LineFiles([str(source)]):
                work.wall_us = time_ns() // 1000
                for outcome in work.feed(lines.values, first):
                    output.write(outcome.changes.lines())
                    changes += len(outcome.changes)
                first += len(lines.values)
            for outcome in work.finish():
                output.write(outcome.changes.lines())
                changes += len(outcome.changes)
        elapsed_s = perf_counter() - started
    return [
        Figure(name=f"file of {events:,} events, {customers:,} customers", value=events / elapsed_s, unit="events/s"),
        Figure(name="its changes", value=changes / events, unit="changes/event"),
    ]
