"""Showing a board while it fills: live on a terminal, in plain lines elsewhere."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from rich.console import Console
from rich.live import Live
from rich.text import Text

from segflow.demo.board import Board
from segflow.demo.scene import frame
from segflow.operations.printable import printable

FRAME_EVERY_S: Final = 0.125
"""Eight frames a second look alive and cost a few percent of a core."""
LINE_EVERY_S: Final = 2.0
PICTURE_SIZE: Final = (110, 34)
"""Columns and lines of the README's picture."""

Show: TypeAlias = Callable[[Board, float], None]
"""Show the board as it is at a second of a monotonic clock."""


@contextmanager
def view(console: Console) -> Iterator[Show]:
    """What shows a board on `console`."""
    live = console.is_terminal and not console.is_dumb_terminal
    with _frames(console) if live else _lines(console) as show:
        yield show


@contextmanager
def _frames(console: Console) -> Iterator[Show]:
    with Live(console=console, auto_refresh=False) as live:

        def show(board: Board) -> None:
            live.update(frame(board, console.height), refresh=True)

        yield _every(FRAME_EVERY_S, show)


@contextmanager
def _lines(console: Console) -> Iterator[Show]:
    def show(board: Board) -> None:
        console.print(Text(line(board)), soft_wrap=True)

    yield _every(LINE_EVERY_S, show)


def _every(pause_s: float, show: Callable[[Board], None]) -> Show:
    due_s = 0.0

    def show_when_due(board: Board, now_s: float) -> None:
        nonlocal due_s
        if now_s >= due_s:
            due_s = now_s + pause_s
            board.mark(now_s)
            show(board)

    return show_when_due


def line(board: Board) -> str:
    """The board in one line, with the latest customer who became at-risk."""
    text = (
        f"{board.clock[:10] or 'starting  '}  {board.sent:,} of {board.total:,} events, {board.customers:,} customers, "
        f"{board.changes:,} changes ({board.per_second:,.0f}/s)"
    )
    if not board.gone_quiet:
        return text
    change = board.gone_quiet[0]
    return (
        f"{text}; customer {printable(change['customer_id'])} {change['previous']} → at_risk, "
        f"silent since {change['facts']['last_purchase_at'][:10]}"
    )


def save_picture(board: Board, file: Path) -> None:
    """The frame as SVG.

    Raises:
        OSError: the file cannot be written.
    """
    width, height = PICTURE_SIZE
    console = Console(record=True, width=width, height=height, file=io.StringIO(), force_terminal=True)
    console.print(frame(board, height))
    # Rich's fonts come from the web; a picture must need nothing from elsewhere.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="make demo"), flags=re.DOTALL)
    file.write_text(picture, encoding="utf-8")
