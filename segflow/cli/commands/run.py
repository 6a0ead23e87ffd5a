"""segflow run: files in, changes out, with no server."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, time_ns
from typing import Annotated, BinaryIO, Final

import numpy as np
import typer

from segflow.cli.commands.progress import progress
from segflow.cli.options import SettingsFile, load, replaced, time_option
from segflow.engine.commit.execute import CommitResult
from segflow.engine.file_run import FileRun
from segflow.operations.line_files import LineFiles, Lines
from segflow.operations.printable import printable
from segflow.operations.recognition import looks_like
from segflow.segments.model import NO_LABEL
from segflow.streams.runtime.errors import UsageError
from segflow.streams.runtime.memory import tune_process_memory

EPILOG: Final = """\b
Example:
  segflow run 2025.jsonl.gz 2026.jsonl --until 2026-07-01T00:00:00Z --output changes.jsonl

Exit codes: 0 done (dead letters are counted, and no failure), 2 usage, settings, or a file that cannot be read or
written, 3 no record could be used."""
UNUSABLE: Final = 3
"""Exit code where there were records and none could be used: this is the wrong file, not a bad line."""
SHARDS_MAX: Final = 4096
"""Each shard is a store of its own; more would only be a slip of the finger."""


def command(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="JSON Lines, gzip too, in the order given; - is standard input.")
    ],
    *,
    settings: SettingsFile = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Sweep deadlines up to this RFC 3339 time; without it up to the latest event."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the changes go, as JSON Lines; without it standard output."),
    ] = None,
    dead_letters: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where records that cannot be used go, each with its reason, as JSON Lines."),
    ] = None,
    alerts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the alerts go: changes that `alerts` asks for, as JSON Lines."),
    ] = None,
    shards: Annotated[
        int, typer.Option(min=1, max=SHARDS_MAX, help="Shards, as Kafka's default partitioner would place customers.")
    ] = 1,
    allow_future: Annotated[
        bool,
        typer.Option(
            "--allow-future",
            help="Take events from after now, too; without it they are dead letters: a wrong clock ages everybody.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
) -> None:
    """Apply event files to an empty store in memory and write the segment changes.

    The files are one log, in the order given. A summary goes to standard error.
    """
    loaded = load(settings)
    tune_process_memory()
    until_us = time_option("--until", until)
    inputs = [("FILES", Path(file)) for file in files]
    _refuse_same_file(*inputs, ("--output", output), ("--dead-letters", dead_letters), ("--alerts", alerts))
    log = LineFiles(files)
    to_stdout = output is None or str(output) == "-"
    with (
        nullcontext(sys.stdout.buffer) if output is None or to_stdout else replaced(output) as changes,
        nullcontext(None) if dead_letters is None else replaced(dead_letters) as dead,
        nullcontext(None) if alerts is None else replaced(alerts) as called,
    ):
        try:
            run = FileRun(loaded, shards=shards, refuses_future=not allow_future)
            summary = _run(run, log, until_us=until_us, to=_Outputs(changes, called, dead))
        except OverflowError as error:
            raise UsageError(str(error)) from error
        changes.flush()
    sys.stderr.write(json.dumps(summary.as_json()) + "\n" if as_json else summary.as_text())
    if summary.records and not summary.events:
        found = f"; this looks like {printable(summary.seems)}" if summary.seems else ""
        sys.stderr.write(f"segflow: none of {summary.records:,} records could be used{found}\n")
        raise typer.Exit(UNUSABLE)


@dataclass(frozen=True, slots=True)
class _Outputs:
    """The files to write; None: not wanted."""

    changes: BinaryIO
    alerts: BinaryIO | None
    dead: BinaryIO | None

    def write(self, result: CommitResult) -> None:
        """Changes and alerts of one result."""
        self.changes.write(result.changes.lines())
        if self.alerts is not None:
            self.alerts.write(result.alerts.lines())


@dataclass(slots=True)
class Summary:
    """The summary of a run. Counts, unless a comment says otherwise."""

    models: Sequence[tuple[str, tuple[str, ...]]]  # name, labels
    records: int = 0
    events: int = 0  # usable records, duplicates too
    duplicates: int = 0
    late: int = 0
    outdated: int = 0  # events from before their customer's erase, left out
    erased: int = 0  # customers of whom something was held
    merged_repeats: int = 0  # events that both of a merge remembered: they count twice
    left_out: int = 0  # attributes that cannot be kept
    customers: int = 0  # held in the end
    elapsed_s: float = 0.0
    changes: Counter[tuple[int, int]] = field(default_factory=Counter)  # by (model, label)
    dead: Counter[str] = field(default_factory=Counter)  # by kind
    examples: dict[str, str] = field(default_factory=dict)  # the first of each kind
    seems: str | None = None  # what the first record looks like, where it could not be used

    def add(self, result: CommitResult) -> None:
        """Count one result."""
        self.events += result.events
        self.duplicates += result.duplicates
        self.late += result.late
        self.outdated += result.outdated
        self.erased += result.erased
        self.merged_repeats += result.merged_repeats
        self.left_out += result.left_out
        self.customers += len(result.write.born) - len(result.write.holes)
        for _, each in result.published:
            columns = each.moves
            pairs = columns.dimensions * 256 + columns.current
            for pair, count in zip(*(found.tolist() for found in np.unique(pairs, return_counts=True)), strict=True):
                self.changes[divmod(pair, 256)] += count

    def by_dimension(self) -> dict[str, dict[str, int]]:
        """Changes by dimension and the label they led to, the commonest first."""
        return {
            name: {
                "null" if code == NO_LABEL else labels[code]: count
                for (model, code), count in self.changes.most_common()
                if model == column
            }
            for column, (name, labels) in enumerate(self.models)
        }

    def as_json(self) -> dict[str, object]:
        """The summary for a program."""
        return {
            "records": self.records,
            "events": self.events,
            "duplicates": self.duplicates,
            "late": self.late,
            "outdated": self.outdated,
            "erased": self.erased,
            "merged_repeats": self.merged_repeats,
            "attributes_left_out": self.left_out,
            "customers": self.customers,
            "changes": self.by_dimension(),
            "dead_letters": {
                kind: {"count": count, "first": self.examples[kind]} for kind, count in self.dead.most_common()
            },
            "elapsed_s": round(self.elapsed_s, 3),
        }

    def as_text(self) -> str:
        """The summary for a person."""
        rate = self.records / self.elapsed_s if self.elapsed_s else 0.0
        outdated = f", {self.outdated:,} older than an erase" if self.outdated else ""
        erased = f" ({self.erased:,} erased)" if self.erased else ""
        lines = [
            (
                f"{self.events:,} events ({self.duplicates:,} duplicates, {self.late:,} late{outdated}), "
                f"{self.customers:,} customers{erased}, {self.changes.total():,} changes, {self.dead.total():,} dead "
                "letters; "
                f"{self.elapsed_s:.1f} s, {rate:,.0f} events/s"
            )
        ]
        for name, labels in self.by_dimension().items():
            lines.append(
                f"{name}: " + (", ".join(f"{label} {count:,}" for label, count in labels.items()) or "no change")
            )
        if self.merged_repeats:
            lines.append(f"events under both ids of merged customers, which count twice: {self.merged_repeats:,}")
        if self.left_out:
            lines.append(f"attributes that cannot be kept: {self.left_out:,}")
        for kind, count in self.dead.most_common():
            lines.append(f"dead letters, {kind}: {count:,}, the first at {printable(self.examples[kind])}")
        return "".join(f"{line}\n" for line in lines)


def _refuse_same_file(*named: tuple[str, Path | None]) -> None:
    """Two outputs in one file would write over each other, and an output over the events it came from.

    Raises:
        UsageError: two options name the same file.
    """
    names: dict[Path, str] = {}
    for option, path in named:
        if path is None or str(path) == "-" or (path.exists() and not path.is_file()):
            continue
        other = names.setdefault(path.resolve(), option)
        if other != option:
            raise UsageError(f"{other} and {option} name the same file, {path}: give each its own")


def _run(run: FileRun, log: LineFiles, *, until_us: int, to: _Outputs) -> Summary:
    summary = Summary([(model.name, model.labels) for model in run.rule_versions.first.models])
    started = perf_counter()
    with progress("events", log.total_bytes) as show:
        for lines in log:
            run.wall_us = _wall_us()
            if not summary.records:
                summary.seems = looks_like(lines.values[0])
            for result in run.feed(lines.values, summary.records):
                to.write(result)
                summary.add(result)
                _bury(result, lines, summary, to.dead)
            summary.records += len(lines.values)
            show(lines.done_bytes, f"{summary.records / (perf_counter() - started):,.0f} events/s")
    with progress("silence", None) as show:
        swept = 0
        run.wall_us = _wall_us()
        for result in run.finish(until_us):
            to.write(result)
            summary.add(result)
            swept += result.swept
            show(swept, f"{swept:,} deadlines")
    summary.elapsed_s = perf_counter() - started
    return summary


def _bury(result: CommitResult, lines: Lines, summary: Summary, dead: BinaryIO | None) -> None:
    """Count the dead letters; their topic and offset become the file and its line."""
    for letter in result.dead:
        content = json.loads(letter.value or b"{}")
        content |= {"topic": lines.file, "partition": 0, "offset": lines.numbers[content["offset"] - summary.records]}
        kind = content["kind"]
        summary.dead[kind] += 1
        summary.examples.setdefault(kind, f"{lines.file} line {content['offset']}: {content['reason']}")
        if dead is not None:
            dead.write(json.dumps(content, ensure_ascii=False).encode() + b"\n")


def _wall_us() -> int:
    return time_ns() // 1000
