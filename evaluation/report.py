"""What docs/evaluation.md shows of evaluation/results.json: tables and picture. A figure there comes from a run.

`python -m evaluation.report` writes both anew.
"""

import json
from pathlib import Path
from typing import Any, Final

from evaluation.picture import draw
from evaluation.study import ALIVE, EXPECTED, GRID, IDLE

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "evaluation" / "results.json"
PAGE: Final = ROOT / "docs" / "evaluation.md"
PICTURE: Final = ROOT / "docs" / "images" / "evaluation.svg"
BEGIN: Final = "<!-- figures: filled from evaluation/results.json -->"
END: Final = "<!-- end of figures -->"
HEADINGS: Final = (
    "rule",
    "alarms in force",
    "precision",
    "recall",
    "lead time, days",
    "AUC",
    "of the score",
    "alarms raised",
    "of them false",
)
WORDS: Final = {
    "lifecycle": "`lifecycle`: at_risk or churned",
    "churn": "`churn`: high or lost",
    "rfm": "`rfm`: at_risk or cant_lose",
}

Row = tuple[str, ...]


def rows(content: dict[str, Any], population: dict[str, Any]) -> list[Row]:
    """The cells of one population's table, as HEADINGS say."""
    areas = population["areas"]
    found = []
    for rule in population["rules"]:
        threshold = {
            "lifecycle": f" ({content['at_risk_after_days']} days)",
            "churn": f" (P(alive) < {content['medium_from']:g})",
            "rfm": "",
        }[rule["dimension"]]
        name = f"{rule['rule']}, {WORDS[rule['dimension']]}{threshold}"
        found.append(_row(name, rule, _interval(areas[rule["score"]]["auc"], 3), rule["score"]))
    patient = population["as_precise"]
    found.append(_row(f"for comparison: fixed {patient['wait_days']} days, as precise as churn", patient, "", ""))
    expected = _interval(areas[EXPECTED]["auc"], 3)
    found.append(("for comparison: the same model, asked for the 39 weeks", *[""] * 4, expected, EXPECTED, "", ""))
    return found


def _row(name: str, rule: dict[str, Any], area: str, score: str) -> Row:
    lead = rule["lead_days"]
    return (
        name,
        f"{rule['alarms']:,}",
        _share(rule["precision"]),
        _share(rule["recall"]),
        f"{lead['median']:.0f} ({lead['quarter']:.0f} to {lead['three_quarters']:.0f})",
        area,
        score,
        f"{rule['raised']:,}",
        f"{100 * rule['false'] / rule['raised']:.1f} %",
    )


def section(content: dict[str, Any]) -> str:
    """The tables, a heading above each."""
    parts = []
    for population in content["populations"]:
        lost = _share(population["lost"])
        parts += [
            f"### {population['name'][0].upper()}{population['name'][1:]}",
            "",
            f"{population['customers']:,} customers; {lost} of them never came back.",
            "",
            _table(HEADINGS, rows(content, population)),
            "",
        ]
    parts += ["### By how often they had bought", "", _bands(content), "", *_words(content)]
    return "\n".join(parts)


def _bands(content: dict[str, Any]) -> str:
    scores = (IDLE, ALIVE, GRID, EXPECTED)
    headings = ("purchase days", "customers", "never came back", "mean P(alive)", *(f"AUC, {each}" for each in scores))
    cells = [
        (
            band["days"],
            f"{band['customers']:,}",
            f"{100 * band['lost']:.0f} %",
            f"{band['p_alive']:.2f}",
            *(f"{band['auc'][each]:.3f}" for each in scores),
        )
        for band in content["bands"]
    ]
    return _table(headings, cells)


def _words(content: dict[str, Any]) -> list[str]:
    """What the tables do not show."""
    same, repeat = content["sweeps"]["for_as_many_false"], content["populations"][-1]
    fitted = ", ".join(f"{name} {value:g}" for name, value in content["parameters"].items())
    less = {name: repeat["areas"][name]["more_than_idle"] for name in (ALIVE, EXPECTED)}
    return [
        (
            "- For as many false alarms as `churn` raises of those who had bought on more than one day, fixed days "
            f"would have to be {same['fixed_wait_days']:.0f}. A lost customer then has "
            f"{same['fixed_warning_days']:.1f} days of warning, with `churn` {same['rhythm_warning_days']:.1f} (means "
            "over all lost; without an alarm: 0)."
        ),
        (
            f"- Areas of theirs less that of idle days: P(alive) {_interval(less[ALIVE], 3)}, expected purchases "
            f"{_interval(less[EXPECTED], 3)}."
        ),
        (
            f"- Whoever bought once falls to P(alive) {content['medium_from']:g} after {content['one_time_days']:.0f} "
            "days of silence, everybody alike."
        ),
        f"- Parameters of MBG/NBD, fitted to purchases up to the cut-off: {fitted}.",
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
    """The page with its tables written anew."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{section(content)}\n\n{END}{rest.partition(END)[2]}"


def read() -> dict[str, Any]:
    """The results of the latest run."""
    content: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return content


def write(content: dict[str, Any]) -> None:
    """Both."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), content), encoding="utf-8")
    PICTURE.write_text(draw(content), encoding="utf-8")


if __name__ == "__main__":
    write(read())
