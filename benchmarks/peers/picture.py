"""The picture of the README: bars per peer, from the results, with the machine and the date. Plain SVG."""

from typing import Any, Final
from xml.sax.saxutils import escape

from benchmarks.figure import number

PANELS: Final = (
    ("events_s", "events a second"),
    ("events_cpu_s", "events a CPU-second, broker and Redis included"),
)
WIDTH: Final = 960  # the last line, with servers and machine, in a font wider than Helvetica
NAMES_WIDTH: Final = 235  # the longest name, likewise
GAP: Final = 30  # between the panels
VALUE_WIDTH: Final = 62  # kept free right of the longest bar for its number
ROW: Final = 26
BAR: Final = 16
TOP: Final = 64
BOTTOM: Final = 34
OURS, THEIRS, LIMIT, INK, FAINT, PAPER = "#00823d", "#8aa4b8", "#d9dde1", "#24292f", "#57606a", "#ffffff"
LIMITS: Final = ("ceiling",)
"""Drawn pale: not something one could pick."""


def draw(content: dict[str, Any]) -> str:
    """The SVG of one results file."""
    peers = [peer for peer in content["peers"] if PANELS[0][0] in peer["figures"]]
    height = TOP + ROW * len(peers) + BOTTOM
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="Helvetica, Arial, sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="{PAPER}"/>',
        _text(16, 24, _title(content), INK, "bold"),
    ]
    panel = (WIDTH - NAMES_WIDTH - GAP - 16) // len(PANELS)
    for row, peer in enumerate(peers):
        parts.append(_text(NAMES_WIDTH - 8, _middle(row), peer["title"], INK, _weight(peer), "end"))
    for place, (name, heading) in enumerate(PANELS):
        left = NAMES_WIDTH + place * (panel + GAP)
        parts.append(_text(left, TOP - 12, heading, FAINT))
        most = max(peer["figures"][name]["median"] for peer in peers)
        for row, peer in enumerate(peers):
            value = peer["figures"][name]["median"]
            length = max(1.0, (panel - VALUE_WIDTH) * value / most)
            top = TOP + row * ROW + (ROW - BAR) / 2
            parts.append(
                f'<rect x="{left}" y="{top:g}" width="{length:.1f}" height="{BAR}" rx="2" fill="{_colour(peer)}"/>'
            )
            parts.append(_text(left + length + 6, _middle(row), number(value), INK, _weight(peer)))
    parts += [_text(16, height - 12, _where(content), FAINT, size=11), "</svg>", ""]
    return "\n".join(parts)


def _title(content: dict[str, Any]) -> str:
    sizes = content["sizes"]
    return f"The same job over the same topic: {sizes['events']:,} purchases of {sizes['customers']:,} customers"


def _where(content: dict[str, Any]) -> str:
    machine = content["machine"]
    count = max(len(figure["runs"]) for peer in content["peers"] for figure in peer["figures"].values())
    runs = f"median of {count} runs" if count > 1 else "one run"
    servers = ", ".join(content["servers"].values())
    return f"{machine['date'][:10]}; {machine['cores']} cores, {machine['cpu']}, all shared with {servers}; {runs}"


def _middle(row: int) -> float:
    """The base line of a row's text."""
    return TOP + row * ROW + ROW / 2 + 4.5


def _colour(peer: dict[str, Any]) -> str:
    if peer["name"] in LIMITS:
        return LIMIT
    return OURS if peer["name"] == "segflow" else THEIRS


def _weight(peer: dict[str, Any]) -> str:
    return "bold" if peer["name"] == "segflow" else "normal"


def _text(
    x: float, y: float, words: str, colour: str, weight: str = "normal", anchor: str = "start", size: int = 13
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-weight="{weight}" text-anchor="{anchor}" '
        f'font-size="{size}">{escape(words)}</text>'
    )
