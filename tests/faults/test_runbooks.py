"""docs/how-to/runbooks.md, walked: what it says to type is typed, and it helps."""

import json
import re
import shutil
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
import yaml
from redis import Redis
from redis.exceptions import ResponseError

from segflow.embedded.redis_server import RedisServer
from segflow.engine.commit.engine_version import ENGINE
from segflow.streams.kafka.topic_kinds import INPUTS
from tests.faults.installation import Installation, Make
from tests.faults.runbook import PAGE, PASSWORD, changed, commands, purchases, shown, typed
from tests.faults.stream import PURCHASES, records_of
from tests.support.events import event
from tests.support.health import Health
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

NEXT: Final = "tests.support.next_engine"
"""segflow of a version whose commits may give something else."""


@pytest.fixture
def installed(installation: Make, own_redis: RedisServer) -> Installation:
    """One whose Redis is its own, with some customers in it."""
    return with_customers(installation(redis=own_redis.url))


def with_customers(made: Installation) -> Installation:
    """The installation after 40 purchases; no worker runs."""
    made.works(purchases(40))
    return made


def test_a_lost_redis_is_copied_from_the_state_topic(installed: Installation, own_redis: RedisServer) -> None:
    """Doctor says that it can be, a worker does it, and the audit finds nothing."""
    look, check = commands("Redis is lost")
    own_redis.kill()
    own_redis.start()
    assert "can be copied from" in typed(look, installed, 1)
    with installed.ready_worker():
        installed.settles()
        typed(check, installed)


def test_a_backup_of_redis_is_enough_where_nothing_can_be_copied(installation: Make, own_redis: RedisServer) -> None:
    """At least once, with the inputs cut: commits since the backup are replayed, and doctor counts all customers."""
    (look,) = commands("No copy of a lost Redis")
    installed = with_customers(installation(redis=own_redis.url, worker={"guarantee": "at_least_once"}))
    backup = installed.file.parent / "backup.rdb"
    with closing(Redis.from_url(own_redis.url)) as client:
        client.save()
    shutil.copy(own_redis.folder / "dump.rdb", backup)
    reach = {number: head.purchases.offset for number, head in enumerate(installed.heads()) if head is not None}
    installed.works(purchases(20, first=100))
    for shard, offset in reach.items():
        installed.cut_by_retention(PURCHASES, shard, offset)
    own_redis.kill()
    shutil.copy(backup, own_redis.folder / "dump.rdb")
    own_redis.start()
    with installed.ready_worker():
        installed.settles()
        assert ": 60 customers" in typed(look, installed)


def test_a_snapshot_brings_back_what_redis_and_the_state_topic_lost(
    installed: Installation, own_redis: RedisServer
) -> None:
    """Typed beside a worker; then both are lost, and so are the inputs of before."""
    take, create, restore, look = commands("Redis and the state topic are lost")
    with installed.ready_worker() as worker:
        assert "written: backups/2026-11-30/manifest.json" in typed(take, installed)
        reach = {number: head.purchases.offset for number, head in enumerate(installed.heads()) if head is not None}
        installed.put(purchases(20, first=100))
        installed.settles()
        worker.stop()
    for shard, offset in reach.items():
        installed.cut_by_retention(PURCHASES, shard, offset)
    own_redis.kill()
    own_redis.start()
    installed.delete("state")
    assert f"made {installed.settings.kafka.topics.state}" in typed(create, installed)
    assert typed(restore, installed).count("a worker replays the") == installed.partitions
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


def test_more_shards_take_one_command_with_everything_read(installed: Installation) -> None:
    """Nobody is lost on the way, and events after it find their customers."""
    look, divide, check = commands("More shards are needed")
    assert "0 records behind" in typed(look, installed)
    assert "4 shards with 40 customers" in typed(divide, installed)
    installed.partitions = 4
    with installed.ready_worker() as worker:
        installed.put(purchases(40, first=100))
        installed.settles()
        worker.stop()
    assert "clean" in typed(check, installed, 2)
    assert ": 80 customers" in typed(look, installed, 1)  # its `keys` are of the records of before, as the page says


