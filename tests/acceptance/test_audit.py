"""The audit: silent about a sound installation, and it finds each thing that was done to the output topics."""

import json
import re
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from kafka import KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from segflow.embedded.kafka import ApacheKafka
from segflow.embedded.redis_server import RedisServer
from segflow.engine.partitioner import partition_of
from segflow.state.keys import Keys
from segflow.state.redis_connection import client
from segflow.streams.journal.entry_codec import decode
from segflow.streams.journal.journal import message
from segflow.streams.kafka import topics
from tests.support.command import Result, segflow
from tests.support.histories import START, written
from tests.support.service import Service
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

PARTITIONS = 2
EVENTS = 300
IN_SHARD_0 = next(
    name for name in (f"c{number}" for number in range(25)) if partition_of(name.encode(), "murmur2", 2) == 0
)
BAD = [{"type": "purchase", "event_id": f"bad{number}", "customer_id": IN_SHARD_0} for number in range(2)]
Edit = Callable[[list[Any]], list[Any]]


def events(count: int) -> list[dict[str, Any]]:
    """Purchases of 25 customers in turn, 63 hours apart, so that silence has its say too."""
    return [
        {
            "type": "purchase",
            "event_id": f"p{number}",
            "customer_id": f"c{number % 25}",
            "occurred_at": written(START + timedelta(hours=63 * number)),
            "order_id": f"o{number}",
            "amount": f"{number % 90 + 1}.00",
            "channel": "x" * (300 if number == 0 else 3),  # one is larger than some limit of a record
        }
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, kafka: ApacheKafka, redis_server: RedisServer) -> Service:
    """An installation of two shards that has worked through a history with bad records in it, and stands still."""
    folder = tmp_path_factory.mktemp("audit")
    service = Service(folder, kafka.address, redis_server.url, "audit-", PARTITIONS, clock="event")
    log = events(EVENTS)
    with service.worker():
        for count, part in (
            (100, log[:100]),
            (102, BAD),
            (202, log[100:200]),
            (302, log[200:]),
        ):  # a commit each, or more
            service.send(part)
            service.journal(lambda found, count=count: read(found) == count)  # type: ignore[misc]
    return service


def read(entries: list[dict[str, Any]]) -> int:
    """Purchases that the commits took."""
    return sum(entry["plan"]["purchases_to"] - entry["purchases_from"] for entry in entries)


def audited(service: Service, *arguments: str) -> tuple[Result, dict[str, Any]]:
    """What `segflow audit --json` says."""
    result = segflow("audit", "--settings", service.file, "--json", *arguments)
    return result, json.loads(result.out) if result.out else {}


def test_a_sound_installation_is_clean_and_everything_was_compared(installed: Service) -> None:
    """As many commits, changes and dead letters as the topics have; nothing wrong; exit code 0."""
    result, found = audited(installed)
    assert result.code == 0, result.err
    assert found["shards"] == PARTITIONS
    assert found["commits"] == len(installed.journal())
    assert found["changes"] == len(installed.read("changes")) > 100
    assert found["events"] == EVENTS
    assert found["dead_letters"] == len(BAD)
    assert found["complete"] is True
    assert found["problems"] == found["unchecked"] == []
    wrong = ("lost", "repeated", "reordered", "altered", "foreign", "broken", "dead_letters_lost", "unread")
    assert {name: found[name] for name in wrong} == dict.fromkeys(wrong, 0)
    one = audited(installed, "--shard", "1")[1]
    assert one["shards"] == 1
    assert 0 < one["changes"] < found["changes"]


def test_the_table_is_for_a_person(installed: Service) -> None:
    """Without --json: a row a shard, a sum, and one word at the end."""
    result = segflow("audit", "--settings", installed.file)
    assert result.code == 0
    lines = result.out.split("\n")
    assert [line.split()[0] for line in lines if line.strip()[:1] in "01a" and line.strip()] == ["0", "1", "all"]
    assert lines[-2] == "clean"


@pytest.fixture
def tampered(installed: Service, unique_prefix: str, tmp_path: Path) -> Callable[[str, Edit], Service]:
    """Makes the same installation with one of its output topics edited: its records of shard 0, copied."""

    def make(role: str, edit: Edit) -> Service:
        original, copy = getattr(installed.settings.kafka.topics, role), f"{unique_prefix}{role}"
        with topics.admin(installed.settings.kafka) as client:
            client.create_topics([NewTopic(copy, PARTITIONS, 1)])
            client.wait_for_topics([copy])
        records = installed.read(role)
        with closing(KafkaProducer(bootstrap_servers=installed.settings.kafka.address, acks="all")) as producer:
            for partition in range(PARTITIONS):
                mine = [each for each in records if each.partition == partition]
                for record in edit(mine) if partition == 0 else mine:
                    producer.send(
                        copy, key=record.key, value=record.value, headers=list(record.headers), partition=partition
                    )
            producer.flush()
        assert original != copy
        content = json.loads(json.dumps(installed.content))
        content["kafka"]["topics"][role] = copy
        file = tmp_path / "tampered.yaml"
        file.write_text(yaml.safe_dump(content))
        service = object.__new__(Service)
        service.file, service.partitions = file, PARTITIONS
        return service

    return make


