"""Facts that are kept whatever `dimensions` lists, over real Kafka and Redis: dimensions added, taken away, begun."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from segflow.embedded.kafka import ApacheKafka
from tests.oracle.simulation import Adopt, OracleRules
from tests.support.agreement import by_customer
from tests.support.command import segflow
from tests.support.histories import START, written
from tests.support.journal_oracle import Record, by_journal
from tests.support.service import Service
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

PARTITIONS = 2
CUSTOMERS = 60
MOOD = {"rules": [{"label": "french", "when": "attributes.country == 'FR'"}], "otherwise": "other"}

BEGINS = "begins to keep what was not kept before, empty for every customer: attributes.country"


@pytest.fixture
def service(tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str) -> Service:
    """An installation of two shards that keeps all facts, as new ones do."""
    return Service(tmp_path, kafka.address, redis_db, unique_prefix, PARTITIONS, clock="event")


def purchases(first: int, count: int) -> list[dict[str, Any]]:
    """Some with a discount, half a day apart, so that customers are regular, sensitive to prices and at risk."""
    return [
        {
            "type": "purchase",
            "event_id": f"p{number}",
            "customer_id": f"c{number * number % CUSTOMERS}",
            "occurred_at": written(START + timedelta(hours=12 * number)),
            "order_id": f"o{number}",
            "amount": f"{number % 90 + 1}.00",
            "discount": "1.00" if number % 3 else "0",
        }
        for number in range(first, first + count)
    ]


def profiles(first: int, country: str) -> list[dict[str, Any]]:
    """What is told of ten customers, the first of whom is c<first>, behind all purchases."""
    return [
        {
            "type": "profile",
            "event_id": f"{country}{number}",
            "customer_id": f"c{number}",
            "occurred_at": written(START + timedelta(days=400, seconds=number)),
            "attributes": {"country": country},
        }
        for number in range(first, first + 10)
    ]


def redefine(installed: Service, **content: Any) -> None:
    """Other settings in the file."""
    installed.file.write_text(yaml.safe_dump(installed.content | content))


def read_all(role: str, count: int) -> Callable[[list[dict[str, Any]]], bool]:
    """Whether the commits have read so many records of an input."""
    return lambda found: sum(each["plan"][f"{role}_to"] - each[f"{role}_from"] for each in found) >= count


def definitions(installed: Service) -> dict[str, Any]:
    """What `segflow definitions` says."""
    result = segflow("definitions", "--settings", installed.file, "--json")
    assert result.code == 0, result.err
    found: dict[str, Any] = json.loads(result.out)
    return found


def version_of(installed: Service, number: int) -> int:
    """The version of the `number`th definition, once a worker has written it."""

    def written_by(found: list[Any]) -> list[int]:
        return [each.offset for each in found if json.loads(each.value)["kind"] == "definition"]

    return written_by(installed.read("control", lambda found: len(written_by(found)) >= number))[number - 1]


def is_adopted(installed: Service, version: int) -> bool:
    """Whether every shard is done with a version."""
    return all(head is None or (head.rules == version and head.adopting is None) for head in installed.heads())


def shown(installed: Service, customer: str) -> dict[str, Any]:
    """What `segflow show` says of a customer."""
    found: dict[str, Any] = json.loads(segflow("show", "--settings", installed.file, "--json", customer).out)
    return found


def as_defined(version: int, record: Record) -> Adopt:
    """A definition, of which the dimensions are another: to the oracle, which has every event."""
    return Adopt(OracleRules(dimensions=tuple(record["content"]["dimensions"]), definition=version), "definition")


def test_dimensions_come_go_and_come_again_on_a_living_installation(service: Service) -> None:
    """What each shows is made of all that ever happened; the oracle agrees, the audit is clean, nothing is refused."""
    sent = 0
    listed = (
        ["lifecycle", "rfm"],
        ["lifecycle", "price", "rfm", "cadence"],
        ["rfm", "price"],
        ["cadence", "satisfaction", "rfm", "payment", "lifecycle"],
    )
    for number, dimensions in enumerate(listed, start=1):
        redefine(service, dimensions=dimensions)
        with service.worker():
            version = version_of(service, number)
            until(partial(is_adopted, service, version), "the definition is not adopted")
            service.send(purchases(sent, 150))
            sent += 150
            service.journal(read_all("purchases", sent))
            service.leaves_nothing_due()
    expected = by_journal(service, OracleRules(), as_defined)
    found = service.changes(len(expected))
    assert by_customer(found) == by_customer(expected)
    assert {"price", "cadence"} <= {each["dimension"] for each in found if each["cause"]["kind"] == "definition"}
    told = definitions(service)
    assert (len(told["definitions"]), told["facts_since"]) == (4, {})
    audited = segflow("audit", "--settings", service.file, "--state")
    assert audited.code == 0, audited.out + audited.err


def test_an_attribute_that_no_rule_named_begins_empty_and_a_worker_that_runs_on_keeps_it(service: Service) -> None:
    """Also what that worker had read and not committed; the log and `segflow definitions` say since when it counts."""
    with service.worker():
        service.send([*purchases(0, 60), *profiles(0, "FR")])
        service.journal(read_all("interactions", 10))
        redefine(service, dimensions={"lifecycle": None, "mood": MOOD})
        with service.worker():
            version, log = version_of(service, 2), service.file.parent / "worker.log"
            until(lambda: BEGINS in log.read_text(), "the log does not say what begins empty")
        service.send([*profiles(10, "FR"), *profiles(20, "DE")])
        service.journal(read_all("interactions", 30))
        service.leaves_nothing_due()
    assert " ERROR " not in log.read_text()
    assert definitions(service)["facts_since"] == {"attributes.country": version}
    said = segflow("definitions", "--settings", service.file).out
    assert f"counts from version {version} on, as it was not kept before: attributes.country" in said
    moods = [shown(service, f"c{number}")["segments"]["mood"] for number in (0, 10, 20)]
    assert moods == ["other", "french", "other"]
    audited = segflow("audit", "--settings", service.file, "--state")
    assert audited.code == 0, audited.out + audited.err


def test_an_installation_of_listed_facts_stays_so_until_it_is_told_otherwise(service: Service) -> None:
    """Settings that say nothing of facts change nothing; a dimension is refused; with `facts: all` it begins empty."""
    redefine(service, facts="listed")
    with service.worker():
        service.send(purchases(0, 60))
        service.journal(read_all("purchases", 60))
    redefine(service)
    with service.worker():
        service.send(purchases(60, 60))
        service.journal(read_all("purchases", 120))
    told = definitions(service)
    assert (len(told["definitions"]), told["settings_differ"], told["facts_differ"]) == (1, [], [])
    redefine(service, dimensions=["lifecycle", "price"])
    refused = segflow("worker", "--settings", service.file)
    assert refused.code == 2
    assert "dimensions.price was null, is true" in refused.err
    assert "With `facts: all` a dimension's facts begin empty" in refused.err
    redefine(service, dimensions=["lifecycle", "price"], facts="all")
    with service.worker():
        service.send(purchases(120, 240))
        service.journal(read_all("purchases", 360))
        service.leaves_nothing_due()
    version = definitions(service)["definitions"][-1]["version"]
    assert definitions(service)["facts_since"].items() >= {"price": version, "engagement": version}.items()
    assert any(each["dimension"] == "price" for each in service.changes(1))
    audited = segflow("audit", "--settings", service.file, "--state")
    assert audited.code == 0, audited.out + audited.err
