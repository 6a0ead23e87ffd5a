"""Progress on long work: a bar on stderr, where that is a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class Show(Protocol):
    """A callback that shows progress."""

    def __call__(self, done: int, note: str, total: int | None = None) -> None:
        """`done` units of the total are done; `note` says more, such as events and their rate.

        `total`: of now on, where it was not known at the start or has changed.
        """
        ...


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Show]:
    """A bar over `total` units (None: unknown), and the function that moves it."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task(title, total=total, note="")

        def show(done: int, note: str, total: int | None = None) -> None:
            bar.update(task, completed=done, note=note, total=total)

        yield show
