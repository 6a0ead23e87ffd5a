"""A changed definition over real Kafka and Redis: every customer classified anew, once; told, or quietly."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from segflow.embedded.kafka import ApacheKafka
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.partitioner import partition_of
from segflow.operations.customer_lookup import customer_of
from segflow.schemas.settings import Settings
from segflow.segments.models.rfm import GRID
from segflow.segments.rules import from_settings
from segflow.state.keys import Keys
from segflow.state.redis_connection import client
from segflow.streams.control.definitions import definition_of
from tests.oracle.simulation import Adopt, Event, OracleRules, Shard, Sweep
from tests.support.agreement import by_customer
from tests.support.command import segflow
from tests.support.histories import START, written
from tests.support.journal_oracle import by_journal
from tests.support.service import Service

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

PARTITIONS = 2
CUSTOMERS = 1200  # two pages a shard: the adoption takes more than one commit
VIP = [["vip" if label == "potential_loyalist" else label for label in row] for row in GRID]
CHANGED: dict[str, Any] = {
    "dimensions": ["rfm", "lifecycle", "value"],
    "lifecycle": {"at_risk_after": "20d", "churned_after": "50d"},
    "rfm": {"grid": VIP},
    "value": {"cuts": "fixed"},
}
Make = Callable[..., Service]


@pytest.fixture
def service(tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str) -> Service:
    """An installation of two shards with small slices."""
    worker = {"sweep_max_customers": 512, "batch_max_records": 500}
    return Service(tmp_path, kafka.address, redis_db, unique_prefix, PARTITIONS, clock="event", worker=worker)


def purchases(first: int, count: int) -> list[dict[str, Any]]:
    """One after the other, half an hour apart, so that some customers fall silent and others come back."""
    return [
        {
            "type": "purchase",
            "event_id": f"p{number}",
            "customer_id": f"c{number % CUSTOMERS}",
            "occurred_at": written(START + timedelta(minutes=30 * number)),
            "order_id": f"o{number}",
            "amount": f"{number % 90 + 1}.00",
        }
        for number in range(first, first + count)
    ]


def oracle_rules(definition: int) -> OracleRules:
    """CHANGED, as the oracle has it."""
    grid = {(5 - place, fm): label for place, row in enumerate(VIP) for fm, label in enumerate(row, start=1)}
    return OracleRules(
        dimensions=("rfm", "lifecycle", "value"),
        at_risk_after=timedelta(days=20),
        churned_after=timedelta(days=50),
        grid=grid,
        definition=definition,
    )


def expected_of(before: list[dict[str, Any]], after: list[dict[str, Any]], definition: int) -> list[dict[str, Any]]:
    """What the oracle says where each shard adopts between the two parts of the log."""
    changes: list[dict[str, Any]] = []
    for number in range(PARTITIONS):
        shard = Shard(OracleRules())
        for part in (before, after):
            mine = [
                each for each in part if partition_of(each["customer_id"].encode(), "murmur2", PARTITIONS) == number
            ]
            for event in mine:
                changes += shard.step(Event(event))
            changes += shard.step(Sweep(None))
            if part is before:
                changes += shard.step(Adopt(oracle_rules(definition), "definition"))
    return changes


def redefine(installed: Service, **content: Any) -> None:
    """Other settings in the file."""
    installed.file.write_text(yaml.safe_dump(installed.content | content))


def read_all(count: int) -> Callable[[list[dict[str, Any]]], bool]:
    """Whether the commits have read so many purchases."""
    return lambda found: sum(each["plan"]["purchases_to"] - each["purchases_from"] for each in found) >= count


def adopted(entries: list[dict[str, Any]]) -> bool:
    """Whether each shard has adopted, and has committed as many slices as it has pages."""
    for number in range(PARTITIONS):
        mine = [each for each in entries if each["partition"] == number]
        places = [place for place, each in enumerate(mine) if each["adopts"] is not None]
        if not places or len(mine) - places[0] < 2:
            return False
    return True


def listed(installed: Service) -> list[dict[str, Any]]:
    """What `segflow definitions` says."""
    result = segflow("definitions", "--settings", installed.file, "--json")
    assert result.code == 0, result.err
    found: list[dict[str, Any]] = json.loads(result.out)["definitions"]
    return found


def simulation(installed: Service) -> dict[tuple[str, str, str], int]:
    """The moves `segflow simulate` foresees beside the running worker; a new dimension's from its neutral label."""
    new = installed.file.parent / "new.yaml"
    new.write_text(yaml.safe_dump(installed.content | CHANGED))
    result = segflow("simulate", "--settings", new, "--json")
    assert result.code == 0, result.err
    return {
        (name, move["from"] or "none", move["to"]): move["customers"]
        for name, dimension in json.loads(result.out)["dimensions"].items()
        for move in dimension["moves"]
    }


