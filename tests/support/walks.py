"""The walks of docs/architecture.md: which function of which file the work is handed to."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
STOP: Final = re.compile(r"^\d+\. `([\w/]+\.py)`: `([\w.]+)`", re.MULTILINE)


def documented() -> dict[str, list[tuple[str, str]]]:
    """File and function of each stop, by the walk's heading."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    _, walks = page.split("\n## Four walks\n")
    return {part.partition("\n")[0]: STOP.findall(part) for part in walks.split("\n## ")[0].split("\n### ")[1:]}
