"""What the tests of docs/how-to/runbooks.md share: its commands, typed, and what an installation shows."""

import re
import subprocess
from typing import Any, Final

import yaml

from tests.faults.installation import Installation
from tests.faults.stream import Record, records_of
from tests.support import tutorial
from tests.support.command import segflow
from tests.support.events import event

PASSWORD: Final = "SEGFLOW_REDIS_PASSWORD"  # noqa: S105 - the name of a variable
PAGE: Final = (tutorial.ROOT / "docs" / "how-to" / "runbooks.md").read_text(encoding="utf-8")
PLAIN: Final = re.sub(r"^ {4}", "", PAGE, flags=re.MULTILINE)
"""The page with its blocks of commands out of the lists."""


def commands(heading: str) -> list[str]:
    """The lines to type in that runbook."""
    return [line for step in tutorial.steps(heading, PLAIN) for line in step.commands.splitlines()]


def typed(line: str, installed: Installation, code: int = 0, password: str | None = None) -> str:
    """The output of a line typed where the settings are."""
    more = {} if password is None else {PASSWORD: password}
    environment = tutorial.environment(SEGFLOW_REDIS=installed.settings.redis.url, **more)
    done = subprocess.run(
        ["/bin/sh", "-c", line], cwd=installed.file.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def purchases(count: int, first: int = 0) -> list[Record]:
    """As many customers, one purchase each."""
    return records_of([event(number, number / 10, customer=f"c{number}") for number in range(first, first + count)])


def shown(customer: str, installed: Installation) -> str:
    """What `segflow show` has of a customer. No runbook types it, so it runs in this process."""
    return segflow("show", customer, "--json", "--settings", installed.file).out


def changed(installed: Installation, **sections: Any) -> None:
    """Other settings in the file."""
    installed.file.write_text(yaml.safe_dump(installed.content | sections), encoding="utf-8")
