"""The table of docs/performance.md, from the result files: a figure there comes from a run, not from a hand.

`python -m benchmarks.report` writes it between the two markers.
"""

import json
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "benchmarks" / "results"
PAGE: Final = ROOT / "docs" / "performance.md"
BEGIN: Final = "<!-- figures: filled from benchmarks/results -->"
END: Final = "<!-- end of figures -->"


def table(results: list[dict[str, Any]]) -> str:
    """All figures as a Markdown table, a line a figure, with the day, the machine and its load of each run."""
    lines = ["| benchmark | figure | measured | unit | target | |", "|---|---|--:|---|--:|---|"]
    for result in results:
        for row, figure in enumerate(result["figures"]):
            machine = result["machine"]
            cores = f"{machine['cores']} cores of {machine['cpu']}"
            where = f"{machine['date'][:10]}, {cores}, load {machine['load_average']}"
            name = "" if row else f"`{result['benchmark']}` ({where})"
            target = figure.get("target", "")
            met = {True: "met", False: "**missed**"}.get(figure.get("met"), "")
            value = figure["value"]
            shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
            lines.append(f"| {name} | {figure['name']} | {shown} | {figure['unit']} | {target} | {met} |")
    return "\n".join(lines)


def page(text: str, results: list[dict[str, Any]]) -> str:
    """The page with its table written anew."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] if END in rest else rest
    where = "The machine is shared with the broker, Redis and the load itself; two machines do not compare:"
    return f"{before}{BEGIN}\n\n{where}\n\n{table(results)}\n\n{END}{after}"


def read() -> list[dict[str, Any]]:
    """The result files, by name, but for the peers', which have a table of their own (benchmarks/peers)."""
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json")) if path.stem != "peers"]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), read()))
