"""The reference pages and the dashboard: written by a command, kept in the repository, held to the code by a test."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from docgen.api_page import api_page
from docgen.commands_page import commands_page
from docgen.dashboard import dashboard
from docgen.messages_pages import changes_page, events_page
from docgen.operations_pages import metrics_page, topics_page
from docgen.settings_page import settings_page
from docgen.stage import ROOT

FOLDER: Final = ROOT / "docs" / "reference"
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
DASHBOARD: Final = ROOT / "deploy" / "grafana" / "segflow.json"


def write() -> list[Path]:
    """Write every page and the dashboard; returns those whose text changed."""
    made = {FOLDER / name: page() for name, page in PAGES.items()} | {DASHBOARD: dashboard()}
    changed = []
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed
