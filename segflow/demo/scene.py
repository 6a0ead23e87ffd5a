"""One frame of the live view, drawn from a board."""

from typing import Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from segflow.demo.board import Board, Change
from segflow.operations.printable import printable

LEAST_LINES: Final = 3
"""Changes shown on the smallest terminal; below 24 lines the frame is cut."""
COLOURS: Final = {
    "prospect": "white",
    "new": "cyan",
    "promising": "cyan",
    "active": "green",
    "potential_loyalist": "green",
    "loyal": "bright_green",
    "champion": "bright_green",
    "reactivated": "bright_blue",
    "need_attention": "yellow",
    "about_to_sleep": "yellow",
    "at_risk": "bright_yellow",
    "cant_lose": "bright_magenta",
    "hibernating": "red",
    "churned": "red",
}
"""From green (they buy) over yellow (they may leave) to red (they left); a label of somebody's own grid is white."""
CAUSES: Final = {"time": "silence"}
"""Causes for people, where they have another name for one."""


def frame(board: Board, height: int) -> RenderableType:
    """The whole view for a terminal of `height` lines."""
    tables = [_population(board, name) for name in board.labels]
    tallest = max(len(labels) for labels in board.labels.values()) + 2
    lines = max(LEAST_LINES, height - tallest - 3 - 2 - 1)  # the header, this panel's border, the cursor's line
    quiet = _panel(_gone_quiet(board, lines), "silence: customers who became at-risk", lines + 2)
    latest = _panel(_latest(board, lines), "latest changes", lines + 2)
    return Group(_header(board), _beside(*tables), _beside(quiet, latest))


def _panel(content: RenderableType, title: str, height: int | None = None) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="bright_black", height=height)


def _beside(*parts: RenderableType) -> Table:
    """Equal columns over the whole width."""
    row = Table.grid(expand=True)
    for _ in parts:
        row.add_column(ratio=1)
    row.add_row(*parts)
    return row


def _header(board: Board) -> Panel:
    row = Table.grid(expand=True, padding=(0, 1))
    row.add_column(no_wrap=True)
    row.add_column(no_wrap=True)
    row.add_column(ratio=1)
    row.add_column(no_wrap=True)
    row.add_column(no_wrap=True, justify="right")
    row.add_row(
        Text(board.clock[:10] or "starting", style="bold bright_white"),
        Text(f"{board.sent:,} events"),
        ProgressBar(total=max(board.total, 1), completed=board.sent, complete_style="cyan", finished_style="cyan"),
        Text(f"{board.customers:,} customers"),
        Text(f"{board.changes:,} changes {board.per_second:7,.0f}/s", style="bold"),
    )
    return _panel(row, f"segflow  {printable(board.source)}")


def _population(board: Board, dimension: str) -> Panel:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right", min_width=6)
    table.add_column(ratio=1)
    labels = board.labels[dimension]
    largest = max([1, *(board.population[dimension, label] for label in labels)])
    for label in labels:
        count = board.population[dimension, label]
        colour = COLOURS.get(label, "white")
        bar = ProgressBar(total=largest, completed=count, style="grey15", complete_style=colour, finished_style=colour)
        table.add_row(Text(label, style=colour), f"{count:,}", bar)
    height = max(len(labels) for labels in board.labels.values()) + 2
    return _panel(table, f"{dimension}: customers now", height)


def _gone_quiet(board: Board, lines: int) -> Text:
    shown = list(board.gone_quiet)[:lines]
    return _lines([_move(change, f"silent since {change['facts']['last_purchase_at'][:10]}") for change in shown])


def _latest(board: Board, lines: int) -> Text:
    shown = list(board.latest)[:lines]
    return _lines([_move(change, CAUSES.get(change["cause"]["kind"], change["cause"]["kind"])) for change in shown])


def _lines(texts: list[Text]) -> Text:
    joined = Text("\n", no_wrap=True, overflow="ellipsis").join(texts)
    joined.no_wrap, joined.overflow = True, "ellipsis"
    return joined


def _move(change: Change, note: str) -> Text:
    """`00123  active → at_risk  note`."""
    current = str(change["current"])
    return Text.assemble(
        (printable(change["customer_id"]), "cyan"),
        f"  {change['previous'] or 'unknown'} → ",
        (current, COLOURS.get(current, "white")),
        (f"  {note}", "bright_black"),
    )
