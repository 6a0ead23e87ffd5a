"""The tables of docs/performance.md, from the result files: a figure there comes from a run, not from a hand.

`python -m benchmarks.report` writes them between the two markers.
"""

import json
import re
from pathlib import Path
from textwrap import fill
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "benchmarks" / "results"
PAGE: Final = ROOT / "docs" / "performance.md"
BEGIN: Final = "<!-- figures: filled from benchmarks/results -->"
END: Final = "<!-- end of figures -->"


WIDTH: Final = 120
"""No line of a document is longer."""
SPACE: Final = "\N{NO-BREAK SPACE}"


def wrapped(item: str) -> str:
    """An item of a Markdown list on lines of WIDTH; what stands in backquotes stays on one."""
    kept = re.sub(r"`[^`]+`", lambda code: code[0].replace(" ", SPACE), item)
    lines = fill(f"- {kept}", WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return lines.replace(SPACE, " ")


def tables(results: list[dict[str, Any]]) -> str:
    """All figures: a heading and a Markdown table a benchmark, with the day, the machine and its load of each run."""
    parts = []
    for result in results:
        machine = result["machine"]
        where = f"{machine['date'][:10]}, {machine['cores']} cores of {machine['cpu']}, load {machine['load_average']}:"
        lines = ["| figure | measured | unit | target | |", "|---|--:|---|--:|---|"]
        for figure in result["figures"]:
            target = figure.get("target", "")
            met = {True: "met", False: "**missed**"}.get(figure.get("met"), "")
            lines.append(f"| {figure['name']} | {shown(figure)} | {figure['unit']} | {target} | {met} |")
        parts.append("\n".join([f"### `{result['benchmark']}`", "", where, "", *lines]))
    return "\n\n".join(parts)


def missed(results: list[dict[str, Any]]) -> str:
    """A line for each target that was not met."""
    return "\n".join(
        f"- `{result['benchmark']}`: {figure['name']}: {shown(figure)} {figure['unit']}, target {figure['target']}"
        for result in results
        for figure in result["figures"]
        if figure.get("met") is False
    )


def shown(figure: dict[str, Any]) -> str:
    """A value to three digits, large ones whole."""
    value = figure["value"]
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def page(text: str, results: list[dict[str, Any]]) -> str:
    """The page with its tables written anew."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] if END in rest else rest
    return f"{before}{BEGIN}\n\nMissed targets:\n\n{missed(results)}\n\n{tables(results)}\n\n{END}{after}"


def read() -> list[dict[str, Any]]:
    """The result files, by name, but for the peers', which have a table of their own (benchmarks/peers)."""
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json")) if path.stem != "peers"]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), read()))