class Record:
    """A published record, to be changed."""

    def __init__(self, record: Any, **changes: Any) -> None:
        self.key, self.headers = record.key, record.headers
        content: Any = record.value if record.value[:1] == b"{" else msgspec.json.encode(decode(record.value))
        self.value = msgspec.json.encode(msgspec.json.decode(content) | changes)


def of_one_customer(records: list[Any]) -> list[int]:
    """Where the changes of the customer of the first change stand."""
    return [number for number, each in enumerate(records) if each.key == records[0].key]


def test_a_lost_change_is_found_and_named(tampered: Callable[[str, Edit], Service]) -> None:
    """One record in the middle of a customer's chain left out: lost 1, and the chain is broken there."""

    def edit(records: list[Any]) -> list[Any]:
        gone = of_one_customer(records)[1]
        return records[:gone] + records[gone + 1 :]

    result, found = audited(tampered("changes", edit))
    assert result.code == 1
    assert (found["lost"], found["repeated"], found["reordered"], found["broken"]) == (1, 0, 0, 1)
    assert (found["altered"], found["foreign"]) == (0, 0)
    assert any(text.startswith("shard 0: lost: customer ") and "version 2" in text for text in found["problems"])
    assert any("version 1 is followed by version 3" in text for text in found["problems"])


def test_the_last_change_lost_is_found_though_no_chain_shows_it(tampered: Callable[[str, Edit], Service]) -> None:
    """A customer's latest change has none after it: only the comparison with the commits knows."""
    result, found = audited(tampered("changes", lambda records: records[:-1]))
    assert result.code == 1
    assert (found["lost"], found["broken"]) == (1, 0)


def test_a_repeated_change_is_found(tampered: Callable[[str, Edit], Service]) -> None:
    """The same record twice, once right away and once at the end."""
    result, found = audited(tampered("changes", lambda records: [*records[:6], records[5], *records[6:], records[0]]))
    assert result.code == 1
    assert (found["lost"], found["repeated"], found["reordered"], found["foreign"]) == (0, 2, 0, 0)
    assert any(text.startswith("shard 0: repeated: customer ") for text in found["problems"])


def test_reordered_changes_are_found(tampered: Callable[[str, Edit], Service]) -> None:
    """Two changes of one customer swapped: nothing lost, nothing repeated, the order is wrong and the chain broken."""

    def edit(records: list[Any]) -> list[Any]:
        one, two = of_one_customer(records)[1:3]
        swapped = list(records)
        swapped[one], swapped[two] = swapped[two], swapped[one]
        return swapped

    result, found = audited(tampered("changes", edit))
    assert result.code == 1
    assert (found["lost"], found["repeated"], found["altered"], found["foreign"]) == (0, 0, 0, 0)
    assert found["reordered"] >= 1
    assert found["broken"] >= 1


@pytest.mark.parametrize("kept_id", [True, False], ids=["under its id", "under another id"])
def test_an_altered_change_is_found(tampered: Callable[[str, Edit], Service], kept_id: bool) -> None:
    """Another label in one record, with its change_id and with one that fits nothing: altered, not lost."""

    def edit(records: list[Any]) -> list[Any]:
        changes = {"current": "loyal_to_nobody"} | ({} if kept_id else {"change_id": "0" * 32})
        return [*records[:-1], Record(records[-1], **changes)]

    result, found = audited(tampered("changes", edit))
    assert result.code == 1
    assert (found["altered"], found["lost"], found["foreign"], found["repeated"]) == (1, 0, 0, 0)
    assert any("loyal_to_nobody" in text for text in found["problems"])


def test_a_changed_header_is_found(tampered: Callable[[str, Edit], Service]) -> None:
    """Subscribers filter by headers alone, so they are compared, too."""

    def edit(records: list[Any]) -> list[Any]:
        changed = Record(records[3])
        changed.value = records[3].value
        changed.headers = [(name, b"x" if name == "current" else value) for name, value in records[3].headers]
        return [*records[:3], changed, *records[4:]]

    assert audited(tampered("changes", edit))[1]["altered"] == 1


