"""The results as documents show them: the tables of docs/performance.md and the picture of the README.

`python -m benchmarks.peers.report` writes both from benchmarks/results/peers.json: a figure there comes from a run, not
from a hand.
"""

import json
from pathlib import Path
from typing import Any, Final

from benchmarks.peers.picture import draw
from benchmarks.peers.results import FIGURES, cell, notes
from benchmarks.report import PAGE, RESULTS, ROOT, wrapped

FILE: Final = RESULTS / "peers.json"
PICTURE: Final = ROOT / "docs" / "images" / "peers.svg"
BEGIN: Final = "<!-- peers: filled from benchmarks/results/peers.json -->"
END: Final = "<!-- end of peers -->"
GOALS: Final = (
    ("faust-redis", "events_s", 40.0),
    ("quix", "events_s", 10.0),
    ("bytewax", "events_s", 5.0),
    ("kafka-streams-eos", "events_cpu_s", 1.0),
    ("flink-rocksdb", "events_cpu_s", 1.0),
    ("ceiling", "events_s", 0.5),
)
"""segflow's goals in multiples of a peer: the peer's name, the figure, the least multiple."""


def read(path: Path = FILE) -> dict[str, Any]:
    """The results of the latest run."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


PROMISE: Final = "Promise, memory and state"
"""The table that has room for what a subscriber sees after a crash."""
TABLES: Final = (
    ("Pace", ("events_s", "events_cpu_s", "events_cpu_s_but_broker")),
    (PROMISE, ("resident_mib", "state_bytes_customer")),
    ("Delay and recovery", ("p50_ms", "p99_ms", "recovery_s", "recovery_few_s")),
)
"""The figures of each table: all of a peer in one would not fit a screen."""


def section(content: dict[str, Any]) -> str:
    """The tables with where they come from above and what must be said below."""
    machine, peers, servers = content["machine"], content["peers"], ", ".join(content["servers"].values())
    lines = [
        f"- Command: `{content['command']}`",
        f"- Day: {machine['date'][:10]}",
        wrapped(f"Machine: {machine['cores']} cores ({machine['cpu']}), shared with {servers}"),
        "- Figures: medians, with the least and the most where there were several runs",
        "",
        "### segflow beside each peer's goal",
        "",
        *goals(peers),
        "",
    ]
    for title, names in TABLES:
        shown = [name for name in names if any(name in peer["figures"] for peer in peers)]
        if shown:
            lines += [f"### {title}", "", *_table(peers, shown, promise=title == PROMISE), ""]
            lines += [wrapped(f"{FIGURES[name][0]}: {FIGURES[name][1]}") for name in shown] + [""]
    lines += ["### What must be known of a peer", "", *(wrapped(note) for note in notes(peers)), ""]
    lines += ["### How each is set up", "", *(wrapped(f"**{peer['title']}**: {peer['tuned']}") for peer in peers)]
    return "\n".join(lines)


def _table(peers: list[dict[str, Any]], names: list[str], *, promise: bool) -> list[str]:
    """One table, a line a peer."""
    headings = ["peer", *(["after a crash, a subscriber sees"] if promise else [])]
    aligned = "---|" * len(headings) + "--:|" * len(names)
    lines = [f"| {' | '.join([*headings, *(FIGURES[name][0] for name in names)])} |", f"|{aligned}"]
    for peer in peers:
        cells = [f"{peer['title']} {peer['version']}", *([peer["promise"]] if promise else [])]
        cells += [cell(peer["figures"].get(name)) for name in names]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def goals(peers: list[dict[str, Any]]) -> list[str]:
    """The goals that this run can speak of, as the lines of a table."""
    by_name = {peer["name"]: peer for peer in peers}
    lines = ["| segflow in multiples of | by | measured | goal, at 1 M customers | |", "|---|---|--:|--:|---|"]
    for name, figure, at_least in GOALS:
        ours, theirs = (by_name.get(who, {}).get("figures", {}).get(figure) for who in ("segflow", name))
        if ours and theirs:
            times = ours["median"] / theirs["median"]
            met = "met" if times >= at_least else "**missed**"
            title = by_name[name]["title"]
            lines.append(f"| {title} | {FIGURES[figure][0]} | {times:.3g} | ≥ {at_least:g} | {met} |")
    return lines


def page(text: str, content: dict[str, Any]) -> str:
    """docs/performance.md with its section written anew."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{section(content)}\n\n{END}{rest.partition(END)[2]}"


def write(content: dict[str, Any]) -> None:
    """Both."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), content), encoding="utf-8")
    PICTURE.write_text(draw(content), encoding="utf-8")


if __name__ == "__main__":
    write(read())
