"""A worker as the image and the chart run it: on a file system that it cannot write to."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from segflow.embedded.kafka import ApacheKafka
from tests.support.events import event
from tests.support.health import Health
from tests.support.service import Service
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

READ_ONLY = "mount --make-rprivate / && mount -o remount,bind,ro / && exec "


def can_remount() -> bool:
    """Whether this user may have a file system of its own that is read-only; root in most containers may."""
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(["unshare", "-m", "sh", "-c", READ_ONLY + "true"], capture_output=True, check=False)
    return tried.returncode == 0


@pytest.mark.skipif(not can_remount(), reason="needs root, and mounts of its own")
def test_a_worker_writes_no_file(tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str) -> None:
    """It gets ready and works events where every write to a file is refused."""
    installed = Service(tmp_path, kafka.address, redis_db, unique_prefix, 1, clock="event")
    health = Health.at_free_port()
    worker = [sys.executable, "-m", "segflow", "worker", "--http-port", str(health.port)]
    command = ["unshare", "-m", "sh", "-c", READ_ONLY + '"$@"', "sh", *worker, "--settings", str(installed.file)]
    log = installed.file.parent / "worker.log"
    with log.open("wb") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            until(health.is_ready, lambda: log.read_text(encoding="utf-8"))
            installed.send([event(number, 0, customer=f"c{number}") for number in range(20)])
            installed.journal(lambda entries: any(entry["plan"]["sequence"] for entry in entries))
        finally:
            process.terminate()
    assert process.returncode == 0, log.read_text(encoding="utf-8")