def test_partitions_that_were_added_are_brought_in(installed: Installation) -> None:
    """Doctor says what was added; then everybody is there once, also those whose partition is another one now."""
    look, divide, replay, check = commands("Partitions were added")
    grown = 4
    names = [getattr(installed.settings.kafka.topics, role) for role in INPUTS]
    installed.add_partitions(grown)
    installed.put(purchases(40, first=100))
    assert f"{names[0]} has {grown} partitions and had {installed.partitions}" in typed(look, installed, 1)
    assert "40 records wait" in typed(divide, installed)
    installed.partitions = grown
    with installed.ready_worker() as worker:
        installed.settles()
        misplaced = len(installed.read("dead_letters"))
        assert 0 < misplaced < 40
        assert f"{misplaced} sent again" in typed(replay, installed)
        installed.settles()
        worker.stop()
    assert "clean" in typed(check, installed, 2)
    said = typed(look, installed, 1)
    assert ": 80 customers" in said
    assert re.findall(r"^FAIL (\w+)", said, re.MULTILINE) == ["keys"]  # of the records of before, as the page says


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


def test_workers_stop_cleanly_and_a_new_version_goes_on(installed: Installation) -> None:
    """Doctor is content between two versions, and the audit behind them, by either."""
    look, check = commands("A new version of segflow")
    typed(look, installed)
    with installed.ready_worker(module=NEXT):
        installed.put(purchases(5, first=600))
        installed.settles()
    assert {entry["engine"] for entry in installed.journal()} == {ENGINE, ENGINE + 1}
    typed(check, installed)


def test_a_new_version_copies_the_commit_that_a_killed_one_left(installed: Installation) -> None:
    """It takes what was published as it is, so it need not come to the same, and nothing is told twice."""
    _, check = commands("A new version of segflow")
    with installed.worker(crash_at="commit:published:1") as old:
        installed.put(purchases(20, first=700))
        old.is_killed()
    with installed.ready_worker(module=NEXT) as new:
        installed.put(purchases(5, first=800))
        installed.settles()
        assert "its state is copied from" in new.said()
    typed(check, installed)


def test_a_new_version_refuses_a_shard_that_was_not_drained_where_nothing_can_be_copied(
    installation: Make, own_redis: RedisServer
) -> None:
    """At least once it names the commit, who made it and what to do; that helps, and nothing is lost.

    One shard: of two, the other may have published changes by then and not its journal, which are told twice.
    """
    at_least_once = {"guarantee": "at_least_once"}
    installed = with_customers(installation(redis=own_redis.url, partitions=1, worker=at_least_once))
    _, check = commands("A new version of segflow")
    with installed.worker(crash_at="commit:published:1") as old:
        installed.put(purchases(20, first=700))
        old.is_killed()
    page = Health.at_free_port()
    with installed.worker(http_port=page.port, module=NEXT) as new:
        new.says(f"(engine {ENGINE}); this is segflow")
        assert "Traceback" not in new.said()
        until(lambda: "Drain the shard first: start segflow" in str(page.verdict("ready")["why_not"]), new.said)
        assert list(page.verdict("ready")["parked"].values()) == ["journal"]
    with installed.ready_worker() as old:
        installed.settles()
        old.stop()
        assert "written there beside its commits" not in old.said(), "nothing is written there at least once"
    with installed.ready_worker(module=NEXT):
        installed.put(purchases(5, first=800))
        installed.settles()
    typed(check, installed)


def test_every_runbook_is_walked() -> None:
    """A runbook that nobody has tried does not help."""
    walked = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_runbook*.py"))
    for heading in re.findall(r"^## (.*)$", PAGE, re.MULTILINE):
        assert f'commands("{heading}")' in walked