def test_a_change_that_no_commit_gave_is_found(tampered: Callable[[str, Edit], Service]) -> None:
    """Something that looks like a change, and something that does not."""

    def edit(records: list[Any]) -> list[Any]:
        invented = Record(records[0], change_id="f" * 32, customer_id="nobody", version=1)
        garbage = Record(records[0])
        garbage.value = b"garbage"
        return [*records, invented, garbage]

    result, found = audited(tampered("changes", edit))
    assert result.code == 1
    assert (found["foreign"], found["lost"], found["altered"]) == (2, 0, 0)


def test_a_customer_who_stands_in_two_shards_is_found(tampered: Callable[[str, Edit], Service]) -> None:
    """Somebody's first change, in both shards: as events on a wrong partition gave it before they were refused."""
    other = next(name for name in (f"c{number}" for number in range(25)) if name_shard(name) == 1)

    def edit(records: list[Any]) -> list[Any]:
        twin = Record(records[0], change_id="e" * 32, customer_id=other, version=1)
        return [*records, twin]

    result, found = audited(tampered("changes", edit))
    assert result.code == 1
    assert found["in_two_shards"] == 1
    assert any(f"customer '{other}' stands in shard 0, too" in text for text in found["problems"])


def name_shard(name: str) -> int:
    """The shard where a customer belongs."""
    return partition_of(name.encode(), "murmur2", PARTITIONS)


def test_a_dead_letter_lost_or_repeated_is_found(tampered: Callable[[str, Edit], Service]) -> None:
    """One left out, the other there twice."""
    result, found = audited(tampered("dead_letters", lambda letters: [letters[1], letters[1]]))
    assert result.code == 1
    assert (found["dead_letters_lost"], found["dead_letters_repeated"]) == (1, 1)
    assert found["broken"] == found["lost"] == 0


def test_a_commit_missing_from_the_journal_is_found(tampered: Callable[[str, Edit], Service]) -> None:
    """Nothing after the gap can be replayed: said, and not taken for complete."""
    result, found = audited(tampered("journal", lambda entries: [entries[0], *entries[2:]]))
    assert result.code == 1
    assert found["complete"] is False
    assert any("no unbroken line of commits after 1" in text for text in found["problems"])


def by_no_version(entries: list[Any], **changes: Any) -> list[Any]:
    """The entries, the first half of them as a version wrote them that did not say which it was."""
    half = len(entries) // 2
    assert half > 1
    return [Record(each, engine=0, segflow="", **changes) for each in entries[:half]] + entries[half:]


def test_where_versions_meet_is_said_and_the_audit_goes_on_behind_it(tampered: Callable[[str, Edit], Service]) -> None:
    """Commits of another version that give the same are compared as any."""
    result, found = audited(tampered("journal", by_no_version))
    assert result.code == 0, found
    assert found["complete"] is True
    (text,) = found["versions"]
    assert re.fullmatch(
        r"shard 0: commits up to \d+ are by a version of segflow that did not say which, "
        r"those from there on by engine \d+ of segflow",
        text,
    )


def test_a_commit_of_another_version_that_gives_something_else_is_not_called_wrong(
    tampered: Callable[[str, Edit], Service],
) -> None:
    """What it published, and what follows, is compared as far as the journal alone allows."""
    result, found = audited(tampered("journal", lambda entries: by_no_version(entries, digest="0")))
    assert result.code == 2, found
    assert (found["complete"], found["problems"], len(found["versions"])) == (False, [], 1)
    assert "did not say which made commit 1, this is segflow" in found["unchecked"][0]
    assert "Compared instead: whether each commit goes on from the one before" in found["unchecked"][0]


def test_every_setting_of_the_worker_may_change_and_the_audit_stays_clean(installed: Service, tmp_path: Path) -> None:
    """All that a commit depended on stands in its plan. Each by itself is tested in test_golden_journals.py."""
    others: dict[str, Any] = {"record_max_bytes": 256, "batch_max_records": 7, "sweep_max_customers": 3}
    others |= {"future_max": "1s", "live_within": "1h", "guarantee": "at_least_once"}
    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump(installed.content | {"worker": others}))
    result = segflow("audit", "--settings", file, "--json")
    assert result.code == 0, result
    assert json.loads(result.out)["events"] == EVENTS


