"""The tutorial's first half, typed as it stands: orders to events, to changes, to a list of customers."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support import tutorial


def without_pace(text: str) -> str:
    """Output without how long it took."""
    return re.sub(r"[\d.]+ s, [\d,]+ events/s", "… s, … events/s", text)


@pytest.mark.slow
def test_the_commands_up_to_the_list_show_what_the_page_says(tmp_path: Path) -> None:
    """Chapters 2 to 4 in one folder, one after the other; but for how long each took."""
    here = tutorial.folder(tmp_path)
    compared = 0
    for chapter in ("2.", "3.", "4."):
        for step in tutorial.steps(chapter):
            done = subprocess.run(
                ["bash", "-euc", step.commands],
                cwd=here,
                env=tutorial.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout
            assert without_pace(done.stdout) == without_pace(step.shown)
            compared += bool(step.shown)
    assert compared == 3


def test_the_example_orders_are_as_many_as_the_page_says() -> None:
    """308 rows, one of them with a total that no purchase can have."""
    rows = (tutorial.ROOT / "examples" / "orders.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert f"{len(rows)} orders" in tutorial.TEXT
    assert sum(",-" in row for row in rows) == 1
