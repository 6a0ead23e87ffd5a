"""Records that could not be used, sent again after the fix, while a worker runs."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from segflow.embedded.kafka import ApacheKafka
from tests.support.command import segflow
from tests.support.service import Service
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


def test_after_the_fix_a_replay_has_the_records_used_once(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """One from the future, one on a wrong partition: dead, replayed, used; a second replay and the audit find it so."""
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 2)
    soon = (datetime.now(UTC) + timedelta(minutes=20)).isoformat()
    purchase = {"type": "purchase", "order_id": "o", "amount": "20", "occurred_at": soon}
    early = purchase | {"event_id": "e1", "customer_id": "c1"}
    misplaced = json.dumps(purchase | {"event_id": "e2", "customer_id": "c1", "occurred_at": "2026-01-01T00:00:00Z"})
    with service.worker():
        service.send([early, misplaced.encode()])  # c1 belongs on partition 1, and raw records go to partition 0
        letters = [json.loads(each.value) for each in service.read("dead_letters", lambda found: len(found) == 2)]
    assert sorted(each["kind"] for each in letters) == ["future", "wrong_partition"]
    content = service.file.read_text(encoding="utf-8")
    service.file.write_text(f"{content}worker: {{future_max: 1h}}\n", encoding="utf-8")
    with service.worker():
        for sent in (2, 0):
            result = segflow("dead-letters", "--replay", "--settings", service.file, "--json")
            assert json.loads(result.out) == {"sent": sent, "sent_before": 2 - sent, "refused": []}
        until(lambda: _frequency(service) == 2, "the replayed events do not count")
    assert len(service.read("purchases")) == 4
    assert segflow("audit", "--settings", service.file).code == 0


def _frequency(service: Service) -> int | None:
    shown = segflow("show", "c1", "--settings", service.file, "--json")
    return int(json.loads(shown.out)["facts"]["frequency"]) if shown.code == 0 else None