def test_changes_that_retention_has_cut_are_not_taken_for_lost(
    installed: Service, tampered: Callable[[str, Edit], Service]
) -> None:
    """What the topic still keeps is compared; the rest is counted as expired, and complete is false."""
    copy = tampered("changes", lambda records: records)
    name = yaml.safe_load(copy.file.read_text())["kafka"]["topics"]["changes"]
    with topics.admin(installed.settings.kafka) as client:
        client.delete_records({TopicPartition(name, 0): 7})
    result, found = audited(copy)
    assert result.code == 0, found["problems"]
    assert found["expired"] == 7
    assert found["complete"] is False
    assert found["broken"] == found["lost"] == 0


def test_inputs_that_retention_has_cut_are_said_and_the_rest_is_checked(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """Exit code 2: chains and numbers were compared, the content could not; a broken chain is still exit code 1."""
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 1, clock="event")
    with service.worker():
        service.send(events(60))
        service.journal(lambda found: read(found) == 60)
    service.cut_by_retention("purchases", 0, 10)
    result, found = audited(service)
    assert result.code == 2
    assert found["complete"] is False
    assert found["problems"] == []
    assert "retention has cut it to 10. Compared instead: " in found["unchecked"][0]
    assert found["commits"] == len(service.journal())
    assert found["changes"] == len(service.read("changes"))
    again = service.read("changes")[-1]
    with closing(KafkaProducer(bootstrap_servers=kafka.address, acks="all")) as producer:
        producer.send(service.settings.kafka.topics.changes, key=again.key, value=again.value, partition=0).get(30)
    result, found = audited(service)
    assert result.code == 1
    assert found["broken"] == 1
    assert found["foreign"] == 1


def test_a_journal_whose_beginning_is_gone_is_audited_from_where_it_begins(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """It says from which commit on; a lost change, a gap and a Redis that differs are found; cut to nothing, chains."""
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 1, clock="event")
    with service.worker():
        for count in (20, 40, 60):
            service.send(events(count)[count - 20 :])
            service.journal(lambda found, count=count: read(found) == count)  # type: ignore[misc]
    entries = service.journal()
    service.cut_by_retention("journal", 0, service.read("journal")[1].offset)
    result, found = audited(service, "--state")
    assert result.code == 2
    assert (found["problems"], found["state_differences"], found["complete"]) == ([], 0, False)
    assert found["commits"] == len(entries) - 1
    assert "is kept from commit 2 on (kafka.journal_retention)" in found["unchecked"][0]
    assert len(found["unchecked"]) == 1
    with client(service.settings.redis) as connected:
        connected.delete(Keys(service.settings.redis.prefix, 0).record("c1"))
    result, found = audited(service, "--state")
    assert result.code == 1
    assert found["problems"] == ["shard 0: state: the record of customer 'c1' is missing"]
    last = decode(service.read("journal")[-1].value)
    torn = msgspec.structs.replace(
        last, plan=msgspec.structs.replace(last.plan, sequence=last.plan.sequence + 1), purchases_from=7, changes=10**6
    )
    with closing(KafkaProducer(bootstrap_servers=kafka.address, acks="all")) as producer:
        made = message(torn)
        producer.send(service.settings.kafka.topics.journal, key=made.key, value=made.value, partition=0).get(30)
    result, found = audited(service)
    assert result.code == 1
    assert "begins at" in found["problems"][0]
    assert "the journal's commits published 1000" in found["problems"][1]
    service.cut_by_retention("journal", 0, -1)
    result, found = audited(service)
    assert (result.code, found["problems"], found["commits"]) == (2, [], 0)
    assert "keeps no commit any more. Compared instead: " in found["unchecked"][0]


def test_what_a_worker_publishes_during_the_audit_is_not_held_against_it(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """Audits beside a worker that goes on committing find nothing wrong."""
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 1, clock="event")
    log = events(600)
    file = tmp_path / "log.jsonl"
    file.write_text("\n".join(json.dumps(each) for each in log[1:]))
    commits: list[int] = []
    with service.worker():
        service.send(log[:1])
        service.journal(lambda found: len(found) >= 1)  # from here on the worker is quicker than the producer

        def has_gone_on() -> bool:
            result, found = audited(service)
            assert result.code == 0, found
            commits.append(found["commits"])
            return len(commits) >= 3 and commits[0] < commits[-1]

        with service.producing(file, rate=100):
            until(has_gone_on, "the worker did not go on")


def test_an_installation_without_a_worker_s_run_is_said(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """Nothing to audit is exit code 2 with the reason; so is a shard that is not there."""
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 1)
    result, _ = audited(service)
    assert result.code == 2
    assert "no worker has run yet" in result.err


def test_a_shard_that_is_not_there_is_said(installed: Service) -> None:
    """With how many there are."""
    result, _ = audited(installed, "--shard", "2")
    assert result.code == 2
    assert "there is no shard 2: the inputs have 2 partitions, 0 to 1" in result.err
