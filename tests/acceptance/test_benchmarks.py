"""The benchmarks' own program: it runs, and prints its tables."""

import os
import subprocess
import sys

import pytest

from segflow.embedded.kafka import ApacheKafka
from segflow.embedded.redis_server import RedisServer
from tests.conftest import started_or_skipped

TIMEOUT_S = 300.0  # it takes some 5 s here; a busy small machine may need several times that


@pytest.mark.redis
def test_a_quick_run_prints_a_table_of_every_benchmark_asked_for() -> None:
    """`python -m benchmarks run_file memory --quick` measures both and shows them together, target beside figure."""
    started_or_skipped(RedisServer).close()
    command = [sys.executable, "-m", "benchmarks", "run_file", "memory", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    together = done.stdout.rpartition("benchmark")[2]
    assert "events/s" in together
    assert "bytes/customer" in together
    assert "≤ 520" in together


@pytest.mark.kafka
@pytest.mark.redis
def test_a_quick_run_says_where_the_time_of_a_commit_goes_and_fills_and_restores_a_state() -> None:
    """`python -m benchmarks restore steps --quick`: a state is brought into its topic and copied back.

    The steps have their times for small and large commits, and the sum.
    """
    started_or_skipped(RedisServer).close()
    started_or_skipped(ApacheKafka).close()
    command = [sys.executable, "-m", "benchmarks", "restore", "steps", "--quick"]
    wide = os.environ | {"COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, env=wide)
    assert done.returncode == 0, done.stderr
    for line in (
        "4,000 customers copied into an empty Redis",
        "30 events: Kafka transaction",
        "30 events: the whole",
        "2,000 events: decode",
        "2,000 events: the rest",
    ):
        assert line in done.stdout
    assert "could not be used" not in done.stderr  # what is measured are events, not dead letters
