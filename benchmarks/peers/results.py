"""The figures of all runs: medians with their spread, as a table and as JSON."""

from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from rich.table import Table

from benchmarks.ceiling import Traffic
from benchmarks.figure import number
from benchmarks.peers.peer import Peer

FIGURES: Final = {
    "events_s": (
        "events/s",
        "Events a second, counted where their changes reach the broker; the first third left out.",
    ),
    "events_cpu_s": ("events/CPU-s", "Events a second of processor time of everything: the peer, Redis, the broker."),
    "events_cpu_s_but_broker": ("… without broker", "The same without the broker's."),
    "resident_mib": ("MiB", "Resident memory of the peer's processes and of Redis, at its highest."),
    "state_bytes_customer": (
        "bytes/customer",
        "State per customer at the end: Redis' used memory, or the files of the store or checkpoint.",
    ),
    "p50_ms": ("p50 ms", "From event to change at 5,000 events/s."),
    "p99_ms": ("p99 ms", "From event to change at 5,000 events/s."),
    "recovery_s": ("recovery s", "From kill -9 to the first new change of the program started again at once."),
    "recovery_few_s": ("… of a tenth", "The same with a tenth of the customers."),
}
"""By name in the results: the table's heading, and what it is."""
BEHIND: Final = "cannot keep up with 5,000 events/s"


@dataclass(slots=True)
class Row:
    """One peer's runs. note: why it has no figures, or what must be known about them."""

    peer: Peer
    runs: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failed: bool = False
    traffic: Traffic | None = None  # of segflow

    def add(self, figures: dict[str, float]) -> None:
        """One run's figures."""
        for name, value in figures.items():
            self.runs.setdefault(name, []).append(value)

    def fail(self, why: str) -> None:
        """Its output was wrong, or its program failed: no figure of it counts."""
        self.failed = True
        self.runs.clear()
        self.note(why)

    def note(self, what: str) -> None:
        """Said once, however many runs say it."""
        if what not in self.notes:
            self.notes.append(what)

    def as_json(self) -> dict[str, Any]:
        """For the results' file."""
        return {
            "name": self.peer.name,
            "title": self.peer.title,
            "version": self.peer.version(),
            "promise": self.peer.promise,
            "tuned": self.peer.tuned,
            "notes": self.notes,
            "figures": {name: spread(values) for name, values in self.runs.items()},
        }


def spread(values: list[float]) -> dict[str, Any]:
    """Median, least, most, and each run's."""
    rounded = [float(f"{value:.5g}") for value in values]
    return {"median": median(rounded), "least": min(rounded), "most": max(rounded), "runs": rounded}


def cell(figure: dict[str, Any] | None) -> str:
    """A median, with the spread where there were several runs."""
    if figure is None:
        return ""
    shown = number(figure["median"])
    if figure["least"] == figure["most"]:
        return shown
    return f"{shown} ({number(figure['least'])}-{number(figure['most'])})"


def table(peers: list[dict[str, Any]]) -> Table:
    """For the terminal: a line a peer."""
    made = Table("peer")
    shown = [name for name in FIGURES if any(name in peer["figures"] for peer in peers)]
    for name in shown:
        made.add_column(FIGURES[name][0], justify="right")
    for peer in peers:
        made.add_row(f"{peer['title']} {peer['version']}", *(cell(peer["figures"].get(name)) for name in shown))
    return made


def notes(peers: list[dict[str, Any]]) -> list[str]:
    """The notes below the table, a line each."""
    return [f"{peer['title']}: {note}" for peer in peers for note in peer["notes"]]
