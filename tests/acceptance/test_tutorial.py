"""The tutorial's second half, typed as it stands: servers, a live purchase, silence; and the analyst's page."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from segflow.embedded.free_port import free_ports
from tests.support import tutorial
from tests.support.until import PATIENCE_S, until


class Terminal:
    """A shell of the reader's, with a command that goes on until Ctrl-C."""

    def __init__(self, commands: str, folder: Path, log: str, environment: dict[str, str]) -> None:
        self.log = folder / log
        with self.log.open("wb") as said:
            self.process = subprocess.Popen(
                ["bash", "-euc", f"exec {commands}"], cwd=folder, env=environment, stdout=said, stderr=said
            )

    def shows(self, pattern: str) -> bool:
        """Whether a pattern is on the screen; fails once the command has ended."""
        assert self.process.poll() is None, self.log.read_text()
        return re.search(pattern, self.log.read_text()) is not None

    def interrupt(self) -> None:
        """Ctrl-C, and wait until it is gone."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE_S)


@contextmanager
def terminal(commands: str, folder: Path, log: str, environment: dict[str, str]) -> Iterator[Terminal]:
    """A terminal within the block; gone after it."""
    opened = Terminal(commands, folder, log, environment)
    try:
        yield opened
        opened.interrupt()
    finally:
        if opened.process.poll() is None:
            opened.process.kill()
            opened.process.wait()


def ran(commands: str, folder: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Commands that end by themselves."""
    return subprocess.run(
        ["bash", "-euc", commands], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def typed(commands: str, folder: Path, environment: dict[str, str]) -> str:
    """What commands show that end by themselves, and well."""
    done = ran(commands, folder, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def moves(text: str) -> list[tuple[str, ...]]:
    """Label before, label after and cause of each line of `segflow tail`."""
    return re.findall(r"june  lifecycle  (\S+) → (\S+)  (\S+)", text)


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.usefixtures("kafka", "redis_server")  # skipped where there are none: the page starts its own
def test_a_customer_comes_back_and_falls_silent_as_the_page_says(tmp_path: Path) -> None:
    """Chapter 5, with the events of chapter 2; each change that the page shows, in its order."""
    here = tutorial.folder(tmp_path)
    plain = tutorial.environment()
    (orders,) = [each.commands for each in tutorial.steps("2.") if "orders_to_events" in each.commands]
    typed(orders, here, plain)
    servers, begin, follow, buy, show = tutorial.steps("5.")
    topics, worker = begin.commands.splitlines()
    produce, tail = follow.commands.splitlines()
    with terminal(servers.commands, here, "servers.log", plain) as first:
        until(lambda: first.shows("export SEGFLOW_REDIS="), "no servers")
        with_servers = plain | dict(re.findall(r"^export (\w+)=(\S+)$", first.log.read_text(), re.MULTILINE))
        typed(topics, here, with_servers)
        with terminal(worker, here, "worker.log", with_servers):
            typed(produce, here, with_servers)
            until(lambda: "churned" in ran(show.commands, here, with_servers).stdout, "june is not known")
            with terminal(tail, here, "tail.log", with_servers) as third:
                typed(buy.commands, here, with_servers)
                until(lambda: "loyal" in typed(show.commands, here, with_servers), "june is not back")
                said = typed(show.commands, here, with_servers)
                until(lambda: third.shows("→ churned"), "june is not silent")
                seen = moves(third.log.read_text())
            with terminal(f"{tail} --from-beginning", here, "all.log", with_servers) as again:
                finished = r"event live-1\n(?:.*\n)*.*at_risk → churned  time\n"
                until(lambda: again.shows(finished), "the changes are not there")
                everything = moves(again.log.read_text())
    shown = moves(buy.shown)
    assert len(shown) == 4
    assert everything[-4:] == shown
    assert seen == shown[-len(seen) :]  # it shows what comes once it runs: the purchase may have been quicker
    assert said.startswith("june  shard ")
    assert "if nothing more happens:\n" in said


@pytest.mark.kafka
@pytest.mark.redis
def test_a_first_import_as_the_page_has_it_asks_for_nothing_to_be_done(tmp_path: Path) -> None:
    """Each step typed; in the end no change of years of history is live, and all are there."""
    here, plain = tutorial.folder(tmp_path), tutorial.environment()
    page = (tutorial.ROOT / "docs" / "how-to" / "first-import.md").read_text(encoding="utf-8")
    (port,) = free_ports(1)
    look, topics, worker, produce, wait, check = (
        step.commands.replace("8080", str(port)) for step in (tutorial.steps(f"{n}.", page)[0] for n in range(1, 7))
    )
    typed(look, here, plain)
    with terminal("python examples/servers.py", here, "servers.log", plain) as first:
        until(lambda: first.shows("export SEGFLOW_REDIS="), "no servers")
        with_servers = plain | dict(re.findall(r"^export (\w+)=(\S+)$", first.log.read_text(), re.MULTILINE))
        typed(topics, here, with_servers)
        with terminal(worker, here, "worker.log", with_servers):
            typed(produce, here, with_servers)
            until(lambda: imported(ran(wait, here, with_servers).stdout), "the history is not in the state")
            assert typed(check, here, with_servers).strip() == "0"
            count = len((here / "changes.jsonl").read_text().splitlines())  # and silence has gone on since
            with terminal("segflow tail --from-beginning --json", here, "tail.log", with_servers) as tail:
                until(
                    lambda: tail.log.read_bytes().count(b"\n") >= count, lambda: f"of {count} changes not all are there"
                )
                said = tail.log.read_bytes()
    changes = [json.loads(line) for line in said.splitlines() if line.endswith(b"}")]
    assert {change["mode"] for change in changes} == {"backfill"}


def imported(metrics: str) -> bool:
    """Whether there are shards that have something, and nothing waits in any."""
    waiting = [float(line.rpartition(" ")[2]) for line in metrics.splitlines()]
    return len(waiting) == 4 * 3 and not any(waiting)


def test_the_analyst_s_two_definitions_give_the_counts_on_the_page(tmp_path: Path) -> None:
    """at_risk and reactivated, under both settings, as the page says."""
    page = (tutorial.ROOT / "docs" / "for" / "analyst.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"```sh\n(segflow run.*?)```", page, re.DOTALL)
    said = typed(f"exec 2>&1\n{commands}", tutorial.folder(tmp_path), tutorial.environment())
    counts = re.findall(r"^lifecycle: .*?at_risk ([\d,]+),.*reactivated ([\d,]+),", said, re.MULTILINE)
    told = r"`at_risk` ([\d,]+) times and `reactivated` ([\d,]+)\s+times; with 90 days, ([\d,]+) and ([\d,]+) times"
    assert [number for pair in counts for number in pair] == list(re.findall(told, page)[0])
