"""The picture of a simulation: an SVG with one matrix for each dimension, labels before against labels after."""

from html import escape
from typing import Final

from segflow.operations.simulation import Comparison

CELL_WIDTH: Final = 86
CELL_HEIGHT: Final = 26
MARGIN_LEFT: Final = 170
MARGIN_TOP: Final = 84
GAP: Final = 48
FONT: Final = "font-family='system-ui, sans-serif' font-size='12'"
STAY: Final = "#d9dde3"
MOVE: Final = "#c2410c"
"""Those who stay in grey, those who move in a colour that is told apart in any kind of sight."""


def svg(comparison: Comparison) -> str:
    """The picture: rows are labels now, columns labels then; a cell says how many, and is darker the more they are."""
    parts, top, width = [], GAP, 0
    for name in comparison.dimensions:
        matrix, height, across = _matrix(comparison, name, top)
        parts.append(matrix)
        top, width = top + height + GAP, max(width, across)
    title = f"{comparison.customers:,} customers: what they are now (rows), and would be (columns)"
    width = max(width, 8 * len(title))
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{top}' viewBox='0 0 {width} {top}'>\n"
        f"<rect width='100%' height='100%' fill='white'/>\n"
        f"<text x='12' y='26' font-weight='bold' {FONT}>{escape(title)}</text>\n" + "".join(parts) + "</svg>\n"
    )


def _matrix(comparison: Comparison, dimension: str, top: int) -> tuple[str, int, int]:
    """One dimension's matrix at `top`, its height and width."""
    labels = comparison.labels(dimension)
    moves = {(was, now): count for (name, was, now), count in comparison.moves.items() if name == dimension}
    moved = comparison.moved(dimension)
    most = max([count for (was, now), count in moves.items() if was != now], default=1)
    total = max(comparison.customers, 1)
    share = f"{100 * moved / total:.1f} %"
    lines = [
        f"<text x='12' y='{top + 20}' font-weight='bold' {FONT}>{escape(dimension)}: {moved:,} move ({share})</text>\n"
    ]
    for column, label in enumerate(labels):
        x, y = MARGIN_LEFT + column * CELL_WIDTH + 8, top + MARGIN_TOP - 8
        lines.append(f"<text x='{x}' y='{y}' transform='rotate(-20 {x} {y})' {FONT}>{_word(label)}</text>\n")
    for row, was in enumerate(labels):
        y = top + MARGIN_TOP + row * CELL_HEIGHT
        lines.append(f"<text x='{MARGIN_LEFT - 8}' y='{y + 17}' text-anchor='end' {FONT}>{_word(was)}</text>\n")
        for column, now in enumerate(labels):
            count = moves.get((was, now), 0)
            x = MARGIN_LEFT + column * CELL_WIDTH
            dark = 0.0 if not count else (0.15 + 0.75 * count / most if was != now else 1.0)
            colour = STAY if was == now else MOVE
            lines.append(
                f"<rect x='{x}' y='{y}' width='{CELL_WIDTH - 2}' height='{CELL_HEIGHT - 2}' fill='{colour}' "
                f"fill-opacity='{dark:.2f}' stroke='#e5e7eb'/>\n"
            )
            if count:
                ink = "white" if was != now and dark > 0.55 else "black"
                lines.append(
                    f"<text x='{x + CELL_WIDTH // 2}' y='{y + 17}' text-anchor='middle' fill='{ink}' {FONT}>"
                    f"{count:,}</text>\n"
                )
    height = MARGIN_TOP + len(labels) * CELL_HEIGHT
    return "".join(lines), height, MARGIN_LEFT + len(labels) * CELL_WIDTH + GAP


def _word(label: str | None) -> str:
    return "-" if label is None else escape(label)
