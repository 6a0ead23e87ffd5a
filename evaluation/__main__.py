"""`make evaluate`: the tables on the terminal, and the tables and the picture of docs/evaluation.md."""

import json
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from evaluation.cdnow import evaluate
from evaluation.report import PAGE, PICTURE, RESULTS, ROOT, write
from evaluation.study import EXPECTED

COLUMNS: Final = ("rule", "alarms", "precision", "recall", "days", "AUC", "raised", "false")
"""The page's columns without intervals, as a terminal is narrow. `days`: lead time."""


def main() -> None:
    """Evaluate, print the tables, write the results, the page and the picture."""
    console = Console(highlight=False)
    with console.status("alarms of CDNOW's customers, by the engine, under some twenty settings"):
        content = evaluate()
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    write(content)
    for population in content["populations"]:
        lost = population["lost"]["value"]
        console.print(f"{population['name']}: {population['customers']:,} customers, {lost:.1%} never came back")
        console.print(table(population))
    paths = ", ".join(str(path.relative_to(ROOT)) for path in (RESULTS, PAGE, PICTURE))
    console.print(f"written: {paths}. What the figures mean, and what they do not: {PAGE.relative_to(ROOT)}")


def table(population: dict[str, Any]) -> Table:
    """The table of one population, within 80 characters."""
    shown = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    for place, heading in enumerate(COLUMNS):
        shown.add_column(heading, justify="right" if place else "left", no_wrap=True)
    areas = population["areas"]
    for rule in population["rules"]:
        _add(shown, rule["rule"], rule, f"{areas[rule['score']]['auc']['value']:.3f}")
    patient = population["as_precise"]
    _add(shown, f"{patient['wait_days']} days: as precise", patient, "")
    shown.add_row(EXPECTED, *[""] * 4, f"{areas[EXPECTED]['auc']['value']:.3f}")
    return shown


def _add(shown: Table, name: str, rule: dict[str, Any], area: str) -> None:
    shares = (f"{rule[each]['value']:.1%}" for each in ("precision", "recall"))
    false = f"{rule['false'] / rule['raised']:.1%}"
    lead = f"{rule['lead_days']['median']:.0f}"
    shown.add_row(name, f"{rule['alarms']:,}", *shares, lead, area, f"{rule['raised']:,}", false)


if __name__ == "__main__":
    main()
