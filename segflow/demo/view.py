"""The display of a dashboard while it fills: frames on a terminal, plain lines elsewhere."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from rich.console import Console
from rich.live import Live
from rich.text import Text

from segflow.demo.dashboard import Dashboard
from segflow.demo.render import frame
from segflow.operations.printable import printable

FRAME_EVERY_S: Final = 0.125
"""Eight frames a second look alive and cost a few percent of a core."""
LINE_EVERY_S: Final = 2.0
PICTURE_SIZE: Final = (110, 34)
"""Columns and lines of the picture in the README."""

Show: TypeAlias = Callable[[Dashboard, float], None]
"""A function that shows the dashboard at a time of a monotonic clock, seconds, as often as the display wants."""


@contextmanager
def view(console: Console) -> Iterator[Show]:
    """The function that shows a dashboard on `console`."""
    live = console.is_terminal and not console.is_dumb_terminal
    with _frames(console) if live else _lines(console) as show:
        yield show


@contextmanager
def _frames(console: Console) -> Iterator[Show]:
    with Live(console=console, auto_refresh=False) as live:

        def show(dashboard: Dashboard) -> None:
            live.update(frame(dashboard, console.height), refresh=True)

        yield _every(FRAME_EVERY_S, show)


@contextmanager
def _lines(console: Console) -> Iterator[Show]:
    def show(dashboard: Dashboard) -> None:
        console.print(Text(line(dashboard)), soft_wrap=True)

    yield _every(LINE_EVERY_S, show)


def _every(pause_s: float, show: Callable[[Dashboard], None]) -> Show:
    due_s = 0.0

    def show_when_due(dashboard: Dashboard, now_s: float) -> None:
        nonlocal due_s
        if now_s >= due_s:
            due_s = now_s + pause_s
            dashboard.mark(now_s)
            show(dashboard)

    return show_when_due


def line(dashboard: Dashboard) -> str:
    """The dashboard as one line of text, with the latest customer who became at-risk."""
    text = (
        f"{dashboard.clock[:10] or 'starting  '}  {dashboard.sent:,} of {dashboard.total:,} events, "
        f"{dashboard.customers:,} customers, {dashboard.changes:,} changes ({dashboard.per_second:,.0f}/s)"
    )
    if not dashboard.gone_quiet:
        return text
    change = dashboard.gone_quiet[0]
    return (
        f"{text}; customer {printable(change['customer_id'])} {change['previous']} → at_risk, "
        f"silent since {change['facts']['last_purchase_at'][:10]}"
    )


def save_picture(dashboard: Dashboard, file: Path) -> None:
    """Write the frame as SVG.

    Raises:
        OSError: the file cannot be written.
    """
    width, height = PICTURE_SIZE
    console = Console(record=True, width=width, height=height, file=io.StringIO(), force_terminal=True)
    console.print(frame(dashboard, height))
    # Rich's fonts come from the web. A picture must not load anything.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="make demo"), flags=re.DOTALL)
    file.write_text(picture, encoding="utf-8")
