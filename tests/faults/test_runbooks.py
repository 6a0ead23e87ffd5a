"""docs/how-to/runbooks.md, walked: what it says to type is typed, and it helps."""

import json
import re
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from redis import Redis
from redis.exceptions import ResponseError

from segflow.embedded.redis_server import RedisServer
from tests.faults.installation import Installation, Make
from tests.faults.stream import PURCHASES, Record, records_of
from tests.support import tutorial
from tests.support.command import segflow
from tests.support.events import event
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

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


@pytest.fixture
def installed(installation: Make, own_redis: RedisServer) -> Installation:
    """One whose Redis is its own, with some customers in it."""
    made = installation(redis=own_redis.url)
    made.put(purchases(40))
    with made.ready_worker() as worker:
        made.settles()
        worker.stop()
    return made


def test_a_lost_redis_is_rebuilt_from_the_inputs(installed: Installation, own_redis: RedisServer) -> None:
    """Doctor says that it can be, a worker does it, and the audit finds nothing."""
    look, check = commands("Redis is lost, the inputs are kept")
    own_redis.kill()
    own_redis.start()
    assert "can be rebuilt from the journal and the inputs" in typed(look, installed, 1)
    with installed.ready_worker():
        installed.settles()
        typed(check, installed)


def test_a_backup_of_redis_is_enough_where_the_inputs_are_cut(installed: Installation, own_redis: RedisServer) -> None:
    """The commits since the backup are replayed, and doctor counts all customers."""
    (look,) = commands("Redis is lost, the inputs are cut")
    backup = installed.file.parent / "backup.rdb"
    with closing(Redis.from_url(own_redis.url)) as client:
        client.save()
    shutil.copy(own_redis.folder / "dump.rdb", backup)
    reach = {number: head.purchases.offset for number, head in enumerate(installed.heads()) if head is not None}
    installed.put(purchases(20, first=100))
    with installed.ready_worker() as worker:
        installed.settles()
        worker.stop()
    for shard, offset in reach.items():
        installed.cut_by_retention(PURCHASES, shard, offset)
    own_redis.kill()
    shutil.copy(backup, own_redis.folder / "dump.rdb")
    own_redis.start()
    with installed.ready_worker():
        installed.settles()
        assert ": 60 customers" in typed(look, installed)


def test_misplaced_events_are_sent_again_to_where_they_belong(installed: Installation) -> None:
    """Typed twice, once: afterwards every customer is known, in one shard."""
    count, replay = commands("A producer places keys in another way")
    records = purchases(10, first=200)
    with installed.ready_worker():
        installed.put(records, beside=1)
        installed.read("dead_letters", lambda found: len(found) >= len(records))
        assert "10" in typed(count, installed)
        typed(replay, installed)
        typed(replay, installed)
        installed.settles()
        for each in records:
            assert json.loads(shown(each.customer, installed))["segments"]
        assert len(installed.read(PURCHASES)) == 40 + 2 * len(records)


def test_records_too_large_are_sent_again_once_the_setting_allows_them(installed: Installation) -> None:
    """They are read as they came, the setting is changed, and their customer is known."""
    count, raw, replay = commands("Many records cannot be used")
    installed.put(records_of([event(300, 5, customer="large", channel="x" * 70_000)]))
    with installed.ready_worker():
        installed.read("dead_letters", bool)
        assert "oversized" in typed(count, installed)
        assert "xxxxxxxx" in typed(raw, installed)
    changed(installed, worker={**installed.content["worker"], "record_max_bytes": 100_000})
    with installed.ready_worker():
        typed(replay, installed)
        until(lambda: "large" in shown("large", installed), "not known")


def changed(installed: Installation, **sections: Any) -> None:
    """Other settings in the file."""
    installed.file.write_text(yaml.safe_dump(installed.content | sections), encoding="utf-8")


def test_a_dimension_is_added_while_workers_run(installed: Installation) -> None:
    """Simulate says who would be where, a worker with the new settings adopts them, and it is a definition."""
    simulate, definitions = commands("A dimension is added")
    new = installed.content | {"dimensions": ["lifecycle", "rfm", "value"]}
    (installed.file.parent / "new.yaml").write_text(yaml.safe_dump(new), encoding="utf-8")
    assert "value" in typed(simulate, installed)
    before = typed(definitions, installed)
    changed(installed, dimensions=new["dimensions"])
    with installed.ready_worker():
        until(lambda: "value" in json.loads(shown("c1", installed))["segments"], "not adopted")
        assert typed(definitions, installed) != before


def test_a_redis_that_cannot_save_goes_on_once_it_can(
    installation: Make, own_redis: RedisServer, tmp_path: Path
) -> None:
    """Its folder is gone, so it refuses writes; with the folder back, what the page says ends that."""
    own_redis.options |= {"enable-protected-configs": "yes"}
    own_redis.kill()
    own_redis.start()
    installed = installation(redis=own_redis.url)
    (save,) = commands("Redis cannot save to its disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    with installed.ready_worker() as worker, closing(Redis.from_url(own_redis.url)) as client:
        client.config_set("dir", str(disk))
        client.config_set("save", "3600 1")
        disk.rmdir()
        client.bgsave()
        until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "it saves")
        with pytest.raises(ResponseError, match="MISCONF"):
            client.set("x", "y")
        installed.put(purchases(5, first=400))
        worker.says("Redis cannot save to its disk and refuses writes")
        disk.mkdir()
        client.config_set("dir", str(disk))
        typed(save, installed)
        installed.settles()
        assert "c404" in shown("c404", installed)


def test_a_password_changes_without_a_stop(installation: Make, own_redis: RedisServer) -> None:
    """Both hold for a while; a worker with the new one works after the old one is gone."""
    add, take_away = commands("A password changes")
    with closing(Redis.from_url(own_redis.url)) as client:
        client.acl_setuser("segflow", enabled=True, passwords=["+old-password"], keys=["*"], commands=["+@all"])
    installed = installation(redis=own_redis.url)
    users = {"redis": {**installed.content["redis"], "username": "segflow"}}
    changed(installed, **users)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PASSWORD, "old-password")
        with installed.ready_worker() as old:
            installed.put(purchases(5))
            installed.settles()
            typed(add, installed)
            patch.setenv(PASSWORD, "new-password")
            with installed.ready_worker():
                old.stop()
                typed(take_away, installed)
                installed.put(purchases(5, first=500))
                installed.settles()
                assert "c504" in typed("segflow show c504", installed, password="new-password")  # noqa: S106 - lives for one test


def test_workers_stop_cleanly_and_others_go_on(installed: Installation) -> None:
    """Doctor is content between two versions, and the audit behind them."""
    look, check = commands("A new version of segflow")
    typed(look, installed)
    with installed.ready_worker():
        installed.put(purchases(5, first=600))
        installed.settles()
        typed(check, installed)


def test_every_runbook_is_walked() -> None:
    """A runbook that nobody has tried does not help."""
    walked = Path(__file__).read_text(encoding="utf-8")
    for heading in re.findall(r"^## (.*)$", PAGE, re.MULTILINE):
        assert f'commands("{heading}")' in walked
