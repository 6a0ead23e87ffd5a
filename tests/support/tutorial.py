"""Pages of the documentation as lists of steps: what to type, and what it shows. The tutorial above all."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from segflow.schemas.settings_file import ENVIRONMENT

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "docs" / "tutorial" / "README.md").read_text(encoding="utf-8")
BINARIES: Final = Path(sys.executable).parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A block of commands, and the output shown behind it; empty: none is shown."""

    commands: str
    shown: str


def steps(chapter: str, page: str = TEXT) -> list[Step]:
    """The steps of the chapter of a page whose heading begins with `chapter`."""
    (text,) = re.findall(rf"^## {re.escape(chapter)}.*?\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^```(sh|text)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    following = [*blocks[1:], ("", "")]
    return [
        Step(commands=body, shown=after if after_kind == "text" else "")
        for (kind, body), (after_kind, after) in zip(blocks, following, strict=True)
        if kind == "sh"
    ]


def environment(**more: str) -> dict[str, str]:
    """The reader's, with segflow on the path, and without this machine's servers."""
    kept = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    return kept | {"PATH": f"{BINARIES}:{os.environ['PATH']}"} | more


def folder(at: Path) -> Path:
    """An empty folder with the project's examples in it: what a reader's commands write stays here."""
    (at / "examples").symlink_to(ROOT / "examples")
    return at
