"""The picture of docs/evaluation.md as plain SVG: ROC curves, and days of warning by false alarms."""

from collections.abc import Callable, Sequence
from typing import Any, Final
from xml.sax.saxutils import escape

from evaluation.study import ALIVE, EXPECTED, GRID, IDLE

WIDTH: Final = 920
HEIGHT: Final = 470
SIDE: Final = 330  # of a panel
TOP: Final = 76
LEFTS: Final = (64, 530)
FIXED, RHYTHM, CELLS, MODEL = "#57606a", "#00823d", "#bc4c00", "#0969da"
INK, FAINT, RULE, PAPER = "#24292f", "#57606a", "#e5e7eb", "#ffffff"
SCORES: Final = ((IDLE, FIXED), (GRID, CELLS), (ALIVE, RHYTHM), (EXPECTED, MODEL))
DOTS: Final = (("fixed days", FIXED), ("RFM grid", CELLS), ("personal rhythm", RHYTHM))
FALSE_MAX: Final = 7000
DAYS_MAX: Final = 100
"""The ends of the right panel's axes: room for the sweeps of evaluation/cdnow.py."""

Place = Callable[[float, float], tuple[float, float]]


def draw(content: dict[str, Any]) -> str:
    """The SVG of the results."""
    population = content["populations"][-1]
    title = f"{population['customers']:,} customers of CDNOW who had bought on more than one day by 30 September 1997"
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="Helvetica, Arial, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{PAPER}"/>',
        _text(16, 26, title, INK, weight="bold", size=14),
        *_roc(content, population),
        *_warning(content, population),
        "</svg>",
        "",
    ]
    return "\n".join(parts)


def _roc(content: dict[str, Any], population: dict[str, Any]) -> list[str]:
    place = _placed(LEFTS[0], 1.0, 1.0)
    parts = _axes(
        LEFTS[0],
        "Who is lost? (ROC; dots: the rules as they are set)",
        ("those who came back, share under alarm", 1.0, [0, 0.25, 0.5, 0.75, 1]),
        ("those who never did", 1.0, [0, 0.25, 0.5, 0.75, 1]),
    )
    parts.append(_line([place(0, 0), place(1, 1)], RULE))
    for row, (score, colour) in enumerate(SCORES):
        curve = content["roc"][score]
        parts.append(_line([place(*each) for each in zip(curve["others"], curve["lost"], strict=True)], colour))
        area = population["areas"][score]["auc"]["value"]
        parts += _key(LEFTS[0] + SIDE - 216, TOP + SIDE - 84 + 20 * row, f"{score}: AUC {area:.3f}", colour)
    rules = {rule["rule"]: rule for rule in population["rules"]}
    parts += [_dot(place(rules[name]["of_others"], rules[name]["recall"]["value"]), colour) for name, colour in DOTS]
    return parts


def _warning(content: dict[str, Any], population: dict[str, Any]) -> list[str]:
    place = _placed(LEFTS[1], FALSE_MAX, DAYS_MAX)
    parts = _axes(
        LEFTS[1],
        "How early, at what price? (higher is better)",
        ("false alarms raised up to 30 September 1997", FALSE_MAX, [0, 2000, 4000, 6000]),
        ("days of warning of a lost customer", DAYS_MAX, [0, 25, 50, 75, 100]),
    )
    sweeps = (("fixed", "fixed days", FIXED, "{:g} d"), ("rhythm", "personal rhythm, P(alive) below", RHYTHM, "{:g}"))
    for row, (name, title, colour, label) in enumerate(sweeps):
        points = content["sweeps"][name]
        parts.append(_line([place(each["false"], each["warning_days"]) for each in points], colour))
        for number, each in enumerate(points):
            x, y = place(each["false"], each["warning_days"])
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}"/>')
            if number % 2 == 0:
                below = name == "fixed"
                anchor, dx, dy = ("start", 6, 12) if below else ("end", -6, -5)
                parts.append(_text(x + dx, y + dy, label.format(each["threshold"]), colour, anchor=anchor, size=11))
        parts += _key(LEFTS[1] + SIDE - 226, TOP + SIDE - 64 + 20 * row, title, colour)
    parts += _key(LEFTS[1] + SIDE - 226, TOP + SIDE - 24, "RFM grid, at_risk or cant_lose", CELLS)
    rules = {rule["rule"]: rule for rule in population["rules"]}
    parts += [_dot(place(rules[name]["false"], rules[name]["warning_days"]), colour) for name, colour in DOTS]
    return parts


def _placed(left: int, x_max: float, y_max: float) -> Place:
    """The map from a panel's figures to coordinates of the picture."""
    return lambda x, y: (left + SIDE * x / x_max, TOP + SIDE * (1 - y / y_max))


def _axes(
    left: int, title: str, across: tuple[str, float, Sequence[float]], up: tuple[str, float, Sequence[float]]
) -> list[str]:
    place = _placed(left, across[1], up[1])
    bottom = TOP + SIDE
    parts = [_text(left, TOP - 14, title, INK)]
    for tick in across[2]:
        x, _ = place(tick, 0)
        parts += [_line([(x, TOP), (x, bottom)], RULE, 1), _text(x, bottom + 18, f"{tick:,g}", FAINT, anchor="middle")]
    for tick in up[2]:
        _, y = place(0, tick)
        parts += [
            _line([(left, y), (left + SIDE, y)], RULE, 1),
            _text(left - 8, y + 4, f"{tick:g}", FAINT, anchor="end"),
        ]
    middle = TOP + SIDE / 2
    parts.append(_text(left + SIDE / 2, bottom + 40, across[0], FAINT, anchor="middle"))
    parts.append(
        f'<g transform="rotate(-90 {left - 44} {middle})">{_text(left - 44, middle, up[0], FAINT, anchor="middle")}</g>'
    )
    return parts


def _line(points: Sequence[tuple[float, float]], colour: str, width: float = 2) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'


def _dot(at: tuple[float, float], colour: str) -> str:
    return f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="6" fill="{colour}" stroke="{PAPER}" stroke-width="1.5"/>'


def _key(x: float, y: float, words: str, colour: str) -> list[str]:
    return [_line([(x, y - 4), (x + 18, y - 4)], colour, 3), _text(x + 24, y, words, INK)]


def _text(
    x: float, y: float, words: str, colour: str, *, weight: str = "normal", anchor: str = "start", size: int = 12
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-weight="{weight}" text-anchor="{anchor}" '
        f'font-size="{size}">{escape(words)}</text>'
    )
