"""A model of another package over real Kafka and Redis: worked, shown, missed by name, and taken out again."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from segflow.embedded.kafka import ApacheKafka
from segflow.streams.journal.entry_codec import decode
from tests.support.command import Result, segflow, segflow_process
from tests.support.packages import EXAMPLE, Packages, packages
from tests.support.service import Service

__all__ = ["packages"]

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

CODE = EXAMPLE.read_text(encoding="utf-8")


@pytest.fixture
def service(
    packages: Packages,
    tmp_path: Path,
    kafka: ApacheKafka,
    redis_db: str,
    unique_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Service:
    """An installation that lists the example's model, installed beside segflow."""
    packages.install(CODE)
    monkeypatch.setenv("PYTHONPATH", str(packages.folder))
    content: dict[str, Any] = {"dimensions": ["lifecycle", "weekend_buyer"], "weekend_buyer": {"min_purchases": 1}}
    return Service(tmp_path, kafka.address, redis_db, unique_prefix, 2, clock="event", **content)


def purchase(number: int, day: str, customer: str) -> dict[str, Any]:
    """A purchase at noon."""
    event = {"type": "purchase", "event_id": f"p{number}", "customer_id": customer, "order_id": "o", "amount": "5"}
    return event | {"occurred_at": f"{day}T12:00:00Z"}


def labels(found: list[Any], dimension: str = "weekend_buyer") -> list[tuple[str, str | None]]:
    """Customer and label of each change in a dimension, by customer."""
    changes = [json.loads(each.value) for each in found]
    mine = [(each["customer_id"], each["current"]) for each in changes if each["dimension"] == dimension]
    return sorted(mine, key=lambda each: each[0])


def refused(installed: Service, *command: str) -> Result:
    """A command that ends in a message."""
    result = segflow_process(*command, "--settings", installed.file)
    assert result.code == 2, result.out
    assert "Traceback" not in result.err
    return result


def test_a_model_of_a_package_is_worked_missed_by_name_and_taken_out(service: Service, packages: Packages) -> None:
    """Nothing is done without it while it is in force; its version counts; without it all goes on once it is out."""
    log = [purchase(1, "2024-03-02", "a"), purchase(2, "2024-03-04", "b"), purchase(3, "2024-03-05", "a")]
    with service.worker():
        service.send(log)
        found = service.read("changes", lambda some: len(labels(some)) == 3)
    assert labels(found) == [("a", "weekends"), ("a", "mixed"), ("b", "weekdays")]
    shown = segflow("show", "a", "--settings", service.file, "--json")
    assert json.loads(shown.out)["segments"]["weekend_buyer"] == "mixed"
    explained = segflow("explain", "a", "--settings", service.file)
    assert "1 of 2 purchases were made on weekends." in explained.out
    audited = segflow("audit", "--settings", service.file, "--state")
    assert audited.code == 0, audited.out + audited.err

    packages.uninstall()
    assert "dimensions.weekend_buyer: is no dimension and has no rules" in refused(service, "worker").err
    with_it = service.file.read_text(encoding="utf-8")
    without = yaml.safe_load(with_it) | {"dimensions": ["lifecycle"]}
    del without["weekend_buyer"]
    service.file.write_text(yaml.safe_dump(without), encoding="utf-8")
    in_force = (
        "the definition in segments.control has the model weekend_buyer, version 1 of the package segflow-weekend"
    )
    for command in (["worker"], ["show", "a"], ["explain", "a"]):
        assert in_force in (err := refused(service, *command).err)
        assert "it is not installed here. Install that version" in err
    packages.install(CODE.replace('version="1"', 'version="2"'))
    assert "version 2 of the package segflow-weekend-buyer is installed here" in refused(service, "worker").err

    packages.install(CODE)
    with service.worker():
        service.read("journal", lambda some: len({each.partition for each in some if decode(each.value).adopts}) == 2)
    packages.uninstall()
    with service.worker():
        service.send([purchase(4, "2024-03-09", "a"), purchase(5, "2024-03-09", "c")])
        found = service.read("changes", lambda some: ("c", "new") in labels(some, "lifecycle"))
    assert len(labels(found)) == 3
    shown = segflow("show", "a", "--settings", service.file, "--json")
    assert set(json.loads(shown.out)["segments"]) == {"lifecycle"}
