"""`python -m benchmarks.peers`: the peers side by side, in rounds, so that what the machine does hits all alike."""

import json
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from benchmarks import machine
from benchmarks.bench import Bench
from benchmarks.peers import event_to_change, whole_topic
from benchmarks.peers.input_log import InputLog, filled
from benchmarks.peers.peer import Peer, PeerFailedError
from benchmarks.peers.report import FILE, write
from benchmarks.peers.results import BEHIND, FIGURES, Row, notes, table
from benchmarks.peers.roster import PEERS, ceiling
from benchmarks.report import RESULTS
from segflow.embedded.options import NothingToRunError, UnavailableError
from segflow.embedded.redis_server import redis
from segflow.streams.runtime.memory import tune_process_memory

WIDTH: Final = 170
"""Of the table, in characters: narrower, its figures would be cut."""
FEWER: Final = 10
"""100,000 customers beside 1,000,000: who reads everything again after a kill takes ten times as long."""


def command(
    *,
    peers: Annotated[str, typer.Option(help=f"Some of: {', '.join(peer.name for peer in PEERS)}; with commas.")] = "",
    customers: Annotated[int | None, typer.Option(min=100, help="In the topic.")] = None,
    events: Annotated[int | None, typer.Option(min=200, help="In the topic.")] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Rounds; the table shows their median and spread.")] = None,
    limit: Annotated[float | None, typer.Option(min=1, help="Seconds for the topic; a slower peer is cut off.")] = None,
    latency: Annotated[float | None, typer.Option(min=0, help="Seconds of 5,000 events/s to measure; 0: none.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Shrink all: shows that it works, measures nothing.")] = False,
    results: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where results go.")] = None,
) -> None:
    """Measure segflow and its peers over one topic. Each peer's output is checked before its time counts."""
    names = set(peers.split(",") if peers else (peer.name for peer in PEERS))
    chosen = [peer for peer in PEERS if peer.name in names]
    unknown = names - {peer.name for peer in chosen}
    if unknown:
        raise typer.BadParameter(f"no such peer: {', '.join(sorted(unknown))}", param_hint="--peers")
    folder = results or (None if quick else RESULTS)
    console = Console(width=WIDTH)
    sizes: dict[str, Any] = {
        "customers": customers or (2_000 if quick else 1_000_000),
        "events": events or (6_000 if quick else 2_000_000),
        "runs": runs or (1 if quick else 3),
        "limit_s": limit or (20.0 if quick else 120.0),
        "latency_s": latency if latency is not None else (2.0 if quick else 20.0),
    }
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends, too
    content: dict[str, Any] = {"peers": []}
    failed = False
    try:
        with Bench(quick=quick) as bench:
            for rows in _stages(bench, chosen, sizes):
                failed = any(row.failed for row in rows)
                content = {
                    "benchmark": "peers",
                    "quick": quick,
                    "command": _command(),
                    "sizes": sizes,
                    "machine": machine.describe(),
                    "servers": bench.servers() | {"redis": _redis_description()},
                    "meaning": {name: meaning for name, (_, meaning) in FIGURES.items()},
                    "peers": [row.as_json() for row in rows],
                }
                if folder is not None:
                    _write(folder, content)
    except NothingToRunError as error:
        typer.echo(f"benchmarks: {error}", err=True)
        raise typer.Exit(2) from error
    console.print(table(content["peers"]))
    for line in notes(content["peers"]):
        console.print(line, highlight=False)
    if failed:
        raise typer.Exit(1)


