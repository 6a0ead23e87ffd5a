"""`python -m benchmarks [NAME…]`."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.bench import Bench
from benchmarks.figure import Figure, number
from benchmarks.installation import WorkerFailedError
from segflow.embedded.options import NothingToRunError

RESULTS: Final = Path(__file__).parent / "results"


class Name(StrEnum):
    """The benchmarks, in the order in which they run."""

    RUN_FILE = "run_file"
    MEMORY = "memory"
    THROUGHPUT = "throughput"
    LATENCY = "latency"
    GROWTH = "growth"
    WAVE = "wave"
    STARTUP = "startup"
    RECOVERY = "recovery"
    RESTORE = "restore"
    GUARANTEE = "guarantee"
    SCALING = "scaling"
    WORKERS = "workers"
    SHARDS = "shards"
    STEPS = "steps"


def command(
    names: Annotated[list[Name] | None, typer.Argument(metavar="NAME", help="Which; all without it.")] = None,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Shrink everything: shows that it works, measures nothing.")
    ] = False,
    customers: Annotated[int | None, typer.Option(min=100, help="In place of each benchmark's own number.")] = None,
    events: Annotated[int | None, typer.Option(min=200, help="In place of each benchmark's own number.")] = None,
    all_dimensions: Annotated[
        bool,
        typer.Option("--all-dimensions", help="With every dimension the settings know, in place of the default two."),
    ] = False,
    results: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where results go; benchmarks/results, but for quick runs.")
    ] = None,
) -> None:
    """Measure how fast segflow is on this machine: all of it, or the benchmarks named."""
    folder = results or (None if quick else RESULTS)
    console = Console()
    tables: list[tuple[str, list[Figure]]] = []
    with (
        _failures_said(),
        Bench(quick=quick, customers=customers, events=events, all_dimensions=all_dimensions) as bench,
    ):
        for name in names or list(Name):
            title = f"{name}, all dimensions" if all_dimensions else str(name)
            there = machine.describe()
            console.print(f"[bold]{title}[/bold] (load average {there['load_average']})", highlight=False)
            started = time.monotonic()
            figures = import_module(f"benchmarks.{name}").run(bench)
            bench.say(f"took {time.monotonic() - started:.0f} s")
            tables.append((title, figures))
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                content = {
                    "benchmark": title,
                    "quick": quick,
                    "machine": there,
                    "servers": bench.servers(),
                    "figures": [figure.as_json() for figure in figures],
                }
                path = folder / f"{name}{'_all_dimensions' if all_dimensions else ''}.json"
                path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            console.print(_table([(title, figures)]))
    if len(tables) > 1:
        console.print(_table(tables))


@contextmanager
def _failures_said() -> Iterator[None]:
    """Turn a missing program, or the end of a worker, into a message."""
    try:
        yield
    except (NothingToRunError, WorkerFailedError) as error:
        typer.echo(f"benchmarks: {error}", err=True)
        raise typer.Exit(2) from error


def _table(found: list[tuple[str, list[Figure]]]) -> Table:
    table = Table("benchmark", "figure")
    table.add_column("measured", justify="right")
    table.add_column("unit")
    table.add_column("target", justify="right")
    table.add_column("")
    verdicts = {None: "", True: "met", False: "MISSED"}
    for name, figures in found:
        for row, figure in enumerate(figures):
            table.add_row(
                "" if row else name, figure.name, number(figure.value), figure.unit, figure.target, verdicts[figure.met]
            )
        table.add_section()
    return table


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app()