def test_a_worker_with_a_changed_definition_classifies_every_customer_anew(service: Service) -> None:
    """Two processes start with it at once; slices; more events; audit, rebuild and show read each time's definition."""
    before, after = purchases(0, 2400), purchases(2400, 300)
    with service.worker():
        service.send(before)
        service.journal(read_all(len(before)))
        simulated = simulation(service)
    redefine(service, **CHANGED)
    with service.worker(processes=2):
        service.journal(adopted)
        service.send(after)
        service.journal(read_all(len(before) + len(after)))
        definitions = listed(service)
        expected = expected_of(before, after, definitions[-1]["version"])
        found = service.changes(len(expected))
    assert len(definitions) == 2
    assert {each["setting"] for each in definitions[1]["changes"]} >= {"dimensions", "lifecycle.at_risk_after", "value"}
    assert by_customer(found) == by_customer(expected)
    moved = {each["customer_id"] for each in found if each["cause"]["kind"] == "definition"}
    assert len(moved) > CUSTOMERS // 2
    assert simulated == Counter(
        (each["dimension"], each["previous"], each["current"])
        for each in found
        if each["cause"]["kind"] == "definition"
    )
    assert any(each["current"] == "vip" and each["previous"] == "potential_loyalist" for each in found)
    audited = segflow("audit", "--settings", service.file, "--state")
    assert audited.code == 0, audited.out + audited.err
    rebuilt = segflow("rebuild", "--settings", service.file)
    assert rebuilt.code == 0, rebuilt.err
    assert segflow("audit", "--settings", service.file, "--state").code == 0
    shown = json.loads(segflow("show", "--settings", service.file, "--json", "c1").out)
    assert shown["segments"] == by_customer(found)["c1"][-1]["segments"]
    assert shown["definition"] == definitions[-1]["version"]
    assert_all_are_of(service, CHANGED, definitions[-1]["version"])


def assert_all_are_of(installed: Service, content: dict[str, Any], definition: int) -> None:
    """Every record in Redis was classified under this definition."""
    rules = from_settings(Settings.model_validate(content), definition=definition)
    with client(installed.settings.redis) as connected:
        for number in range(PARTITIONS):
            keys = Keys(installed.settings.redis.prefix, number)
            for key in connected.scan_iter(keys.pattern(keys.record("")), count=1000):
                customers, _ = customer_of(RuleVersions(rules), "c", connected.get(key))
                assert customers.fixed["rules"][0] == definition


def test_a_quiet_change_of_definition_is_not_published_and_leaves_no_gap(service: Service) -> None:
    """`segments.current` has what holds, `segments.changes` nothing of it; the audit is clean."""
    before, after = purchases(0, 2400), purchases(2400, 300)
    with service.worker():
        service.send(before)
        service.journal(read_all(len(before)))
    redefine(service, **CHANGED)
    with service.worker(options=["--quiet-definition-changes"]):
        service.journal(adopted)
        service.send(after)
        service.journal(read_all(len(before) + len(after)))
        (_, definition) = listed(service)
        expected = [
            each for each in expected_of(before, after, definition["version"]) if each["cause"]["kind"] != "definition"
        ]
        found = service.changes(len(expected))
    assert definition["quiet"]
    numbers: dict[str, int] = {}
    for each in expected:
        numbers[each["customer_id"]] = each["version"] = numbers.get(each["customer_id"], 0) + 1
    assert by_customer(found) == by_customer(expected)
    current = {each.key.decode(): json.loads(each.value) for each in service.read("current")}
    assert {each["definition"] for each in current.values()} == {definition["version"]}
    audited = segflow("audit", "--settings", service.file, "--state")
    assert audited.code == 0, audited.out + audited.err


