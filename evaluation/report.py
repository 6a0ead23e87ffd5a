"""The tables and the picture of docs/evaluation.md, made from evaluation/results.json: every figure comes from a run.

`python -m evaluation.report` writes both again.
"""

import json
from pathlib import Path
from textwrap import fill
from typing import Any, Final

from evaluation.picture import draw
from evaluation.study import ALIVE, EXPECTED, GRID, IDLE

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "evaluation" / "results.json"
PAGE: Final = ROOT / "docs" / "evaluation.md"
PICTURE: Final = ROOT / "docs" / "images" / "evaluation.svg"
BEGIN: Final = "<!-- figures: filled from evaluation/results.json -->"
END: Final = "<!-- end of figures -->"
SCORES: Final = (IDLE, ALIVE, GRID, EXPECTED)
RULE_HEADINGS: Final = ("rule", "in force", "precision", "recall", "lead time, days", "raised", "of them false")
WORDS: Final = {
    "lifecycle": "`lifecycle` says at_risk or churned",
    "churn": "`churn` says high or lost",
    "rfm": "`rfm` says at_risk or cant_lose",
}
WIDTH: Final = 120
"""The longest line of a document, in characters."""

Row = tuple[str, ...]


def alarms(population: dict[str, Any]) -> list[Row]:
    """The rows of one population's table of alarms, in the columns of RULE_HEADINGS."""
    patient = population["as_precise"]
    found = [_row(rule["rule"], rule) for rule in population["rules"]]
    return [*found, _row(f"{patient['wait_days']} days, as precise", patient)]


def _row(name: str, rule: dict[str, Any]) -> Row:
    lead = rule["lead_days"]
    return (
        name,
        f"{rule['alarms']:,}",
        _share(rule["precision"]),
        _share(rule["recall"]),
        f"{lead['median']:.0f} ({lead['quarter']:.0f} to {lead['three_quarters']:.0f})",
        f"{rule['raised']:,}",
        f"{100 * rule['false'] / rule['raised']:.1f} %",
    )


def section(content: dict[str, Any]) -> str:
    """The section of the page: the tables, a heading above each."""
    parts = [*_rules(content), ""]
    for population in content["populations"]:
        areas = population["areas"]
        parts += [
            f"### {population['name'][0].upper()}{population['name'][1:]}",
            "",
            f"{population['customers']:,} customers; {_share(population['lost'])} of them never came back.",
            "",
            _table(RULE_HEADINGS, alarms(population)),
            "",
            _table(("score", "AUC"), [(score, _interval(areas[score]["auc"], 3)) for score in SCORES]),
            "",
        ]
    parts += ["### By how often they had bought", "", "The last four columns are areas (AUC).", "", _bands(content), ""]
    return "\n".join([*parts, *_words(content)])


def _rules(content: dict[str, Any]) -> list[str]:
    """The meanings of the names in the tables."""
    thresholds = {
        "lifecycle": f", {content['at_risk_after_days']} days after the latest purchase or later",
        "churn": f", where P(alive) is below {content['medium_from']:g}",
        "rfm": "",
    }
    rules = [
        f"- {rule['rule']}: {WORDS[rule['dimension']]}{thresholds[rule['dimension']]}. Its score: {rule['score']}."
        for rule in content["populations"][0]["rules"]
    ]
    return [
        *rules,
        "- N days, as precise: for comparison, the fixed number of days that is as precise as `churn`.",
        f"- {EXPECTED}: for comparison, the score of the same model, asked for the {content['weeks']} weeks.",
    ]


def _bands(content: dict[str, Any]) -> str:
    headings = ("purchase days", "customers", "lost", "mean P(alive)", *SCORES)
    cells = [
        (
            band["days"],
            f"{band['customers']:,}",
            f"{100 * band['lost']:.0f} %",
            f"{band['p_alive']:.2f}",
            *(f"{band['auc'][each]:.3f}" for each in SCORES),
        )
        for band in content["bands"]
    ]
    return _table(headings, cells)


def _words(content: dict[str, Any]) -> list[str]:
    """The sentences below the tables: figures that the tables do not have."""
    same, repeat = content["sweeps"]["for_as_many_false"], content["populations"][-1]
    fitted = ", ".join(f"{name} {value:g}" for name, value in content["parameters"].items())
    less = {name: repeat["areas"][name]["more_than_idle"] for name in (ALIVE, EXPECTED)}
    items = (
        (
            "For as many false alarms as `churn` raises of those who had bought on more than one day, fixed days "
            f"would have to be {same['fixed_wait_days']:.0f}. A lost customer then has "
            f"{same['fixed_warning_days']:.1f} days of warning, with `churn` {same['rhythm_warning_days']:.1f} (means "
            "over all lost; without an alarm: 0)."
        ),
        (
            f"Their areas less that of idle days: P(alive) {_interval(less[ALIVE], 3)}, expected purchases "
            f"{_interval(less[EXPECTED], 3)}."
        ),
        (
            f"Every customer who bought once falls to P(alive) {content['medium_from']:g} after "
            f"{content['one_time_days']:.0f} days of silence."
        ),
        f"Parameters of MBG/NBD, fitted to purchases up to the cut-off: {fitted}.",
    )
    return [
        fill(f"- {item}", WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for item in items
    ]


def _table(headings: tuple[str, ...], cells: list[Row]) -> str:
    lines = [headings, ("---", *["--:"] * (len(headings) - 1)), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _share(estimate: dict[str, float]) -> str:
    value, low, high = (100 * estimate[name] for name in ("value", "low", "high"))
    return f"{value:.1f} % ({low:.1f} to {high:.1f})"


def _interval(estimate: dict[str, float], digits: int) -> str:
    value, low, high = (f"{estimate[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def page(text: str, content: dict[str, Any]) -> str:
    """The page `text` with its tables replaced."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{section(content)}\n\n{END}{rest.partition(END)[2]}"


def read() -> dict[str, Any]:
    """The results of the latest run."""
    content: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return content


def write(content: dict[str, Any]) -> None:
    """Write the page and the picture."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), content), encoding="utf-8")
    PICTURE.write_text(draw(content), encoding="utf-8")


if __name__ == "__main__":
    write(read())
