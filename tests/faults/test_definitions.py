"""A new definition under kills: adopted by every customer once, wherever in the middle of it workers die."""

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import yaml

from segflow.streams.runtime.failpoints import COMMIT
from tests.faults.installation import Installation, Make
from tests.faults.stream import PURCHASES, Record
from tests.support.command import segflow
from tests.support.histories import START, written
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

CUSTOMERS = 2100
"""Five pages of the directory in the one shard: adopting takes five commits."""
KILLS = {"commit:prepared": 2, "commit:produced": 1, "commit:published": 1, "commit:stored": 1}
"""At which of its commits each worker dies: always in the middle."""
SMALL: dict[str, Any] = {"sweep_max_customers": 512, "batch_max_records": 2000}
FIRST: dict[str, Any] = {"lifecycle": {"at_risk_after": "20d", "churned_after": "50d", "loyal_orders": 2}}
SECOND: dict[str, Any] = {"lifecycle": {"at_risk_after": "2d", "churned_after": "90d"}}


def bought(first: int, count: int) -> list[Record]:
    """One purchase after the other, twenty minutes apart, of one customer after the other."""
    records = []
    for number in range(first, first + count):
        customer = f"c{number % CUSTOMERS}"
        event = {"type": "purchase", "event_id": f"p{number}", "customer_id": customer, "order_id": "o"}
        event |= {"occurred_at": written(START + timedelta(minutes=20 * number)), "amount": f"{number % 90}.00"}
        records.append(
            Record(role=PURCHASES, customer=customer, key=customer.encode(), value=json.dumps(event).encode())
        )
    return records


def redefined(installed: Installation, content: dict[str, Any]) -> None:
    """Other settings in the file."""
    installed.file.write_text(yaml.safe_dump(installed.content | content))


def test_a_definition_is_adopted_once_by_every_customer_while_workers_die(installation: Make) -> None:
    """Each is killed some pages further, at another step of a commit; the next definition waits for its turn."""
    installed = installation(partitions=1, worker=SMALL)
    installed.put(bought(0, CUSTOMERS))
    with installed.worker() as first:
        installed.settles()
        first.stop()
    redefined(installed, FIRST)
    reached = []
    assert tuple(KILLS) == COMMIT
    for point, nth in KILLS.items():
        if point == "commit:published":
            installed.put(bought(CUSTOMERS, 300))  # read between the slices
        if point == "commit:stored":
            redefined(installed, SECOND)
        with installed.worker(crash_at=f"{point}:{nth}") as each:
            each.is_killed()
        head = installed.heads()[0]
        assert head is not None
        assert head.adopting is not None, point
        reached.append(head.adopting.page)
    assert reached == [1, 1, 1, 3]
    with installed.worker() as last:
        until(lambda: all_adopted(installed), "not everything is adopted")
        found = installed.comes_out_right()
        last.stop()
    assert found.events == CUSTOMERS + 300
    published = [json.loads(each.value) for each in installed.read("changes")]
    by_definition = Counter(each["definition"] for each in published if each["cause"]["kind"] == "definition")
    assert len(by_definition) == 2
    assert min(by_definition.values()) > CUSTOMERS // 10
    audited = segflow("audit", "--settings", installed.file, "--state")
    assert audited.code == 0, audited.out + audited.err


def all_adopted(installed: Installation) -> bool:
    """Whether the shard has nothing to adopt any more."""
    head = installed.heads()[0]
    definitions = [each for each in installed.read("control") if json.loads(each.value)["kind"] == "definition"]
    return head is not None and head.adopting is None and head.rules == definitions[-1].offset
