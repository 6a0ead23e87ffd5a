"""segflow fit over the customers in Redis: a new version of the parameters, which shards adopt as they do re-cuts."""

import json
from pathlib import Path
from typing import Any

import pytest

from embedded.kafka import ApacheKafka
from segments.instant import to_text
from tests.cdnow import CALIBRATION_END_US, published_sample, purchases
from tests.command import segflow
from tests.service import Service

pytestmark = [pytest.mark.kafka, pytest.mark.redis]
CUSTOMERS = 600


def events() -> list[dict[str, Any]]:
    """What 600 of CDNOW's customers bought up to the end of September 1997, in the order of time."""
    log = purchases(frozenset(sorted(published_sample())[:CUSTOMERS]))
    came = sorted(zip(log.times_us.tolist(), log.customers.tolist(), strict=True))
    return [
        {
            "type": "purchase",
            "event_id": f"e{number}",
            "customer_id": log.names[customer],
            "order_id": "o",
            "amount": 10,
        }
        | {"occurred_at": to_text(time_us)}
        for number, (time_us, customer) in enumerate(came)
        if time_us <= CALIBRATION_END_US
    ]


def test_a_fit_over_redis_is_adopted_by_every_shard(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """With --dry-run nothing moves. Else every shard scores its customers again, with the cause recut."""
    log = events()
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 2, clock="event", dimensions=["churn"])

    def is_read(entries: list[dict[str, Any]]) -> bool:
        reached = {entry["partition"]: entry["plan"]["purchases_to"] for entry in entries}
        return bool(sum(reached.values()) == len(log))

    with service.worker():
        service.send(log)
        service.journal(is_read)
        dry = segflow("fit", "--settings", service.file, "--dry-run", "--json")
        assert dry.code == 0, dry.err
        told = json.loads(dry.out)
        assert (told["customers"], told["version"]) == (CUSTOMERS, None)
        assert told["calibration"][-1]["customers"] == CUSTOMERS
        assert [note[:28] for note in told["notes"]] == ["Gamma-Gamma stays as it was:"]
        written = segflow("fit", "--settings", service.file)
        assert written.code == 0, written.err
        recut = b'"kind":"recut"'
        found = service.read("changes", lambda all_: len({each.partition for each in all_ if recut in each.value}) == 2)
    recuts = [json.loads(each.value) for each in found if recut in each.value]
    (version,) = {change["cuts"] for change in recuts}
    assert f"as version {version};" in written.out
