"""The reference pages: written by a command, kept in the repository, held to the code by a test."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from docgen.api_page import api_page
from docgen.commands_page import commands_page
from docgen.messages_pages import changes_page, events_page
from docgen.operations_pages import metrics_page, topics_page
from docgen.settings_page import settings_page

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "reference"
PAGES: Final[dict[str, Callable[[], str]]] = {
    "settings.md": settings_page,
    "events.md": events_page,
    "changes.md": changes_page,
    "commands.md": commands_page,
    "topics.md": topics_page,
    "metrics.md": metrics_page,
    "python-api.md": api_page,
}
"""By file name."""


def write() -> list[Path]:
    """Write every page; returns those whose text changed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, made in PAGES.items():
        path, text = FOLDER / name, made()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed
