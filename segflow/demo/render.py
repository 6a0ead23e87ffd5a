"""The drawing of one frame of the live view from a dashboard."""

from typing import Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from segflow.demo.dashboard import Change, Dashboard
from segflow.operations.printable import printable

LEAST_LINES: Final = 3
"""Lines of changes on the smallest terminal. Below 24 lines the frame is cut."""
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
"""Colours by label, from green (buying) over yellow (may leave) to red (left). Labels of other grids are white."""
CAUSES: Final = {"time": "silence"}
"""Other words for causes, for people."""


def frame(dashboard: Dashboard, height: int) -> RenderableType:
    """The whole frame for a terminal of `height` lines."""
    tables = [_population(dashboard, name) for name in dashboard.labels]
    tallest = max(len(labels) for labels in dashboard.labels.values()) + 2
    lines = max(LEAST_LINES, height - tallest - 3 - 2 - 1)  # the header, this panel's border, the cursor's line
    quiet = _panel(_gone_quiet(dashboard, lines), "silence: customers who became at-risk", lines + 2)
    latest = _panel(_latest(dashboard, lines), "latest changes", lines + 2)
    return Group(_header(dashboard), _beside(*tables), _beside(quiet, latest))


def _panel(content: RenderableType, title: str, height: int | None = None) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="bright_black", height=height)


def _beside(*parts: RenderableType) -> Table:
    """Equal columns over the whole width."""
    row = Table.grid(expand=True)
    for _ in parts:
        row.add_column(ratio=1)
    row.add_row(*parts)
    return row


def _header(dashboard: Dashboard) -> Panel:
    total = max(dashboard.total, 1)
    sent = ProgressBar(total=total, completed=dashboard.sent, complete_style="cyan", finished_style="cyan")
    row = Table.grid(expand=True, padding=(0, 1))
    row.add_column(no_wrap=True)
    row.add_column(no_wrap=True)
    row.add_column(ratio=1)
    row.add_column(no_wrap=True)
    row.add_column(no_wrap=True, justify="right")
    row.add_row(
        Text(dashboard.clock[:10] or "starting", style="bold bright_white"),
        Text(f"{dashboard.sent:,} events"),
        sent,
        Text(f"{dashboard.customers:,} customers"),
        Text(f"{dashboard.changes:,} changes {dashboard.per_second:7,.0f}/s", style="bold"),
    )
    return _panel(row, f"segflow  {printable(dashboard.source)}")


def _population(dashboard: Dashboard, dimension: str) -> Panel:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right", min_width=6)
    table.add_column(ratio=1)
    labels = dashboard.labels[dimension]
    largest = max([1, *(dashboard.population[dimension, label] for label in labels)])
    for label in labels:
        count = dashboard.population[dimension, label]
        colour = COLOURS.get(label, "white")
        bar = ProgressBar(total=largest, completed=count, style="grey15", complete_style=colour, finished_style=colour)
        table.add_row(Text(label, style=colour), f"{count:,}", bar)
    height = max(len(labels) for labels in dashboard.labels.values()) + 2
    return _panel(table, f"{dimension}: customers now", height)


def _gone_quiet(dashboard: Dashboard, lines: int) -> Text:
    shown = list(dashboard.gone_quiet)[:lines]
    return _lines([_move(change, f"silent since {change['facts']['last_purchase_at'][:10]}") for change in shown])


def _latest(dashboard: Dashboard, lines: int) -> Text:
    shown = list(dashboard.latest)[:lines]
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