def _write(folder: Path, content: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE.name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if folder == RESULTS:
        write(content)


def _command() -> str:
    """The command that repeats this run."""
    arguments = shlex.join(sys.argv[1:])
    return f"make bench-peers ARGS={shlex.quote(arguments)}" if arguments else "make bench-peers"


def _redis_description() -> str:
    """Of those that the runs start."""
    with redis() as server:
        return server.description


def _stages(bench: Bench, chosen: list[Peer], sizes: dict[str, Any]) -> Iterator[list[Row]]:
    """The rows after each stage, so that what an hour has measured is kept whatever the next hour brings.

    A round: the whole topic with a kill at its end, a kill with fewer customers, the delays.
    """
    rows = [Row(peer) for peer in chosen]
    for row in rows:
        _prepare(bench, row)
    able = [row for row in rows if not row.notes]
    log = filled(bench, sizes["customers"], sizes["events"])
    few = filled(bench, sizes["customers"] // FEWER, sizes["events"] // FEWER)
    tune_process_memory()  # as in `latency`
    for number in range(sizes["runs"]):
        for row in able:
            _whole_topic(bench, row, log, sizes)
            if row.traffic is not None:
                if not number:
                    rows.insert(rows.index(row) + 1, Row(ceiling(row.traffic)))
                _whole_topic(bench, rows[rows.index(row) + 1], log, sizes)
        yield rows
        for row in able:
            _recovery(bench, row, few, sizes["limit_s"])
        yield rows
        if sizes["latency_s"]:
            for row in able:
                _latency(bench, row, log, sizes["latency_s"])
            yield rows


def _prepare(bench: Bench, row: Row) -> None:
    try:
        row.peer.prepare(bench.say)
    except UnavailableError as error:
        row.note(f"not here: {error}")


def _whole_topic(bench: Bench, row: Row, log: InputLog, sizes: dict[str, Any]) -> None:
    run = _right(bench, row, log, sizes["limit_s"], failed=lambda why: row.fail(f"failed: {why}"))
    if run is None:
        return
    row.traffic = run.traffic
    row.add(run.figures)
    if not run.whole:
        row.note(f"cut off, as the topic takes it more than {sizes['limit_s']:.0f} s; its output right so far")
    if run.not_back is not None:
        row.note(run.not_back)
    bench.say(f"{row.peer.title}: {run.figures['events_s']:,.0f} events/s")


def _recovery(bench: Bench, row: Row, few: InputLog, limit_s: float) -> None:
    """Back after a kill with fewer customers; what else this run shows is not comparable and not kept.

    With twice the time: who is cut off is not killed.
    """
    with_fewer = "with a tenth of the customers"
    run = _right(bench, row, few, 2 * limit_s, failed=lambda why: row.note(f"{with_fewer}: {why}"))
    if run is None:
        return
    if run.not_back is not None:
        row.note(f"{with_fewer}: {run.not_back}")
    if "recovery_s" in run.figures:
        row.add({"recovery_few_s": run.figures["recovery_s"]})
        bench.say(f"{row.peer.title}: back after {run.figures['recovery_s']:.1f} s")


def _right(
    bench: Bench, row: Row, log: InputLog, limit_s: float, *, failed: Callable[[str], None]
) -> whole_topic.Run | None:
    """A run whose output is right; a wrong one ends the row, and `failed` is told why a program failed."""
    if row.failed:
        return None
    try:
        run = whole_topic.run(bench, row.peer, log, limit_s=limit_s)
    except PeerFailedError as error:
        bench.say(str(error))
        failed(str(error).splitlines()[0])
        return None
    if run.wrong is not None:
        row.fail(f"wrong: {run.wrong}")
        bench.say(f"{row.peer.title}: {row.notes[-1]}")
        return None
    return run


def _latency(bench: Bench, row: Row, log: InputLog, measured_s: float) -> None:
    if row.failed:
        return
    try:
        found = event_to_change.delays_ms(bench, row.peer, log, warm_up_s=measured_s / 2, measured_s=measured_s)
    except PeerFailedError as error:
        bench.say(str(error))
        row.note(f"no delay measured: {str(error).splitlines()[0]}")
        return
    row.add(found)
    if not found:
        row.note(BEHIND)
    said = ", ".join(f"{name} {value:,.0f}" for name, value in found.items())
    bench.say(f"{row.peer.title}: {said or BEHIND}")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app()
