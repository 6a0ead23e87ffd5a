"""The page of what can go wrong, as data: each state with the signs by which it shows."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "what-can-go-wrong.md"
ROWS: Final = ("log", "`/ready`", "metric", "alert", "`doctor`")
"""The signs that every state has, in the order of its table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sign:
    """A cell of a table. `quoted`: what must show, without the `…` between two pieces; none where nothing shows."""

    text: str
    quoted: tuple[str, ...]


def states(text: str | None = None) -> dict[str, dict[str, Sign]]:
    """The signs of each state, by its heading and the sign's name."""
    page = PAGE.read_text(encoding="utf-8") if text is None else text
    found = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        rows = re.findall(r"^\| (log|`/ready`|metric|alert|`doctor`) \| (.*) \|$", section, re.MULTILINE)
        if rows:
            found[section.partition("\n")[0]] = {name: _sign(cell) for name, cell in rows}
    return found


def _sign(cell: str) -> Sign:
    quotations = re.findall(r"`([^`]+)`", cell)
    return Sign(
        text=cell, quoted=tuple(piece.strip() for each in quotations for piece in each.split("…") if piece.strip())
    )