def test_other_facts_are_refused_with_what_differs_and_what_to_do(service: Service) -> None:
    """The half-life is in the record: neither a worker nor a rebuild takes another; nothing is written, all goes on."""
    redefine(service, **weighed("14d"))
    with service.worker():
        service.send(purchases(0, 10))
        service.journal(read_all(10))
    redefine(service, **weighed("7d"))
    for command in ("worker", "rebuild"):
        refused = segflow(command, "--settings", service.file)
        assert refused.code == 2
        assert 'engagement.half_life was "2w", is "1w"' in refused.err
        assert "`segflow rebuild` makes again what was published" in refused.err
        assert "new installation" in refused.err
    assert len(listed(service)) == 1
    assert definition_of(service.settings)  # the settings are sound
    assert "refused by a worker" in segflow("definitions", "--settings", service.file).out
    redefine(service, **weighed("14d"))
    assert segflow("rebuild", "--settings", service.file).code == 0
    with service.worker():
        service.send(purchases(10, 10))
        service.journal(read_all(20))
    assert segflow("audit", "--settings", service.file, "--state").code == 0


def weighed(half_life: str) -> dict[str, Any]:
    """Engagement with such a half-life."""
    return {"dimensions": ["lifecycle", "engagement"], "engagement": {"half_life": half_life}}


def test_other_facts_come_of_a_new_installation_beside_the_old_one(
    service: Service, tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """It reads the same inputs from their start, under names of its own; both are audited clean, the oracle agrees."""
    redefine(service, **weighed("14d"))
    log = purchases(0, 1500)
    with service.worker():
        service.send(log)
        service.journal(read_all(len(log)))
    (tmp_path / "new").mkdir()
    names = service.settings.kafka.topics
    new = Service(
        tmp_path / "new",
        kafka.address,
        redis_db,
        f"{unique_prefix}new-",
        PARTITIONS,
        inputs={"purchases": names.purchases, "interactions": names.interactions},
        clock="event",
        **weighed("7d"),
    )
    with new.worker():
        new.journal(read_all(len(log)))
        rules = OracleRules(dimensions=("lifecycle", "engagement"), half_life=timedelta(days=7))
        expected = by_journal(new, rules, no_adoption)
        found = new.changes(len(expected))  # before it is stopped: deadlines are swept in slices
    assert by_customer(found) == by_customer(expected)
    assert by_customer(service.changes(1)) != by_customer(expected)
    for each in (service, new):
        redefine(each, **weighed("14d" if each is service else "7d"))
        audited = segflow("audit", "--settings", each.file, "--state")
        assert audited.code == 0, audited.out + audited.err


def no_adoption(version: int, record: dict[str, Any]) -> Adopt:
    """Nothing is adopted."""
    raise AssertionError((version, record))


def test_settings_of_an_earlier_definition_are_refused_while_others_work_with_a_newer_one(service: Service) -> None:
    """One host that was forgotten in a rollout must not take all customers back; with all stopped it may."""
    with service.worker():
        service.send(purchases(0, 10))
        service.journal(read_all(10))
    old = service.file.read_text()
    redefine(service, lifecycle={"loyal_orders": 7})
    with service.worker():
        service.send(purchases(10, 10))
        service.journal(read_all(20))
        stale = service.file.parent / "old.yaml"
        stale.write_text(old)
        refused = segflow("worker", "--settings", stale)
        assert refused.code == 2
        assert "stop all workers first" in refused.err
    redefine(service)
    with service.worker():
        service.send(purchases(20, 10))
        service.journal(read_all(30))
    assert [each["changes"] for each in listed(service)][2] == [
        {"setting": "lifecycle.loyal_orders", "before": 7, "after": 5}
    ]
